"""From a source to rows: which kind it is (a file, a folder saved by `datasets`, a Hub id), and who reads it."""

from __future__ import annotations

import re
from pathlib import Path

from limbeck.data.files import FORMATS, PlacedRows
from limbeck.data.saved import find_hub_split, find_saved_split, read_hub, read_saved
from limbeck.errors import DataError

_HUB_ID = re.compile(r"(?P<name>[\w-][\w.-]*/[\w-][\w.-]*)(?:/(?P<config>[\w.-]+))?(?::(?P<split>\w[\w.-]*))?")


def read_rows(source: str | Path, wanted: str = "train") -> PlacedRows:
    """The rows of a source with their places.

    Args:
        source: a ``.jsonl``, ``.csv``, ``.tsv`` or ``.parquet`` file; a folder that `datasets` saved; or a Hub id
            ``ORG/NAME``, ``ORG/NAME/CONFIG``. Folder and Hub id may end in ``:SPLIT``.
        wanted: ``train``, ``dev`` or ``test``: which split of a folder or Hub data set is meant where it names none.

    Raises:
        DataError: no such source, or a row that can't be read; the message names file and line.
    """
    text = str(source)
    folder, _, split = (text, "", "") if _exists(text) else text.partition(":")
    if _exists(folder) and Path(folder).is_dir():
        return read_saved(Path(folder), split, wanted)
    reader = FORMATS.get(Path(text).suffix.lower())
    if reader is not None and "\0" not in text:
        return reader(Path(text))
    hub = find_hub_id(text)
    if hub is not None:
        return read_hub(hub, wanted)
    raise DataError(
        f"{text}: {'a file of no known format' if _exists(text) else 'no such file or folder'}; read are "
        f"{', '.join(FORMATS)} files, folders saved by `datasets`, and Hub ids ORG/NAME"
    )


def name_split(source: str, wanted: str) -> str:
    """The source that `read_rows` reads the same rows of, whatever is wanted: with its split, where it has splits.

    Raises:
        DataError: as `read_rows`, but for rows.
    """
    if _exists(source) and Path(source).is_dir():
        split = find_saved_split(Path(source), wanted)
        return f"{source}:{split}" if split else source
    hub = None if _exists(source) or _exists(source.partition(":")[0]) else find_hub_id(source)
    if hub is None or hub["split"]:
        return source
    return f"{source}:{find_hub_split(hub, wanted)}"


def is_there(source: str) -> bool:
    """Whether a source is a file or folder here, or may be a data set on the Hub."""
    return _exists(source) or _exists(source.partition(":")[0]) or find_hub_id(source) is not None


def _exists(source: str) -> bool:
    try:
        return Path(source).exists()
    except (OSError, ValueError):  # a name that is too long for a file, or none at all
        return False


def find_hub_id(source: str) -> re.Match[str] | None:
    """The parts of a text that can be a Hub id and is no file or folder here, or None."""
    if _exists(source) or Path(source).suffix.lower() in FORMATS:
        return None
    return _HUB_ID.fullmatch(source)
