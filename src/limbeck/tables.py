"""Tables of named entries: limbeck's own, and those that other installed packages add.

A name in a config is valid if and only if it is in the table. A package adds entries through the entry-point group
``limbeck.<table>``, for example in its ``pyproject.toml``:

    [project.entry-points."limbeck.scores"]
    length = "my_package.scores:LENGTH"
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Generic, TypeVar, cast

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from limbeck.errors import ConfigError

T = TypeVar("T")


class Table(Mapping[str, T], Generic[T]):
    """Entries by name, in the order that help and errors list them.

    Args:
        name: the table's name, which also ends its entry-point group, such as ``scores``.
        what: what errors call an entry, such as ``score``.
        entries: limbeck's own. An entry given as ``"module:attribute"`` is imported on first use, so a table can name
            entries that need torch without loading it.
        aliases: alternative names, such as ``{"letter": "choice"}``.
    """

    def __init__(self, name: str, what: str, entries: Mapping[str, T | str], aliases: Mapping[str, str] | None = None) -> None:
        self.name, self.what = name, what
        self._own: dict[str, T | str] = dict(entries)
        self._aliases = dict(aliases or {})

    @cached_property
    def _added(self) -> dict[str, importlib.metadata.EntryPoint]:
        found: dict[str, importlib.metadata.EntryPoint] = {}
        for point in importlib.metadata.entry_points(group=f"limbeck.{self.name}"):
            if point.name in self._own or point.name in found:
                raise ConfigError(
                    f"two packages define {point.name!r} in limbeck.{self.name}; one of them is {point.value}. Uninstall one."
                )
            found[point.name] = point
        return found

    def __getitem__(self, name: str) -> T:
        entry = self._own.get(name)
        if entry is None:
            point = self._added[name]  # KeyError: no such entry, as in any mapping
            try:
                entry = self._own[name] = cast("T", point.load())
            except (ImportError, AttributeError) as error:
                raise ConfigError(f"{name!r} of limbeck.{self.name} can't be loaded from {point.value}: {error}") from error
        elif isinstance(entry, str):
            entry = self._own[name] = cast("T", load_attribute(entry))
        return entry

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._own, *self._added]))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self._added

    def add(self, name: str, entry: T) -> None:
        """Add an entry in this process; packages use the entry-point group instead.

        Raises:
            ConfigError: the name is taken.
        """
        if name in self:
            raise ConfigError(f"limbeck.{self.name} already has an entry {name!r}")
        self._own[name] = entry

    def resolve(self, name: object, extra: Sequence[str] = ()) -> str:
        """The canonical form of a name.

        Args:
            name: a value from a config or a data file.
            extra: further valid names, such as ``none``.

        Raises:
            ValueError: unknown name; the message lists the known names and suggests the nearest.
        """
        wanted = self._aliases.get(str(name), str(name))
        if wanted in extra or wanted in self:
            return wanted
        known = [*extra, *self]
        nearest = suggest(wanted, known) or "."
        raise ValueError(f"unknown {self.what} {str(name)!r:.80}{nearest} Known: {', '.join(known)}")


def load_attribute(source: str) -> Any:  # noqa: ANN401 (any attribute)
    """Import a module and return the attribute that ``module:name`` names."""
    module, _, name = source.partition(":")
    return getattr(importlib.import_module(module), name)


class OneOf:
    """Annotation for a settings field whose value is a name from a table: ``Annotated[str, OneOf(SCORES, "random")]``.

    The JSON schema lists the same names.
    """

    def __init__(self, table: Table[Any], *extra: str) -> None:
        self.table, self.extra = table, extra

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        return core_schema.no_info_before_validator_function(
            lambda value: self.table.resolve(value, self.extra), core_schema.str_schema()
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "enum": [*self.extra, *self.table]}


def suggest(name: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    """``; did you mean 'x'?`` for the nearest known name, or an empty string if none is close."""
    close = difflib.get_close_matches(name[:80], list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""
