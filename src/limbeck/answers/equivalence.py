"""Compares mathematical answers, first as text, then with `math-verify` in a worker process.

`math-verify` enforces its time limit with SIGALRM, which works only in a process's main thread, and SymPy can still hang or
exhaust memory on hostile input. So it runs in its own process, which is killed when it takes too long.
"""

from __future__ import annotations

import re
from functools import lru_cache

from limbeck.system.worker import WorkerLost, run_limited

VERIFY_TIMEOUT_S = 10.0
MAX_ANSWER_CHARS = 1_000


def normalise_math(text: str) -> str:
    r"""Normalise a LaTeX answer: drop spaces, ``\left``, units and thousands commas, and write ``\dfrac`` as ``\frac``."""
    text = re.sub(r"\\(left|right|displaystyle|,|;|!|:| )", "", text)
    text = re.sub(r"\\[dt]frac", r"\\frac", text)
    text = re.sub(r"\\frac(\d)(\d)", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\(?:text|mathrm|textbf|mbox)\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"(?<=\d)\s+[A-Za-z]{3,}[A-Za-z .]*$", "", text)  # a unit
    text = re.sub(r"\^\{?\\circ\}?|\\\$|\\%|[$%\s]", "", text)
    if not re.match(r"[(\[]|\\\{", text):  # in a pair, interval or set, commas separate elements
        text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    return text.rstrip(".")


@lru_cache(maxsize=65_536)
def is_equivalent_math(first: str, second: str) -> bool:
    """Whether two LaTeX or plain answers mean the same; if that can't be decided in time, they count as different."""
    if first == second:
        return True
    if max(len(first), len(second)) > MAX_ANSWER_CHARS:
        return False
    a, b = normalise_math(first), normalise_math(second)
    if a == b:
        return True
    if not a or not b:
        return False
    try:
        return bool(run_limited("limbeck.answers.symbolic:is_same_value", [first, second], VERIFY_TIMEOUT_S))
    except WorkerLost:
        return False
