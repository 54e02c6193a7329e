"""Renders Jinja templates in a sandbox that can only read values."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_PROMPT_CHARS = 1_000_000
"""Limit for a template's file and for the prompt that it produces."""

ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=False
)
# Errors that a template's own expressions may raise: 1 / 0, 1 + "a", "%d"|format("x"), a macro that calls itself.
FAULTS = (
    TemplateError,
    ArithmeticError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    RuntimeError,
    SyntaxError,
    MemoryError,
    AssertionError,
)

_compile = lru_cache(maxsize=16)(ENVIRONMENT.from_string)


def render(question: list[Any]) -> dict[str, Any]:
    """Render ``[template, values]`` to ``{text}`` or ``{fault, line}``; if values is None, only compile. Runs in the worker."""
    text, values = question
    try:
        template = _compile(text)
        if values is None:
            return {"text": ""}
        parts, size = [], 0
        for part in template.generate(**values):
            parts.append(part)
            size += len(part)
            if size > MAX_PROMPT_CHARS:
                raise ValueError(f"the prompt has more than {MAX_PROMPT_CHARS:,} characters")
        made = "".join(parts)
        made.encode("utf-8")  # fails on a lone surrogate such as "\ud800"
    except FAULTS as error:
        line = getattr(error, "lineno", None)
        return {"fault": f"{type(error).__name__}: {error}"[:500].encode("utf-8", "replace").decode(), "line": line}
    return {"text": made}
