"""Teacher backends: how a request is sent."""

from __future__ import annotations

from limbeck.data.task import Task
from limbeck.teacher.request import Backend
from limbeck.teacher.settings import TeacherSettings
from limbeck.teacher.tables import BACKENDS


def open_backend(settings: TeacherSettings, task: Task) -> Backend:
    """Open the backend of the settings, wrapped to share replies with other runs if `teacher.shared_replies` is set.

    It may read files but sends nothing.

    Raises:
        ConfigError, DataError: a setting is missing, or a file can't be read.
    """
    backend = BACKENDS[settings.backend].open(settings, task)
    if settings.shared_replies is None or not can_share(settings):
        return backend
    from limbeck.teacher.backends.shared import SharedBackend

    return SharedBackend(backend, settings.shared_replies, settings.timeout_s)


def can_share(settings: TeacherSettings) -> bool:
    """Whether several runs may share this teacher's replies."""
    return not BACKENDS[settings.backend].is_replay
