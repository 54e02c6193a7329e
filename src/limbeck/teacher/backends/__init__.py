"""How a request is sent. `BACKENDS` maps the config's word to what opens the backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from limbeck.data.task import Task
from limbeck.teacher.backends.embedded import EmbeddedBackend
from limbeck.teacher.backends.openai_compatible import OpenAIBackend
from limbeck.teacher.backends.recorded import RecordedBackend
from limbeck.teacher.backends.scripted import ScriptedBackend
from limbeck.teacher.backends.shared import SharedBackend
from limbeck.teacher.backends.tutor import TutorBackend
from limbeck.teacher.request import Backend
from limbeck.teacher.settings import TeacherSettings

BACKENDS: Mapping[str, Callable[[TeacherSettings, Task], Backend]] = {
    "embedded": lambda settings, task: EmbeddedBackend(settings),
    "openai_compatible": lambda settings, task: OpenAIBackend(settings),
    "recorded": RecordedBackend,
    "tutor": TutorBackend,
    "scripted": lambda settings, task: ScriptedBackend.from_settings(settings),
}


def open_backend(settings: TeacherSettings, task: Task) -> Backend:
    """The backend of the settings, behind the replies it shares with other runs; files are read, nothing is sent.

    Raises:
        ConfigError, DataError: a setting is missing, or a file can't be read.
    """
    backend = BACKENDS[settings.backend](settings, task)
    if settings.shared_replies is None or not can_share(settings):
        return backend
    return SharedBackend(backend, settings.shared_replies, settings.timeout_s)


def can_share(settings: TeacherSettings) -> bool:
    """Whether runs may share replies: ``recorded`` gives each run its rows in their order, whatever a request says."""
    return settings.backend != "recorded"
