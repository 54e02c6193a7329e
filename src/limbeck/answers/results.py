"""Checks whether the last result of a rationale is the example's answer."""

from __future__ import annotations

import re
from fractions import Fraction

from limbeck.answers.numerals import NUMBER_WORDS, parse_number

_SIGN_OF_RESULT = re.compile(r"[=≈→⇒]")


_WORD_OF_RESULT = re.compile(r"\b(?:is|are|equals|gives|yields|makes|leaves)\b", re.IGNORECASE)


_NUMERAL = re.compile(r"\d[\d,]*(?:\.\d+)?|\.\d+")


_FRACTION = re.compile(r"\d[\d,]*(?:\.\d+)?\s*/\s*\d[\d,]*(?:\.\d+)?")


_UNIT = re.compile(r"(?<=\d)(?:\s*%|\s+[A-Za-z²³]+){1,2}$")  # "= 12 apples"


_LETTER = re.compile(r"[^\W\d_x]")  # except the x of "2 x 3"


_LAST_CHARS = 400  # of a rationale, searched for its last result


def find_other_result(
    rationale: str, answer: str, *, is_worded: bool = False, is_verbatim: bool = False, must_be_said: bool = False
) -> str | None:
    """Describe how the last result of a rationale differs from the answer; None if it doesn't differ or can't be judged.

    It catches more than `limbeck.teacher.purposes.closing.find_contradiction`, which reads only a closing statement with the
    answer prefix. It first takes what follows the last ``=`` of the last line; if that is a bare value, it compares it with
    the answer (numbers by value).

    A rationale without numerals can't be judged. A correct rationale that omits its last step is rejected, which costs one
    request.

    Args:
        rationale: the teacher's steps.
        answer: the example's answer.
        is_worded: treat "is", "gives" and the like as ``=`` if the text ends in a number.
        is_verbatim: compare values that are neither numbers nor contain letters character by character.
        must_be_said: require a numeric answer to be among the rationale's numbers, in digits or as words up to twenty.
    """
    value = parse_number(answer)
    result = _read_result(rationale, is_worded=is_worded)
    if result is not None:
        own = parse_number(_UNIT.sub("", result))
        if own is not None and value is not None:
            return None if own == value else f"the rationale ends in {result!r}, the example's answer is {answer!r}"
        if is_verbatim and not _LETTER.search(result + answer):
            is_same = _squeeze(result) == _squeeze(answer)
            return None if is_same else f"the rationale ends in {result!r}, the example's answer is {answer!r}"
    if must_be_said and value is not None and _is_never_said(value, rationale):
        return f"the rationale never mentions the example's answer {answer!r}"
    return None


def _read_result(rationale: str, *, is_worded: bool) -> str | None:
    """Return what follows the last ``=`` or the like in the last line; None if there is none."""
    lines = rationale.strip()[-_LAST_CHARS:].splitlines()
    last = lines[-1].strip().rstrip(".!*`$ ") if lines else ""
    after_sign = _SIGN_OF_RESULT.split(last)
    if len(after_sign) > 1 and not re.search(r"[.!?]\s", after_sign[-1]):
        return after_sign[-1].strip(" *`$")
    after_word = _WORD_OF_RESULT.split(last)
    is_bare = is_worded and len(after_word) > 1 and parse_number(after_word[-1].strip(" *`$")) is not None
    return after_word[-1].strip(" *`$") if is_bare else None


def _is_never_said(value: Fraction, rationale: str) -> bool:
    """Whether a rationale contains numbers, but neither the value nor its negative."""
    numerals = _NUMERAL.findall(rationale) + _FRACTION.findall(rationale)
    said = {abs(number) for number in map(parse_number, numerals) if number is not None}
    if not said:
        return False
    said |= {Fraction(NUMBER_WORDS[word]) for word in re.findall(r"[a-z]+", rationale.lower()) if word in NUMBER_WORDS}
    return abs(value) not in said


def _squeeze(text: str) -> str:
    return re.sub(r"[\s.]+", "", text).replace("×", "x")
