"""The tables of `docs/data.md` are true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from limbeck.answers.types import ANSWERS

TEXT = (Path(__file__).parents[2] / "docs" / "data.md").read_text("utf-8").partition("## Answers")[2]
LABELS = ("positive", "negative", "neutral", "not_entailment", "entailment")


def read_rows(width: int) -> Iterator[tuple[str, ...]]:
    """Yield ``(heading, cells…)`` of the table rows with this many cells, without code marks."""
    heading = ""
    for line in TEXT.splitlines():
        if line.startswith("### "):
            heading = line.removeprefix("### ").strip("`")
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and len(cells) == width and cells[0].startswith("`"):
            yield (heading, *(re.sub(r"^`(.*)`$", r"\1", cell) for cell in cells))


READ, EQUAL = list(read_rows(2)), list(read_rows(4))


@pytest.mark.parametrize(("answer_type", "reply", "answer"), READ)
def test_the_answer_of_a_reply(answer_type: str, reply: str, answer: str) -> None:
    """Each documented reply is read as the documented answer, or refused."""
    found = ANSWERS[answer_type].extract(f"The answer is: {reply}", LABELS, "The answer is")
    assert found == (None if answer == "–" else answer)


@pytest.mark.parametrize(("_", "answer_type", "first", "second", "equal"), EQUAL)
def test_which_answers_are_equal(_: str, answer_type: str, first: str, second: str, equal: str) -> None:
    """Each documented pair of answers is equal, or not, in both directions."""
    same = ANSWERS[answer_type].equal
    assert {same(first, second), same(second, first)} == {equal == "yes"}


def test_the_tables_are_found() -> None:
    """The tests above cover every table of the document."""
    assert (len(READ) >= 55, len(EQUAL) >= 20) == (True, True)
