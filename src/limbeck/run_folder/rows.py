"""A sequence of records that converts to a pandas data frame."""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from limbeck.errors import ConfigError

if TYPE_CHECKING:
    import pandas

T = TypeVar("T")


class Rows(tuple[T, ...]):
    """A tuple of records, with `to_pandas`."""

    __slots__ = ()

    def to_pandas(self) -> pandas.DataFrame:
        """Convert to a data frame with one column per attribute of the records.

        Raises:
            ConfigError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise ConfigError("to_pandas needs pandas: pip install pandas") from error
        return pandas.DataFrame([_to_plain(row) for row in self])


def _to_plain(row: object) -> dict[str, Any]:
    if isinstance(row, dict):
        return row
    if is_dataclass(row) and not isinstance(row, type):
        return asdict(row)
    raise TypeError(f"a row must be a dataclass or a dictionary, not {type(row).__name__}")
