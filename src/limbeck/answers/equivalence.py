"""Whether two mathematical answers are the same, by text first and by `math-verify` in a worker process second.

`math-verify` limits its time with SIGALRM, which works only in the main thread of a process, and SymPy can still hang or
grow without end on hostile input; so it runs in a process of its own that is killed when it takes too long.
"""

from __future__ import annotations

import re
from functools import lru_cache

from limbeck.system.worker import WorkerLost, run_limited

VERIFY_TIMEOUT_S = 10.0
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
