"""The options of a multiple-choice row, in the forms of published data sets, and which of them is right."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from limbeck.answers.choice import CHOICE
from limbeck.answers.identity import make_key
from limbeck.data.cells import MISSING_WORDS, check_text, is_missing, to_text
from limbeck.errors import DataError

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Choices:
    """The options of a row in order, and the keys that the row gives them: letters, digits, or none."""

    texts: tuple[str, ...]
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join(f"({letter}) {text}" for letter, text in zip(LETTERS, self.texts, strict=False))

    def add_to(self, question: str) -> str:
        """The question followed by the options, one a line, unless it shows them already."""
        pieces = [rf"\b{letter}\)?[).:]\s*{re.escape(text)}" for letter, text in zip(LETTERS, self.texts, strict=False)]
        is_shown = all(re.search(piece, question) for piece in pieces)
        return question if is_shown else f"{question}\n{self}"

    def find(self, answer: object, place: str, *, is_value_possible: bool) -> int:
        """The place, from 0, of the option that an answer names.

        A text names an option by its key, its letter or its whole text; a number, without such keys, by its place from 0.

        Args:
            answer: the cell.
            place: for errors.
            is_value_possible: whether a number may also be the text of an option.

        Raises:
            DataError: the answer names no option, or two different ones.
        """
        key = "" if isinstance(answer, bool) or not isinstance(answer, (str, int, float)) else make_key(to_text(answer))
        found = {index for index, name in enumerate(self.keys) if make_key(name) == key}
        if isinstance(answer, str) or is_value_possible:
            found |= self._find_text(key)
        if isinstance(answer, str) and not self.keys:
            letter = None if key.isdecimal() else CHOICE.read(key, ())  # a digit without keys may count from 0 or from 1
            found |= {LETTERS.index(letter)} if letter and LETTERS.index(letter) < len(self.texts) else set()
        elif not found and isinstance(answer, str):
            found = {index for index, name in enumerate(self.keys) if make_key(name).casefold() == key.casefold()}
        elif key.isdecimal() and not isinstance(answer, str) and not (set(self.keys) & {key}):
            found |= {int(key)} if int(key) < len(self.texts) else set()
        if len(found) != 1:
            what = "could be more than one" if found else "is none"
            raise DataError(f"{place}: the answer {answer!r:.80} {what} of the options {str(self).splitlines()!r:.300}")
        return found.pop()

    def _find_text(self, key: str) -> set[int]:
        same = {index for index, text in enumerate(self.texts) if make_key(text) == key}
        return same if len(same) == 1 else set()


def read_choices(value: object, place: str, column: str = "") -> Choices | None:
    """The options in a cell, or None if it has none.

    Read are a list of texts, also as JSON; a list of ``{label, text}``; ``{label: [...], text: [...]}``; and
    ``{A: ..., B: ...}``. Empty ones at the end are no options: a Parquet column gives every row the keys of the longest one.

    Args:
        value: the cell.
        place: for errors.
        column: the column of a row that must not lose its options; without one, a cell in another form has none.

    Raises:
        DataError: an option is empty, there are more than 26, or labels and texts differ in number; or the cell of `column`
            has another form.
    """
    texts, keys = _list_choices(_parse(value))
    if len(texts) < 2 or not all(isinstance(text, (str, int, float)) for text in texts):
        if not column or _is_empty(value):
            return None
        raise DataError(
            f"{place}: column {column!r}: the options must be 2 to {len(LETTERS)} texts, none of them empty, found "
            f"{value!r:.200}; write a list of texts or an object with the keys A, B, ..., or rename the column if it has none"
        )
    if len(texts) > len(LETTERS) or (keys and len(keys) != len(texts)) or any(is_missing(text) for text in texts):
        raise DataError(f"{place}: the options must be 2 to {len(LETTERS)} texts, none of them empty: {value!r:.200}")
    names = [check_text(to_text(text).strip(), "an option", place) for text in texts]
    return Choices(tuple(_drop_letters(names)), tuple(to_text(key).strip() for key in keys))


def _parse(value: object) -> object:
    """The list in a text that is a JSON array, such as a cell of a CSV file; any other value as it is."""
    if not isinstance(value, str) or not value.strip().startswith("["):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _list_choices(value: object) -> tuple[list[Any], Sequence[Any]]:
    """``(texts, keys)`` of a cell, without the empty ones at the end; no texts if it has another form."""
    texts: list[Any] = []
    keys: Sequence[Any] = ()
    if isinstance(value, dict) and isinstance(value.get("text"), list):
        texts, keys = value["text"], value.get("label") or ()
    elif isinstance(value, dict) and all(re.fullmatch(r"[A-Za-z]|\d{1,2}", str(key)) for key in value):
        texts, keys = list(value.values()), list(value)
    elif isinstance(value, list) and value and all(isinstance(item, dict) and "text" in item for item in value):
        texts, keys = [item["text"] for item in value], [item["label"] for item in value if "label" in item]
    elif isinstance(value, list):
        texts = value
    count = next((place for place in range(len(texts), 0, -1) if not is_missing(texts[place - 1])), 0)
    return texts[:count], keys[:count] if len(keys) == len(texts) else keys


def _is_empty(value: object) -> bool:
    """Whether a cell has nothing that could be an option."""
    value = _parse(value)
    if isinstance(value, (list, dict)):
        return all(_is_empty(item) for item in (value.values() if isinstance(value, dict) else value))
    return is_missing(value) or (isinstance(value, str) and value in MISSING_WORDS)


def _drop_letters(texts: list[str]) -> list[str]:
    """The options without the letters that they begin with, if all do, as in ``A) 21``."""
    cut = [re.sub(rf"^\(?{letter}[).:]\s*", "", text) for letter, text in zip(LETTERS, texts, strict=False)]
    return cut if all(0 < len(short) < len(text) for short, text in zip(cut, texts, strict=True)) else texts


def read_target_scores(value: dict[str, Any], place: str) -> tuple[Choices, list[int]]:
    """The options of a BIG-bench row, and the places of those with the highest score.

    Raises:
        DataError: there are fewer than two options, or no score is above 0.
    """
    choices = read_choices(list(value), place)
    scores = list(value.values())
    is_read = choices is not None and len(choices.texts) == len(scores)
    if choices is None or not is_read or not all(isinstance(score, (int, float)) for score in scores) or max(scores) <= 0:
        raise DataError(
            f"{place}: 'target_scores' must have two options or more, the right ones with scores above 0: {value!r:.200}"
        )
    return choices, [index for index, score in enumerate(scores) if score == max(scores)]
