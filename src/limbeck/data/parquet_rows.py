"""Reads Parquet files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limbeck.data.columns import make_converter
from limbeck.data.rows import Notes, PlacedRows, to_plain
from limbeck.errors import DataError


def read_parquet(path: Path, notes: Notes | None = None) -> PlacedRows:
    """Read the rows of a Parquet file; class labels that `datasets` wrote as numbers become their names, at any depth.

    Raises:
        DataError: the file can't be read or is not Parquet.
    """
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    number = 0
    try:
        with ParquetFile(path) as file:
            convert = make_converter(file.schema_arrow, _read_features(file.schema_arrow.metadata or {}))
            for batch in file.iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}: row {number}", to_plain(convert(row))
    except (OSError, ArrowException) as error:
        raise DataError(f"{path}: not readable as Parquet after row {number}: {error}") from error


def _read_features(metadata: Mapping[bytes, bytes]) -> dict[str, Any]:
    """The types of the columns that `datasets` added to the schema; empty if another library wrote the file."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}
