"""The teacher backends that a config can name. Each is imported when it is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from limbeck.data.task import Task
from limbeck.tables import Table, load_attribute

if TYPE_CHECKING:
    from limbeck.teacher.request import Backend
    from limbeck.teacher.settings import TeacherSettings


class OpenBackend(Protocol):
    """Opens a backend."""

    def __call__(self, settings: TeacherSettings, task: Task) -> Backend:
        """Open the backend that the settings describe; reads files, sends nothing.

        Raises:
            ConfigError, DataError: a setting is missing, or a file can't be read.
        """
        ...


@dataclass(frozen=True)
class BackendType:
    """A way of sending requests.

    Attributes:
        source: the function that opens the backend, or its ``module:name``.
        is_remote: whether replies come over a network, so that a plan estimates waiting time by `teacher.max_concurrency`.
        is_simulated: whether no real model is asked; the model card reports it.
        is_replay: whether each reply is given once and in order, whatever the request; runs can't share such replies.
        tokens_per_s: generated tokens per second on this machine, for a plan's time estimate; None if unknown.
    """

    source: OpenBackend | str
    is_remote: bool = False
    is_simulated: bool = False
    is_replay: bool = False
    tokens_per_s: float | None = None

    @property
    def open(self) -> OpenBackend:
        """The function that opens the backend."""
        found: OpenBackend = load_attribute(self.source) if isinstance(self.source, str) else self.source
        return found


BACKENDS: Table[BackendType] = Table(
    "backends",
    "backend",
    {
        "openai_compatible": BackendType("limbeck.teacher.backends.openai_compatible:open_openai", is_remote=True),
        # SmolLM2-135M on two CPU cores, benchmarks/embedded_slots.py
        "embedded": BackendType("limbeck.teacher.backends.embedded:open_embedded", tokens_per_s=180.0),
        "recorded": BackendType("limbeck.teacher.backends.recorded:RecordedBackend", is_replay=True),
        "tutor": BackendType("limbeck.teacher.backends.tutor:TutorBackend", is_simulated=True),
        "scripted": BackendType("limbeck.teacher.backends.scripted:open_scripted"),
    },
)
"""The values of ``teacher.backend``."""
