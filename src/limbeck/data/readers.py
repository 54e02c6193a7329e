"""Reads the rows of a source: a file, a folder saved by `datasets`, or a Hub id."""

from __future__ import annotations

import re
from pathlib import Path

from limbeck.data.files import find_reader, list_endings
from limbeck.data.rows import Notes, PlacedRows
from limbeck.data.saved import find_hub_split, find_saved_split, read_hub, read_saved
from limbeck.errors import DataError

_HUB_ID = re.compile(r"(?P<name>[\w-][\w.-]*/[\w-][\w.-]*)(?:/(?P<config>[\w.-]+))?(?::(?P<split>\w[\w.-]*))?")


def read_rows(source: str | Path, wanted: str = "train", notes: Notes | None = None) -> PlacedRows:
    """Read the rows of a source with their places.

    Args:
        source: a ``.jsonl``, ``.json``, ``.ndjson``, ``.csv``, ``.tsv``, ``.parquet`` or ``.xlsx`` file, where the text formats
            may be compressed (``.gz``, ``.zst``, ``.xz``); a folder saved by `datasets`; or a Hub id ``ORG/NAME`` or
            ``ORG/NAME/CONFIG``. Folder and Hub id may end in ``:SPLIT``.
        wanted: ``train``, ``dev`` or ``test``: the split to read if a folder or Hub id names none.
        notes: receives what the user should know, such as a detected encoding and rows that were passed over.

    Raises:
        DataError: the source does not exist, or a row can't be read; the message names file and line.
    """
    text = str(source)
    folder, _, split = (text, "", "") if _exists(text) else text.partition(":")
    if _exists(folder) and Path(folder).is_dir():
        return read_saved(Path(folder), split, wanted)
    reader = find_reader(text)
    if reader is not None and "\0" not in text:
        return reader(Path(text), notes or Notes())
    hub = find_hub_id(text)
    if hub is not None:
        return read_hub(hub, wanted)
    raise DataError(
        f"{text}: {'unknown file format' if _exists(text) else 'no such file or folder'}; expected a "
        f"{list_endings()}, a folder saved by `datasets`, or a Hub id ORG/NAME"
    )


def name_split(source: str, wanted: str) -> str:
    """Add the split that `read_rows` would choose to the name of a source, if it has splits.

    Raises:
        DataError: a saved or Hub data set can't be loaded or lacks the split.
    """
    if _exists(source) and Path(source).is_dir():
        split = find_saved_split(Path(source), wanted)
        return f"{source}:{split}" if split else source
    hub = None if _exists(source) or _exists(source.partition(":")[0]) else find_hub_id(source)
    if hub is None or hub["split"]:
        return source
    return f"{source}:{find_hub_split(hub, wanted)}"


def is_there(source: str) -> bool:
    """Whether a source is an existing file or folder, or may be a data set on the Hub."""
    return _exists(source) or _exists(source.partition(":")[0]) or find_hub_id(source) is not None


def _exists(source: str) -> bool:
    try:
        return Path(source).exists()
    except (OSError, ValueError):  # the name is too long or not valid for a file
        return False


def find_hub_id(source: str) -> re.Match[str] | None:
    """The parts of a text that may be a Hub id; None if it can't be one, or is an existing file or folder."""
    if _exists(source) or find_reader(source) is not None:
        return None
    return _HUB_ID.fullmatch(source)
