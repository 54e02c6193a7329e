"""Prompts from Jinja templates: the packaged ones, or the user's own, in a sandbox that can read values only.

A user's template runs in a process of its own (`limbeck.system.worker`) besides: the sandbox keeps it from Python's internals,
and not from a loop without end or a text that fills the memory.
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
        ConfigError: it is no Jinja template; the message names file and line.
    """

    def __init__(self, name: str, path: Path, text: str) -> None:
        self._name, self._path, self._text = name, path, text
        self._ask(None)

    def render(self, **values: object) -> str:
        """The text that the template makes of the values.

        Raises:
            ConfigError: it uses what is not given to it, makes no text, or takes too long.
        """
        return self._ask({name: _to_plain(value) for name, value in values.items()})

    def _ask(self, values: Mapping[str, Any] | None) -> str:
        place = f"teacher.templates.{self._name}: {self._path}"
        try:
            said = run_limited("limbeck.teacher.purposes.render:render", [self._text, values], RENDER_TIMEOUT_S)
        except WorkerLost as error:
            raise ConfigError(
                f"{place}: the template gave no text ({error}); a prompt has {RENDER_TIMEOUT_S:g} s and {MAX_PROMPT_CHARS:,} "
                "characters"
            ) from error
        if "fault" in said:
            line = f":{said['line']}" if said["line"] else ""
            known = "" if values is None else f"; it may use {', '.join(sorted(values))}"
            raise ConfigError(f"{place}{line}: {said['fault']}{known}")
        return str(said["text"])


AnyTemplate = Template | UserTemplate


@lru_cache(maxsize=16)
def load_template(name: str, path: Path | None = None) -> AnyTemplate:
    """The template `name` of this package, or the user's file in its place.

    Raises:
        ConfigError: the file can't be read, or is no Jinja template; the message names the file and line.
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
    """The prompt; model and user text goes in as data and is never read as a template.

    Raises:
        ConfigError: the template uses a name that is not given to it, or gives no text.
    """
    try:
        return template.render(**values).strip()
    except TemplateError as error:
        raise ConfigError(f"teacher.templates.{name}: {error}; it may use {', '.join(sorted(values))}") from error


def _to_plain(value: object) -> Any:  # noqa: ANN401 (a JSON value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return [_to_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
