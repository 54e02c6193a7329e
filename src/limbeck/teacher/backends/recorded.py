"""`recorded`: replays a teacher's earlier replies from files. Nothing is sent, but everything is charged as if it were.

Annotations are looked up by question; only recorded questions can be annotated. Synthesized rows are returned by domain, in
file order and each once: a run's nth request for a domain gets its nth row, also after a resume. Rows without a rationale are
skipped as annotations, since some data sets have solutions for only some rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

from limbeck.data.overlap import normalise_question
from limbeck.data.readers import read_rows
from limbeck.data.rows import Row, update_digest
from limbeck.data.task import Task
from limbeck.errors import ConfigError, DataError
from limbeck.teacher.request import About, Backend, BackendError, Reply, TeacherRequest, estimate_tokens
from limbeck.teacher.settings import TeacherSettings


class RecordedBackend(Backend):
    """A teacher whose replies are in ``teacher.recorded.annotations`` and ``teacher.recorded.synthesized``.

    Args:
        settings: the files and their columns.
        task: its fields, and the prefix that precedes the answer in replies.

    Raises:
        ConfigError: neither file is set.
        DataError: a file can't be read, a row lacks its question or domain, or no row has a rationale.
    """

    def __init__(self, settings: TeacherSettings, task: Task) -> None:
        self._settings, self._task, self._columns = settings, task, settings.recorded.columns
        recorded = settings.recorded
        if recorded.annotations is None and recorded.synthesized is None:
            raise ConfigError("teacher.backend: recorded needs teacher.recorded.annotations or .synthesized, a file of replies")
        self._annotations: dict[str, str] = {}
        digests = {"annotations": hashlib.sha256(), "synthesized": hashlib.sha256()}
        without = None
        for place, row in _read(recorded.annotations):
            update_digest(digests["annotations"], row)
            if row.get(self._column("rationale")) is None:
                without = without or (place, row)
                continue
            question = normalise_question(task.render_question(self._read_fields(row, place)))
            self._annotations.setdefault(question, self._write_annotation(row, place))
        if without and not self._annotations:
            self._read(without[1], "rationale", without[0])  # raises: the column must have another name
        self._synthesized: dict[str, list[str]] = {}
        for place, row in _read(recorded.synthesized):
            update_digest(digests["synthesized"], row)
            self._synthesized.setdefault(self._read(row, "domain", place), []).append(self._write_example(row, place))

        self.hashes = {name: digest.hexdigest() for name, digest in digests.items() if getattr(recorded, name) is not None}

    def can_answer(self, about: About) -> bool:
        """Whether there is a record for the example's question, or another one for the domain."""
        if about.purpose == "annotate":
            return normalise_question(about.examples[0].question) in self._annotations
        return about.purpose == "synthesize" and about.index < len(self._synthesized.get(about.domain, ()))

    async def send(self, request: TeacherRequest) -> Reply:
        """Return the record, with estimated token counts.

        Raises:
            BackendError: there is no record.
        """
        about = request.about
        if not self.can_answer(about):
            raise BackendError(f"no record for this {about.purpose} request of domain {about.domain!r}")
        if about.purpose == "annotate":
            text = self._annotations[normalise_question(about.examples[0].question)]
        else:
            text = self._synthesized[about.domain][about.index]
        prompt_tokens = sum(estimate_tokens(message["content"]) for message in request.messages)
        return Reply(text, f"{self._settings.model} (recorded)", "stop", prompt_tokens, estimate_tokens(text))

    def _write_annotation(self, row: Row, place: str) -> str:
        rationale, column = self._read(row, "rationale", place), self._column("teacher_answer")
        stated = "" if row.get(column) is None else f"\n{self._task.answer_prefix}{row[column]}"
        return rationale + stated

    def _write_example(self, row: Row, place: str) -> str:
        answer = row.get(self._column("teacher_answer"))
        parts = {
            **self._read_fields(row, place),
            "rationale": self._read(row, "rationale", place),
            "answer": str(answer) if answer is not None else self._read(row, "answer", place),
        }
        return json.dumps(parts, ensure_ascii=False)

    def _read_fields(self, row: Row, place: str) -> dict[str, str]:
        return {name: self._read(row, name, place) for name in self._task.fields}

    def _read(self, row: Row, name: str, place: str) -> str:
        column = self._column(name)
        if not isinstance(row.get(column), (str, int, float)):
            raise DataError(
                f"{place}: no text in column {column!r}; the row has {', '.join(map(repr, row))}. If the column has "
                f"another name, set teacher.recorded.columns, such as {{{name}: COLUMN}}"
            )
        return str(row[column]).strip()

    def _column(self, name: str) -> str:
        return self._columns.get(name, name)


def _read(source: str | None) -> Iterable[tuple[str, Row]]:
    return () if source is None else read_rows(source)
