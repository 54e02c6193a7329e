"""How a request is sent. `BACKENDS` maps the config's word to what opens the backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from limbeck.teacher.backends.scripted import ScriptedBackend
from limbeck.teacher.backends.tutor import TutorBackend
from limbeck.teacher.request import Backend
from limbeck.teacher.teacher import TeacherSettings

BACKENDS: Mapping[str, Callable[[TeacherSettings], Backend]] = {
    "tutor": TutorBackend,
    "scripted": ScriptedBackend.from_settings,
}
