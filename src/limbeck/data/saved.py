"""Rows of data sets read with the `datasets` library: saved folders and the Hub."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from limbeck.data.columns import make_converter
from limbeck.data.rows import PlacedRows, to_plain
from limbeck.errors import DataError

# Names of each split in data sets; the first one that the data set has is used.
SPLITS: Mapping[str, tuple[str, ...]] = {
    "train": ("train",),
    "dev": ("validation", "dev", "valid", "val"),
    "test": ("test",),
}


def read_saved(folder: Path, split: str, wanted: str) -> PlacedRows:
    """Read the rows of a folder written by ``Dataset.save_to_disk`` or ``DatasetDict.save_to_disk``.

    Args:
        folder: the saved data set.
        split: the name of the split; if empty, the split for `wanted`.
        wanted: ``train``, ``dev`` or ``test``.

    Raises:
        DataError: the folder contains no data set, or not that split.
    """
    found = _load_saved(folder)
    if isinstance(found, dict):
        found = found[_choose_split(list(found), split, wanted, str(folder))]
    elif split and str(found.split or "") != split:
        raise DataError(f"{folder}: no split {split}; this folder contains a single data set without splits. Omit the split")
    return _read_dataset(found, str(folder))


def find_saved_split(folder: Path, wanted: str) -> str | None:
    """The split that `read_saved` uses if none is named; None if the folder contains a single data set without splits.

    Raises:
        DataError: see `read_saved`.
    """
    found = _load_saved(folder)
    return _choose_split(list(found), "", wanted, str(folder)) if isinstance(found, dict) else None


def _load_saved(folder: Path) -> Any:  # noqa: ANN401 (a `datasets.Dataset`, or a `DatasetDict`, which is a dict)
    from datasets import load_from_disk

    try:
        return load_from_disk(str(folder))
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{folder}: this folder contains no data set saved by `datasets` (save_to_disk); give a data file or the folder "
            f"of a saved data set: {error}"
        ) from error


def read_hub(hub: re.Match[str], wanted: str) -> PlacedRows:
    """Read the rows of a data set on the Hub.

    Args:
        hub: its ``name``, ``config`` and ``split``; the last two may be None.
        wanted: ``train``, ``dev`` or ``test``.

    Raises:
        DataError: the data set can't be loaded, or has no such split.
    """
    from datasets import load_dataset

    split = find_hub_split(hub, wanted)
    with _explain_hub(hub):
        found = load_dataset(hub["name"], hub["config"], split=split)
    return _read_dataset(found, hub.string)


def find_hub_split(hub: re.Match[str], wanted: str) -> str:
    """The split that `read_hub` uses.

    Raises:
        DataError: see `read_hub`.
    """
    from datasets import get_dataset_split_names

    with _explain_hub(hub):
        splits = list(get_dataset_split_names(hub["name"], hub["config"]))
    return _choose_split(splits, hub["split"] or "", wanted, hub["name"])


@contextmanager
def _explain_hub(hub: re.Match[str]) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise DataError(
            f"{hub.string}: no such file or folder here, and loading a data set of this name from the Hub failed: {error}. "
            "Without a network, save it on another machine with save_to_disk, copy the folder here and name the folder."
        ) from error


def _choose_split(splits: list[str], split: str, wanted: str, place: str) -> str:
    names = (split,) if split else SPLITS[wanted]
    for name in names:
        if name in splits:
            return name
    raise DataError(f"{place}: no split {' or '.join(names)}; it has {', '.join(splits)}. Name one as {place}:SPLIT")


def _read_dataset(dataset: Any, place: str) -> PlacedRows:  # noqa: ANN401 (a `datasets.Dataset`)
    convert = make_converter(dataset.features.arrow_schema, dataset.features.to_dict())
    for number, row in enumerate(dataset, start=1):
        yield f"{place}: row {number}", to_plain(convert(dict(row)))
