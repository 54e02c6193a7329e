"""`scripted`: a teacher with predefined replies, for tests and dry runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from limbeck.data.json_rows import read_jsonl
from limbeck.data.rows import update_digest
from limbeck.data.task import Task
from limbeck.errors import ConfigError, DataError
from limbeck.teacher.request import Backend, BackendError, Reply, TeacherRequest
from limbeck.teacher.settings import TeacherSettings


class ScriptedBackend(Backend):
    """Answers each request with what a function returns: a text, a reply, or an exception to raise.

    `asked` lists every request received, in order of arrival.
    """

    def __init__(self, script: Callable[[TeacherRequest], str | Reply | BaseException]) -> None:
        self._script = script
        self.asked: list[TeacherRequest] = []

    @classmethod
    def from_settings(cls, settings: TeacherSettings) -> ScriptedBackend:
        """Read a script from `teacher.path`: JSONL rows ``{"match": TEXT, "text": REPLY}``, optionally ``finish_reason``.

        The first row whose `match` occurs in the prompt answers; an empty or missing `match` matches every prompt.

        Raises:
            ConfigError: `teacher.path` is not set.
            DataError: the file can't be read, or a row has no `text`.
        """
        if settings.path is None:
            raise ConfigError("teacher.backend: scripted needs teacher.path, a JSONL file of {match, text} rows")
        digest = hashlib.sha256()
        replies = read_replies(settings.path, digest)
        rows = [(match, Reply(text, settings.model, finish_reason)) for match, text, finish_reason in replies]

        def script(request: TeacherRequest) -> Reply | BaseException:
            prompt = "\n".join(message["content"] for message in request.messages)
            fit = (reply for match, reply in rows if match in prompt)
            return next(fit, None) or BackendError(f"no row of {settings.path} matches the prompt")

        backend = cls(script)
        backend.hashes = {"replies": digest.hexdigest()}
        return backend

    async def send(self, request: TeacherRequest) -> Reply:
        """Return the script's reply, or raise its exception."""
        self.asked.append(request)
        said = self._script(request)
        if isinstance(said, BaseException):
            raise said
        return Reply(said, request.body["model"]) if isinstance(said, str) else said


def read_replies(path: Path, digest: Any = None) -> list[tuple[str, str, str]]:  # noqa: ANN401 (hashlib names no type)
    """Read ``(match, text, finish_reason)`` from each row of a file; updates `digest`, if given, with every row.

    Raises:
        DataError: the file can't be read, or a row has no `text`.
    """
    rows = []
    for place, row in read_jsonl(path):
        if digest is not None:
            update_digest(digest, row)
        if not isinstance(row.get("text"), str):
            raise DataError(f"{place}: no column 'text'; the row has {sorted(row)}")
        rows.append((str(row.get("match", "")), row["text"], str(row.get("finish_reason", "stop"))))
    return rows


def open_scripted(settings: TeacherSettings, task: Task) -> ScriptedBackend:
    """Open the backend of the settings; the task is not used."""
    return ScriptedBackend.from_settings(settings)
