"""Prompts from Jinja templates: the packaged ones, or the user's own, in a sandbox that can read values only."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from limbeck.errors import ConfigError

_ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=False
)


@lru_cache(maxsize=16)
def load_template(name: str, path: Path | None = None) -> Template:
    """The template `name` of this package, or the user's file in its place.

    Raises:
        ConfigError: the file can't be read, or is no Jinja template; the message names the file and line.
    """
    try:
        text = (
            path.read_text("utf-8") if path else (files("limbeck.teacher") / "templates" / f"{name}.jinja").read_text("utf-8")
        )
        return _ENVIRONMENT.from_string(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"teacher.templates.{name}: {path}: {error}") from error
    except TemplateError as error:
        raise ConfigError(f"teacher.templates.{name}: {path}:{getattr(error, 'lineno', '?')}: {error}") from error


def render_prompt(template: Template, name: str, **values: object) -> str:
    """The prompt; model and user text goes in as data and is never read as a template.

    Raises:
        ConfigError: the template uses a name that is not given to it.
    """
    try:
        return template.render(**values).strip()
    except TemplateError as error:
        raise ConfigError(f"teacher.templates.{name}: {error}; it may use {', '.join(sorted(values))}") from error
