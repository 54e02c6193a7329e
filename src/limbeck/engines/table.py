"""The engines by name. Each is imported only when used, since engines need torch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated

from limbeck.engines.engine import CheckStudent, OpenEngine
from limbeck.settings import Settings
from limbeck.tables import OneOf, Table, load_attribute


@dataclass(frozen=True)
class EngineType:
    """An engine: where students are trained and scored.

    Attributes:
        source: ``module:name`` of the `OpenEngine`.
        check_source: ``module:name`` of the `CheckStudent`.
        quiet_source: ``module:name`` of a context manager that silences its libraries.
    """

    source: str
    check_source: str = "limbeck.engines.local:check_student"
    quiet_source: str = "limbeck.student.model:quiet_libraries"

    @property
    def open(self) -> OpenEngine:
        """Opens an engine."""
        found: OpenEngine = load_attribute(self.source)
        return found

    @property
    def check(self) -> CheckStudent:
        """Refuses a student that can't be trained with the settings."""
        found: CheckStudent = load_attribute(self.check_source)
        return found

    @property
    def quiet(self) -> Callable[[], AbstractContextManager[None]]:
        """A context manager that silences its libraries."""
        found: Callable[[], AbstractContextManager[None]] = load_attribute(self.quiet_source)
        return found


ENGINES: Table[EngineType] = Table("engines", "engine", {"local": EngineType("limbeck.engines.local:LocalEngine")})
"""The values of ``execution.engine``."""


class ExecutionSettings(Settings):
    """Where students are trained and scored.

    Attributes:
        engine: ``local`` trains and scores in this process.
    """

    engine: Annotated[str, OneOf(ENGINES)] = "local"
