"""Reads sources as examples; every error names the file and the line."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from limbeck.answers.identity import fold_case, join_words
from limbeck.answers.types import ANSWERS
from limbeck.data.cells import check_text
from limbeck.data.content import read_content, read_gold
from limbeck.data.data_settings import DataSettings
from limbeck.data.domains import Spellings
from limbeck.data.example import OTHER_ANSWERS, Example, make_example_id
from limbeck.data.readers import read_rows
from limbeck.data.row_examples import ALL_DOMAINS, make_example, read_answer_type, read_domain
from limbeck.data.rows import Notes, PlacedRow, PlacedRows, name_line, update_digest
from limbeck.data.task import Task
from limbeck.errors import ConfigError, DataError

__all__ = ["ALL_DOMAINS", "DataSettings", "Reading", "read_examples", "read_labelled", "read_questions"]


@dataclass(frozen=True)
class Reading:
    """The contents of a source.

    Attributes:
        source: its name.
        examples: the examples in order.
        repeat_count: how many exact repeats were collapsed.
        domains: how many examples each domain has.
        digest: the hash of the rows.
        first_repeat: the line or row of the first repeat.
        notes: what the user should know: what was detected, merged and passed over.
    """

    source: str
    examples: tuple[Example, ...]
    repeat_count: int = 0
    domains: Mapping[str, int] = field(default_factory=dict)
    digest: str = ""
    first_repeat: str = field(default="", compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class KnownNames:
    """Names that were seen in the training data: a held-out source spells its domains and labels like them."""

    domains: Sequence[str] = ()
    labels: Sequence[str] = ()


def read_examples(
    source: str | Path, task: Task, settings: DataSettings, wanted: str = "train", known: KnownNames | None = None
) -> Reading:
    """Read all examples of a labelled source; rows with the same domain and fields become one example (the first is kept).

    Domains that differ at most in case, normal form or invisible characters are one, by the first spelling.

    Args:
        source: a source as in `read_rows`.
        task: fields, answer type and labels.
        settings: columns and domain.
        wanted: the split to read: ``train``, ``dev`` or ``test``.
        known: the names of the training data, for a held-out source.

    Raises:
        DataError: a missing file or column, a malformed line, an empty domain, an answer of the wrong type, two answers
            to one question, or no rows; the message names file and line. Also if one of ``data.domains`` has no row in a
            training source, or all of them have none in a held-out one; the message lists the domains that exist.
    """
    notes = Notes()
    rows = _read_kept_rows(source, task, settings, wanted, notes)
    return _make_reading(source, rows, task, settings, notes, known or KnownNames())


def _make_reading(
    source: str | Path, rows: Iterable[PlacedRow], task: Task, settings: DataSettings, notes: Notes, known: KnownNames
) -> Reading:
    examples: dict[str, Example] = {}
    first_place: dict[str, str] = {}
    repeats: list[str] = []
    spellings = Spellings((*(settings.domains or ()), *known.domains))
    labels = _Labels(known.labels)
    digest = hashlib.sha256()
    for place, row in rows:
        update_digest(digest, row)
        example = labels.match(make_example(row, task, settings, place), settings)
        if settings.domain == "column":
            example = _move(example, spellings.find(example.domain), place)
        kept = examples.setdefault(example.id, example)
        first_place.setdefault(example.id, place)
        if kept is not example:
            repeats.append(place)
            is_same = task.is_correct(example.answer, kept) or task.is_correct(kept.answer, example)
            if kept.answer_type != example.answer_type or not is_same:
                raise DataError(
                    f"{place}: answer {example.answer!r} contradicts {name_line(first_place[example.id])}, which gives "
                    f"{kept.answer!r} for the same question; correct or remove one of the two"
                )
            examples[example.id] = _merge_golds(kept, example)
    if not examples:
        raise DataError(f"{source}: no rows")
    domains: dict[str, int] = {}
    for example in examples.values():
        domains[example.domain] = domains.get(example.domain, 0) + 1
    name = Path(source).name
    for domain, others in spellings.list_merged().items():
        merged = ", ".join(map(repr, others))[:300]
        notes.say(f"{name}: the domains {merged} are read as {domain!r}, from which they differ only in form")
    labels.say(name, notes)
    first = name_line(repeats[0]) if repeats else ""
    return Reading(
        str(source), tuple(examples.values()), len(repeats), domains, digest.hexdigest(), first, tuple(notes.list_all())
    )


def _merge_golds(kept: Example, repeat: Example) -> Example:
    """The kept example, for which every gold answer of its repeat is right, too."""
    equal = ANSWERS[kept.answer_type].equal
    others = list(kept.meta.get(OTHER_ANSWERS, ()))
    new: list[str] = []
    for gold in (repeat.answer, *repeat.meta.get(OTHER_ANSWERS, ())):
        if not any(equal(gold, known) for known in (kept.answer, *others, *new)):
            new.append(gold)
    return kept.but(meta={**kept.meta, OTHER_ANSWERS: others + new}) if new else kept


def _move(example: Example, domain: str, place: str) -> Example:
    """The example in another domain, which is part of its id."""
    if not domain:
        raise DataError(f"{place}: the domain {example.domain!r} has only invisible characters")
    return example if domain == example.domain else example.but(id=make_example_id(domain, example.fields), domain=domain)


class _Labels:
    """Spells the labels of a held-out source like those of the training data, and counts those that it lacks."""

    def __init__(self, known: Sequence[str]) -> None:
        self._known = tuple(known)
        self._unknown: dict[str, int] = {}
        self._respelled: dict[str, str] = {}

    def match(self, example: Example, settings: DataSettings) -> Example:
        kind = ANSWERS[example.answer_type]
        if not self._known or not kind.is_label or example.answer in self._known:
            return example
        found = kind.read(example.answer, self._known)
        if found is None:
            self._unknown[example.answer] = self._unknown.get(example.answer, 0) + 1
            return example
        self._respelled[example.answer] = found
        example = example.but(answer=found)
        return _move(example, found, "") if settings.domain == "answer" else example

    def say(self, name: str, notes: Notes) -> None:
        for label, found in self._respelled.items():
            notes.say(f"{name}: the label {label!r} is read as {found!r}, as in the training data")
        if self._unknown:
            notes.say(
                f"{name}: {sum(self._unknown.values())} rows have labels that never occur in the training data: "
                f"{', '.join(map(repr, sorted(self._unknown)))[:300]}; no student can get them right"
            )


def read_questions(
    source: str | Path, task: Task, settings: DataSettings, notes: Notes | None = None
) -> list[tuple[dict[str, Any], str, str]]:
    """Read the rows of an unlabelled source, each with its rendered question and answer type (for ``limbeck predict``).

    Args:
        source: a source as in `read_rows`.
        task: fields and answer type.
        settings: columns.
        notes: receives what the user should know.

    Raises:
        DataError: see `read_examples`, except for answers.
    """
    rows = []
    for place, row in read_rows(source, "test", notes):
        answer_type = read_answer_type(row, task, settings, place)
        fields = dict(read_content(row, task, settings.columns, answer_type, place).fields)
        check_text(row, "the row", place)  # `limbeck predict` writes the whole row
        rows.append((row, task.render_question(fields), answer_type))
    if not rows:
        raise DataError(f"{source}: no rows")
    return rows


def read_labelled(task: Task, settings: DataSettings, wanted: str = "train") -> tuple[Task, Reading]:
    """Read the examples of a split, and add their labels to the task if it is a label task that lists none.

    Args:
        task: fields, answer type and labels.
        settings: columns and domain.
        wanted: ``train``, ``human`` or ``test``.

    Raises:
        ConfigError: the split is not set.
        DataError: see `read_examples`.
    """
    source = getattr(settings, wanted)
    if source is None:
        raise ConfigError(f"data.{wanted} is not set")
    split = "test" if wanted == "test" else "train"
    if not task.has_label_answers or task.labels:
        return task, read_examples(source, task, settings, split)
    notes = Notes()
    rows = list(_read_kept_rows(source, task, settings, split, notes))
    names = {_read_label(row, task, settings, place) for place, row in rows}
    for same in _list_lookalikes(names):
        notes.say(f"{Path(source).name}: the labels {same}; if they are one label, write it in one way")
    task = task.model_copy(update={"labels": dict.fromkeys(sorted(names), "")})
    return task, _make_reading(source, rows, task, settings, notes, KnownNames())


def _read_label(row: dict[str, Any], task: Task, settings: DataSettings, place: str) -> str:
    content = read_content(row, task, settings.columns, task.answer, place)
    return read_gold(row, content, task, settings.columns, task.answer, place).answer


def _list_lookalikes(names: Iterable[str]) -> list[str]:
    """The names that differ only in case, or also in signs around and between words, each group as one text."""
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        groups.setdefault(join_words(name) or name, []).append(name)
    said = []
    for group in groups.values():
        if len(group) > 1:
            has_one_case = len(set(map(fold_case, group))) == 1
            how = "case" if has_one_case else "case, in signs around or between words, or in the zeros of a number"
            said.append(f"{' and '.join(map(repr, group))} differ only in {how}")
    return said


def _read_kept_rows(source: str | Path, task: Task, settings: DataSettings, wanted: str, notes: Notes) -> PlacedRows:
    """The rows of a source whose domain is in ``data.domains``; all rows if that is null."""
    if settings.domains is None:
        yield from read_rows(source, wanted, notes)
        return
    spellings = Spellings(settings.domains)
    kept = {spellings.find(name): name for name in settings.domains}
    known = set()
    for place, row in read_rows(source, wanted, notes):
        domain = read_domain(row, task, settings, place)
        if settings.domain == "column":
            domain = spellings.find(domain)
        known.add(domain)
        if domain in kept or domain in settings.domains:
            yield place, row
        else:
            notes.count(f"rows of {Path(source).name} whose domain data.domains leaves out passed over", name_line(place))
    missing = [name for form, name in kept.items() if form not in known and name not in known]
    if known and missing and (wanted == "train" or len(missing) == len(settings.domains)):
        raise DataError(
            f"{source}: data.domains lists {', '.join(map(repr, missing))[:300]}, but no row has such a domain; known: "
            f"{', '.join(map(repr, sorted(known)))[:1500]}"
        )
