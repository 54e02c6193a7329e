"""Answers: one parser per answer type, the same for gold answers, teachers and students.

`ANSWERS` maps an answer type to three functions: `read` (a cell that holds only an answer), `extract` (a whole text that
ends in an answer) and `equal`. All return canonical text, so that what is stored is what is compared.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from limbeck.answers.equation import find_last_expression, is_equal_arithmetic, read_expression
from limbeck.answers.equivalence import is_equivalent_math
from limbeck.answers.formulation import find_last_formulation, is_equal_formulation, read_formulation

Labels = Sequence[str]

_UNSIGNED = r"(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?"
_NUMBER = re.compile(rf"(?:-(?:\\?[$€£])?)?{_UNSIGNED}(?:\s*/\s*-?{_UNSIGNED})?")
_THOUSANDS = re.compile(r"(?<=\d)[,\s](?=\d{3}(?!\d))")
_MAX_NUMBER_CHARS = 400
_CHOICE_MARKED = re.compile(r"\(([A-Z])\)")
# "A dog" and "I think" are words; "A is right", "A." and "A" are options.
_CHOICE_BARE = re.compile(
    r"(?<![A-Za-z'])(?:[B-HJ-Z]|[AI](?! (?!is\b|was\b|and\b|or\b|because\b|since\b|as\b)[a-z]))(?![A-Za-z'’])"
)
# "++" and "(?<!\s)": a long run of spaces is looked at once, and not from each of its places again.
_MANY_CHOICES = re.compile(
    r"\W*\(?[A-Z]\)?\s*+(?:[/&]|,(?:\s*+\b(?:or|and)\b)?|\b(?:or|and)\b)\s*+(?:\([A-Z]\)|[B-HJ-Z](?![A-Za-z'’]))"
)
_CLAUSE_END = re.compile(r"[.;,]?(?:(?<!\s)\s+(?=\()|(?<=[.;,])\s+)|(?<!\s)\s+(?=because\b|since\b)")  # where a clause may end
_MATH_ENDS = (".", ",", ";")


@dataclass(frozen=True)
class AnswerType:
    """How answers of one type are read and compared.

    Attributes:
        read: ``(cell, labels) -> canonical answer`` or None where the cell holds none.
        find_last: ``(text, labels) -> canonical answer``: the last thing in a text that looks like one, or None.
        equal: whether two canonical answers are the same.
        is_ambiguous: whether a line names several answers, and so gives none.
        is_multiline: whether an answer may take several lines; then it counts only as a whole, never for how it begins.
    """

    read: Callable[[str, Labels], str | None]
    find_last: Callable[[str, Labels], str | None]
    equal: Callable[[str, str], bool]
    is_ambiguous: Callable[[str], bool] = lambda line: False
    is_multiline: bool = False

    def extract(self, text: str, labels: Labels, marker: str) -> str | None:
        """The answer after the last `marker`, or without a marker the last answer in the text, or None.

        The line after the marker counts first as a whole, then for the answer it begins or ends with.
        """
        split = split_at_marker(text, marker)
        if split is None:
            return self.find_last(text, labels)
        line = self.cut_answer(split[1])
        if self.is_ambiguous(line):
            return None
        return self.read_clause(line, labels) or self.find_last(line, labels)

    def cut_answer(self, after: str) -> str:
        """Of what stands after a marker the part that states the answer: a line, or all where answers take several."""
        return after.strip() if self.is_multiline else after.strip().split("\n", 1)[0].strip()

    def read_clause(self, line: str, labels: Labels) -> str | None:
        """The answer that a line is, or begins with up to a clause's end; None where it says something else."""
        if self.is_multiline:
            return self.read(line, labels)
        begin = _CLAUSE_END.split(line.strip("*` "), maxsplit=1)[0]
        return self.read(line, labels) or self.read(begin, labels)


def split_at_marker(text: str, marker: str) -> tuple[str, str] | None:
    """What stands before and after the last occurrence of the marker (case ignored, an optional colon skipped), or None.

    The marker is found as whole words. One that is a single word ("Answer") must begin its line or have its colon, since
    it may be any word of a sentence.
    """
    if not marker:
        return None
    words = ("(?<!\\w)" if marker[0].isalnum() else "") + re.escape(marker) + (r"(?!\w)" if marker[-1].isalnum() else "")
    pattern = words + r"\s*:?"
    if " " not in marker and marker[-1].isalnum():
        pattern = rf"(?:^(?:[^\w\n]{{0,8}}){words}\s*:?|{words}\s*:)"
    matches = list(re.finditer(pattern, text, re.IGNORECASE | re.MULTILINE))
    return (text[: matches[-1].start()], text[matches[-1].end() :]) if matches else None


def resolve_answer_type(name: object) -> object:
    """The canonical name of an answer type; ``letter`` and ``latex`` are the data sets' words for two of them."""
    aliases = {"letter": "choice", "latex": "math"}
    resolved = aliases.get(str(name), str(name))
    if resolved not in ANSWERS:
        raise ValueError(f"unknown answer type {name!r:.80}; known are {', '.join(ANSWERS)}")
    return resolved


def parse_number(text: str) -> Fraction | None:
    """The exact value of a number as people write it (``-1,204.50``, ``$3``, ``3/4``, ``12%`` as 12), or None."""
    if len(text) > 4 * _MAX_NUMBER_CHARS:
        return None
    cleaned = re.sub(r"\\?[$€£%]|\\!", "", text.replace("−", "-")).strip().rstrip(".,")
    cleaned = re.sub(r"\s*/\s*", "/", _THOUSANDS.sub("", cleaned))
    if len(cleaned) > _MAX_NUMBER_CHARS:
        return None
    try:
        return _ratio(cleaned)
    except ZeroDivisionError:
        return None


def _ratio(cleaned: str) -> Fraction | None:
    one = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,2})?"
    match = re.fullmatch(rf"({one})(?:/({one}))?", cleaned)
    return Fraction(match[1]) / Fraction(match[2] or 1) if match else None


def _read_number(cell: str, labels: Labels) -> str | None:
    value = parse_number(cell)
    return None if value is None else _write_number(value)


def _write_number(value: Fraction) -> str:
    denominator = value.denominator
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    if value.denominator == 1 or denominator != 1:
        return str(value)
    digits = 0
    while (value * 10**digits).denominator != 1:
        digits += 1
    scaled = str(abs(int(value * 10**digits))).rjust(digits + 1, "0")
    return ("-" if value < 0 else "") + scaled[:-digits] + "." + scaled[-digits:]


def _find_last_number(text: str, labels: Labels) -> str | None:
    text = text.replace("−", "-")
    for match in reversed(list(_NUMBER.finditer(text))):
        start = match.start()
        # A hyphen after a digit or letter joins words or subtracts; it is no sign.
        joined = match[0].startswith("-") and start > 0 and (text[start - 1].isalnum() or text[start - 1] in ")")
        found = _read_number(match[0][1:] if joined else match[0], labels)
        if found is not None:
            return found
    return None


def _equal_numbers(first: str, second: str) -> bool:
    a, b = parse_number(first), parse_number(second)
    return a is not None and a == b


def _read_choice(cell: str, labels: Labels) -> str | None:
    match = re.fullmatch(r"\(?([A-Za-z])\)?[.:]?(?:\s.*)?", cell.strip(), re.DOTALL)
    if not match or _MANY_CHOICES.match(cell) or (len(cell.strip()) > 1 and not re.match(r"\(?[A-Za-z][).:]", cell.strip())):
        return None
    return match[1].upper()


def _find_last_choice(text: str, labels: Labels) -> str | None:
    found = _CHOICE_MARKED.findall(text) or _CHOICE_BARE.findall(text)
    return found[-1] if found else None


def _read_label(cell: str, labels: Labels) -> str | None:
    cleaned = _squash(cell)
    if not labels:
        return cell.strip() or None
    return next((label for label in labels if _squash(label) == cleaned), None)


def _find_last_label(text: str, labels: Labels) -> str | None:
    """The label whose last whole-word mention ends last; of those that end together, the longest."""
    best: tuple[int, int, str] | None = None
    for label in labels:
        for match in re.finditer(rf"(?<![\w-]){re.escape(label)}(?![\w-])", text, re.IGNORECASE):
            place = (match.end(), match.end() - match.start(), label)
            best = place if best is None or place[:2] > best[:2] else best
    return best[2] if best else None


def _squash(text: str) -> str:
    return re.sub(r"\s+", " ", text.strip().strip("\"'`*.:").strip()).casefold()


def _read_text(cell: str, labels: Labels) -> str | None:
    cleaned = re.sub(r"\s+", " ", cell).strip().strip("*`").strip()
    return cleaned or None


def _find_last_line(text: str, labels: Labels) -> str | None:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return _read_text(lines[-1], labels) if lines else None


def normalise_text(text: str) -> str:
    """SQuAD's normal form: lower case, no punctuation, no articles, single spaces."""
    text = "".join(char for char in text.lower() if char not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def compute_token_f1(prediction: str | None, gold: str) -> float:
    """SQuAD's F1 of one prediction: harmonic mean of token precision and recall after `normalise_text`, 0 to 1."""
    got, want = normalise_text(prediction or "").split(), normalise_text(gold).split()
    if not got or not want:
        return float(got == want)
    shared = sum((Counter(got) & Counter(want)).values())
    return 2 * shared / (len(got) + len(want))


def _equal_texts(first: str, second: str) -> bool:
    a, b = normalise_text(first), normalise_text(second)
    # Normalising may leave nothing of an answer that is punctuation only ("*", "the"): then compare as written.
    return a == b if a or b else first.strip().rstrip(".") == second.strip().rstrip(".")


def _read_math(cell: str, labels: Labels) -> str | None:
    boxed = find_last_boxed(cell)
    cleaned = (cell if boxed is None else boxed).strip().strip("*`").strip()
    while cleaned.endswith(_MATH_ENDS):
        cleaned = cleaned[:-1].rstrip()
    for opening, closing in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
        if len(cleaned) > len(opening + closing) and cleaned.startswith(opening) and cleaned.endswith(closing):
            cleaned = cleaned[len(opening) : -len(closing)].strip()
    return cleaned or None


def _find_last_math(text: str, labels: Labels) -> str | None:
    boxed = find_last_boxed(text)
    if boxed is not None:
        return _read_math(boxed, labels)
    inline = re.findall(r"\$([^$]+)\$|\\\(([^\n\\]*(?:\\[^()\n][^\n\\]*)*)\\\)", text)
    return _read_math(inline[-1][0] or inline[-1][1], labels) if inline else _find_last_number(text, labels)


def find_last_boxed(text: str) -> str | None:
    r"""The content of the last ``\boxed{…}`` with balanced braces, or None."""
    best: tuple[int, int] | None = None
    open_braces: list[int] = []
    for match in re.finditer(r"\\boxed\{|[{}]", text):
        if match[0] != "}":
            open_braces.append(match.end() if match[0] != "{" else -1)
        elif open_braces and (begin := open_braces.pop()) >= 0 and (best is None or begin > best[0]):
            best = begin, match.start()
    return None if best is None else text[best[0] : best[1]]


def _find_last_equation(text: str, labels: Labels) -> str | None:
    return find_last_expression(text) or read_expression(_find_last_number(text, labels) or "")


ANSWERS: Mapping[str, AnswerType] = {
    "number": AnswerType(_read_number, _find_last_number, _equal_numbers),
    "choice": AnswerType(_read_choice, _find_last_choice, lambda a, b: a == b, lambda line: bool(_MANY_CHOICES.match(line))),
    "label": AnswerType(_read_label, _find_last_label, lambda a, b: _squash(a) == _squash(b)),
    "text": AnswerType(_read_text, _find_last_line, _equal_texts),
    "math": AnswerType(_read_math, _find_last_math, is_equivalent_math),
    "equation": AnswerType(lambda cell, labels: read_expression(cell), _find_last_equation, is_equal_arithmetic),
    "formulation": AnswerType(
        lambda cell, labels: read_formulation(cell),
        lambda text, labels: find_last_formulation(text),
        is_equal_formulation,
        is_multiline=True,
    ),
}
