"""Numbers as people write them, read as exact fractions."""

from __future__ import annotations

from fractions import Fraction

from limbeck.answers.answer_type import AnswerType, Labels
from limbeck.answers.boxes import list_boxed, list_last_boxed
from limbeck.answers.clauses import cut_first_clause, split_sentences
from limbeck.answers.numerals import NUMBER_WORDS, parse_number, write_number
from limbeck.answers.quantity import read_quantity, read_result, read_stated_quantity
from limbeck.answers.results import find_other_result
from limbeck.answers.rounding import is_same_number

_MAX_LAST_CHARS = 2_000


def read_number(cell: str, labels: Labels) -> str | None:
    """Return the canonical form of the number that a cell is, with or without a unit; None if it is anything else."""
    boxes = list_boxed(cell)
    return _write(read_quantity(boxes[0] if boxes else cell)) if len(boxes) < 2 else None


def read_stated_number(line: str, labels: Labels) -> str | None:
    """Return the canonical form of the one number that a line states; None if there is none or more than one."""
    boxes = list_boxed(line)
    if boxes:
        return _write(read_stated_quantity(boxes[0])) if len(boxes) == 1 else None
    found, clause = read_stated_quantity(line), cut_first_clause(line)
    rest = "" if clause is None else line[len(clause) :].strip(" .()").lower()
    if found is not None or clause is None or parse_number(rest) is not None or rest in NUMBER_WORDS:
        return _write(found)
    return _write(read_stated_quantity(clause))


def find_last_number(text: str, labels: Labels) -> str | None:
    """Return the canonical form of the number in the last box of a text, or else in its last sentence; None without one."""
    boxes = list_last_boxed(text)
    if boxes:
        return _write(read_stated_quantity(boxes[0])) if len(boxes) == 1 else None
    sentences = split_sentences(text[-_MAX_LAST_CHARS:])
    if not sentences:
        return None
    result = read_result(sentences[-1])
    return _write(read_stated_quantity(sentences[-1]) if result is None else result)


def equal_numbers(first: str, second: str) -> bool:
    """Whether two numbers have the same value; see `is_same_number` for those that were rounded."""
    a, b = parse_number(first), parse_number(second)
    return a is not None and b is not None and is_same_number(write_number(a), write_number(b))


def _write(value: Fraction | None) -> str | None:
    return None if value is None else write_number(value)


NUMBER = AnswerType(
    read_number,
    find_last_number,
    equal_numbers,
    read_line=read_stated_number,
    find_other_result=lambda rationale, answer: find_other_result(rationale, answer, is_worded=True, must_be_said=True),
    is_numeric=True,
)
