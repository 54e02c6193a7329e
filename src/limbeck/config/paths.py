"""Makes the paths in a config absolute."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from limbeck.data.readers import find_hub_id
from limbeck.errors import ConfigError

# Keys that name files. Relative paths under DATA_KEYS start at `data.root`, those under PATH_KEYS at the config's folder.
DATA_KEYS = (
    "data.human",
    "data.train",
    "data.dev",
    "data.test",
    "teacher.recorded.annotations",
    "teacher.recorded.synthesized",
)
PATH_KEYS = (
    "data.root",
    "teacher.path",
    "teacher.shared_replies",
    "teacher.templates.annotate",
    "teacher.templates.synthesize",
    "teacher.templates.generate",
    "teacher.templates.answer",
    "teacher.tokenizer",
    "teacher.api_key_file",
    "teacher.model",
    "evaluation.shared_baseline",
)


def make_absolute(values: dict[str, Any], keys: Sequence[str], folder: Path) -> None:
    """Make the paths under the dotted `keys` of `values` absolute, in place; relative ones start at `folder`.

    Raises:
        ConfigError: a value can't be a path.
    """
    for dotted in keys:
        *parents, last = dotted.split(".")
        place: Any = values
        for parent in parents:
            place = place.get(parent) if isinstance(place, dict) else None
        if isinstance(place, dict) and _is_path(dotted, place.get(last)):
            place[last] = _find_path(dotted, place[last], folder)


def _is_path(dotted: str, value: object) -> bool:
    """Whether a key's value is a path; ``teacher.model`` is one only if it ends in ``.gguf``."""
    return isinstance(value, str) and (dotted != "teacher.model" or value.endswith(".gguf"))


def _find_path(dotted: str, source: str, folder: Path) -> str:
    """The absolute path for a key's value, or the value itself if it is a data source that can only be a Hub id.

    A value whose first part is an existing folder is a path, even if the rest of it is missing.
    """
    if dotted not in DATA_KEYS:
        return str(_resolve(source, folder))
    path, colon, split = source.partition(":")
    absolute = _resolve(path, folder)
    is_here = absolute.exists() or (folder / next(iter(Path(path).parts), "")).is_dir() if path else False
    if not is_here and not source.startswith((".", "~", "/")) and find_hub_id(source):
        return source
    return f"{absolute}{colon}{split}"


def _resolve(path: str, folder: Path) -> Path:
    try:
        found = (folder / Path(path).expanduser()).resolve()
        found.exists()
    except (OSError, RuntimeError, ValueError) as error:  # too long, an unknown ~user, circular links
        raise ConfigError(f"{path!r:.80} can't be a path: {error!s:.200}") from error
    return found
