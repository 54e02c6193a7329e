"""Whether two mathematical answers are the same, by text first and by `math-verify` in a worker process second.

`math-verify` limits its time with SIGALRM, which works only in the main thread of a process, and SymPy can still hang or
grow without end on hostile input; so it runs in a process of its own that is killed when it takes too long.
"""

from __future__ import annotations

import atexit
import multiprocessing
import re
from functools import lru_cache
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

VERIFY_TIMEOUT_S = 10.0
START_TIMEOUT_S = 60.0
MAX_ANSWER_CHARS = 1_000


def normalise_math(text: str) -> str:
    r"""A LaTeX answer without what carries no meaning: spaces, ``\left``, ``\dfrac`` for ``\frac``, units in text."""
    text = re.sub(r"\\(left|right|displaystyle|,|;|!|:| )", "", text)
    text = re.sub(r"\\[dt]frac", r"\\frac", text)
    text = re.sub(r"\\frac(\d)(\d)", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\(?:text|mathrm|textbf|mbox)\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"(?<=\d)\s+[A-Za-z]{3,}[A-Za-z .]*$", "", text)  # a unit
    text = re.sub(r"\^\{?\\circ\}?|\\\$|\\%|[$%\s]", "", text)
    if not re.match(r"[(\[]|\\\{", text):  # in a pair, interval or set a comma separates
        text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    return text.rstrip(".")


@lru_cache(maxsize=65_536)
def is_equivalent_math(first: str, second: str) -> bool:
    """Whether two LaTeX or plain answers mean the same; what can't be decided in time counts as different."""
    a, b = normalise_math(first), normalise_math(second)
    if a == b:
        return True
    if not a or not b or max(len(a), len(b)) > MAX_ANSWER_CHARS:
        return False
    return _WORKER.is_equivalent(first, second)


class _Worker:
    """The process that holds `math-verify`; started at the first question, replaced when it hangs or dies."""

    def __init__(self) -> None:
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None

    def is_equivalent(self, first: str, second: str) -> bool:
        """Ask the worker; False where it gives no verdict within `VERIFY_TIMEOUT_S` seconds."""
        pipe = self._start()
        try:
            pipe.send((first, second))
            if pipe.poll(VERIFY_TIMEOUT_S):
                return bool(pipe.recv())
        except (EOFError, BrokenPipeError, ConnectionResetError):
            pass
        self.stop()
        return False

    def _start(self) -> Connection:
        if self._pipe is None or self._process is None or not self._process.is_alive():
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
            self._process.start()
            theirs.close()
            if not self._pipe.poll(START_TIMEOUT_S):
                self.stop()
                raise TimeoutError(f"the math-verify worker did not start within {START_TIMEOUT_S:g} s")
            self._pipe.recv()
        return self._pipe

    def stop(self) -> None:
        """Kill the worker, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._process = self._pipe = None


def _serve(pipe: Connection) -> None:
    import logging

    from math_verify import parse, verify  # here, since it loads SymPy (a second) and is seldom needed

    logging.disable(logging.CRITICAL)
    pipe.send("ready")
    while True:
        try:
            first, second = pipe.recv()
        except EOFError:
            return
        gold, answer = parse(f"${second}$"), parse(f"${first}$")
        pipe.send(bool(gold and answer and verify(gold, answer)))


_WORKER = _Worker()
atexit.register(_WORKER.stop)
