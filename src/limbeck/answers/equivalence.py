"""Compares mathematical answers, first as text, then with `math-verify` in a worker process.

`math-verify` enforces its time limit with SIGALRM, which works only in a process's main thread, and SymPy can still hang or
exhaust memory on hostile input. So it runs in its own process, which is killed when it takes too long.
"""

from __future__ import annotations

import re
from functools import lru_cache

from limbeck.answers.numerals import parse_number, write_number
from limbeck.answers.quantity import is_unit, read_quantity
from limbeck.answers.rounding import is_same_number
from limbeck.system.worker import WorkerLost, run_limited

VERIFY_TIMEOUT_S = 10.0
MAX_ANSWER_CHARS = 1_000


_FUNCTIONS = "arcsin arccos arctan sinh cosh tanh sin cos tan cot sec csc log ln exp sqrt pi".split()
_FUNCTION = re.compile(rf"(?<![\\A-Za-z])(?:{'|'.join(_FUNCTIONS)})(?![A-Za-z])")
_UNIT = re.compile(
    r"^(?P<value>.*?[\d)}\]$])\s*"
    r"(?P<unit>\\(?:text|mathrm|textbf|mbox)\{[^{}]*\}|(?<=[\s\d])[A-Za-z][A-Za-z .]*?)(?P<power>\s*\^\{?[1-9]\}?)?\.?$",
    re.DOTALL,
)
_TEXT = re.compile(r"\\(?:text|mathrm|textbf|mbox)\{([^{}]*)\}")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")


def normalise_math(text: str) -> str:
    r"""Normalise a LaTeX answer: drop spaces, ``\left``, degree, dollar and percent signs and thousands commas.

    ``\dfrac`` becomes ``\frac``, and a mixed number a sum.
    """
    text = re.sub(r"\\(left|right|displaystyle|,|;|!|:| )", "", text)
    text = re.sub(r"\\[dt]frac", r"\\frac", text)
    text = re.sub(r"\\frac(\d)(\d)", r"\\frac{\1}{\2}", text)
    text = re.sub(r"(?<![\d.])(\d+)\s+(\d+)/(\d+)(?![\d.])", r"(\1+\2/\3)", text)  # a mixed number
    text = _TEXT.sub(r"\1", text)
    text = re.sub(r"\^\{?\\circ\}?|\\\$|\\%|[$%\s]", "", text)
    if not re.match(r"[(\[]|\\\{", text):  # in a pair, interval or set, commas separate elements
        text = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "", text)
    return text.rstrip(".")


def split_unit(text: str) -> tuple[str, str]:
    """Return a math answer as ``(value, unit)``; the unit is empty if there is none, or if its words change the value."""
    match = _UNIT.match(text.strip())
    if match is None:
        return text, ""
    unit = " ".join(_TEXT.sub(r"\1", match["unit"]).split())
    if not unit or not is_unit(" " + unit):
        return text, ""
    return match["value"], unit.lower().removesuffix("s") + (match["power"] or "").replace(" ", "").strip("{}")


@lru_cache(maxsize=65_536)
def is_equivalent_math(first: str, second: str) -> bool:
    """Whether two LaTeX or plain answers mean the same; if that can't be decided in time, they count as different.

    A unit may be missing on one side, but two units must be the same. Words that change a value ("million", "factorial",
    "times") are part of it.
    """
    if first == second:
        return True
    if max(len(first), len(second)) > MAX_ANSWER_CHARS:
        return False
    (a, unit), (b, other) = split_unit(first), split_unit(second)
    if unit and other and unit != other:
        return False
    numbers = [parse_number(part) if part_unit else read_quantity(part) for part, part_unit in ((a, unit), (b, other))]
    if numbers[0] is not None and numbers[1] is not None:
        return is_same_number(write_number(numbers[0]), write_number(numbers[1]))
    a, b = (normalise_math(_FUNCTION.sub(r"\\\g<0>", part)) for part in (a, b))
    if a == b:
        return bool(a)
    if not a or not b or _has_words(first) or _has_words(second) or _list_marks(first) != _list_marks(second):
        return False
    try:
        return bool(run_limited("limbeck.answers.symbolic:is_same_value", [a, b], VERIFY_TIMEOUT_S))
    except WorkerLost:
        return False


def _list_marks(text: str) -> tuple[int, list[str], set[str]]:
    """What math-verify doesn't tell apart: primes, the bases of numerals, and letters that differ in case only."""
    letters = set(re.findall(r"(?<![\\A-Za-z])[A-Za-z](?![A-Za-z])", text))
    capitals = {letter for letter in letters if letter.isupper()}
    return text.count("'"), re.findall(r"\d_\{?\d+", text), capitals


def _has_words(text: str) -> bool:
    """Whether a value has words that math-verify would drop or take for variables."""
    value = _FUNCTION.sub("", _TEXT.sub(r" \1 ", split_unit(text)[0]))
    return _WORD.search(value) is not None
