"""One file of a run folder: its path, and its content as typed records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from limbeck.system.files import HasJson, read_record, read_records, write_json, write_jsonl

T = TypeVar("T")


@dataclass(frozen=True)
class JsonFile(Generic[T]):
    """A JSON object as a record.

    Attributes:
        path: of the file.
        make: turns the object into a record.
        remedy: what the user can do if the file is damaged.
    """

    path: Path
    make: Callable[[dict[str, Any]], T]
    remedy: str = "the folder is damaged, choose another --out"

    def exists(self) -> bool:
        """Whether the file exists."""
        return self.path.exists()

    def read(self) -> T:
        """Read the record.

        Raises:
            DataError: the file is missing, not a JSON object, or has another form; the message has the remedy.
        """
        return read_record(self.path, self.make, self.remedy)

    def write(self, value: object) -> None:
        """Write the record's object atomically.

        Raises:
            StorageError: it can't be written.
        """
        write_json(self.path, value)


@dataclass(frozen=True)
class RowsFile(Generic[T]):
    """A JSON Lines file of records.

    Attributes:
        path: of the file.
        make: turns a row into a record.
    """

    path: Path
    make: Callable[[dict[str, Any]], T]

    def exists(self) -> bool:
        """Whether the file exists."""
        return self.path.exists()

    def read(self) -> list[T]:
        """Read the records.

        Raises:
            DataError: the file is missing, is not JSON Lines, or has rows of another form.
        """
        return read_records(self.path, self.make)

    def write(self, rows: Iterable[HasJson | Mapping[str, Any]]) -> None:
        """Write the records atomically.

        Raises:
            StorageError: they can't be written.
        """
        write_jsonl(self.path, rows)
