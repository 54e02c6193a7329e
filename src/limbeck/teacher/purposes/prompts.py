"""Builds prompts from Jinja templates, packaged or the user's own, in a sandbox that can only read values.

A user's template also runs in its own process (`limbeck.system.worker`): the sandbox keeps it away from Python's internals, but
does not stop an endless loop or a text that fills the memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Template, TemplateError

from limbeck.errors import ConfigError
from limbeck.system.worker import WorkerLost, run_limited
from limbeck.teacher.purposes.render import ENVIRONMENT, MAX_PROMPT_CHARS

RENDER_TIMEOUT_S = 10.0


class UserTemplate:
    """A user's template, compiled and rendered in another process.

    Raises:
        ConfigError: it is not a valid Jinja template; the message names file and line.
    """

    def __init__(self, name: str, path: Path, text: str) -> None:
        self._name, self._path, self._text = name, path, text
        self._ask(None)

    def render(self, **values: object) -> str:
        """Render the template with the values.

        Raises:
            ConfigError: the template uses a name it is not given, produces no text, or takes too long.
        """
        return self._ask({name: _to_plain(value) for name, value in values.items()})

    def _ask(self, values: Mapping[str, Any] | None) -> str:
        place = f"teacher.templates.{self._name}: {self._path}"
        try:
            said = run_limited("limbeck.teacher.purposes.render:render", [self._text, values], RENDER_TIMEOUT_S)
        except WorkerLost as error:
            raise ConfigError(
                f"{place}: the template produced no text ({error}); a prompt may take {RENDER_TIMEOUT_S:g} s and have "
                f"{MAX_PROMPT_CHARS:,} characters"
            ) from error
        if "fault" in said:
            line = f":{said['line']}" if said["line"] else ""
            known = "" if values is None else f"; it may use {', '.join(sorted(values))}"
            raise ConfigError(f"{place}{line}: {said['fault']}{known}")
        return str(said["text"])


AnyTemplate = Template | UserTemplate


@lru_cache(maxsize=16)
def load_template(name: str, path: Path | None = None) -> AnyTemplate:
    """Load the packaged template `name`, or the user's file in its place.

    Raises:
        ConfigError: the file can't be read or is not a valid Jinja template; the message names the file and line.
    """
    if path is None:
        return ENVIRONMENT.from_string((files("limbeck.teacher.purposes") / "templates" / f"{name}.jinja").read_text("utf-8"))
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MAX_PROMPT_CHARS + 1)
    except (OSError, ValueError) as error:
        raise ConfigError(f"teacher.templates.{name}: {path}: {error}") from error
    if len(text) > MAX_PROMPT_CHARS:
        raise ConfigError(f"teacher.templates.{name}: {path} has more than {MAX_PROMPT_CHARS:,} characters")
    return UserTemplate(name, path, text)


def render_prompt(template: AnyTemplate, name: str, **values: object) -> str:
    """Render the prompt; text from models and users is data and is never parsed as a template.

    Raises:
        ConfigError: the template uses a name it is not given, or produces no text.
    """
    try:
        return template.render(**values).strip()
    except TemplateError as error:
        raise ConfigError(f"teacher.templates.{name}: {error}; it may use {', '.join(sorted(values))}") from error


def _to_plain(value: object) -> Any:  # noqa: ANN401 (a JSON value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return [_to_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
