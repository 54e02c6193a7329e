"""Counts a teacher's prompt tokens with its own tokenizer and chat template, or by bytes if they are not on this machine.

Imports no torch.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from limbeck.errors import ConfigError
from limbeck.teacher.purposes.render import FAULTS
from limbeck.teacher.request import estimate_tokens
from limbeck.teacher.settings import TeacherSettings

CHAT_TOKENS = 8  # what a chat template adds per message, if it is not known
BYTES = "4 bytes a token"
Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class TokenCounter:
    """Counts tokens.

    Attributes:
        count: counts the tokens of a plain text.
        name: name of the tokenizer, for display.
        is_exact: whether it is the teacher's own tokenizer.
        template: the chat template; None if it is not known.
        names: what the template is given in addition to the messages.
    """

    count: Callable[[str], int] = estimate_tokens
    name: str = BYTES
    is_exact: bool = False
    template: Template | None = None
    names: Mapping[str, str] | None = None

    @property
    def template_name(self) -> str:
        """How the tokens of the chat template are counted, for display."""
        return "the model's own" if self.template is not None else f"{CHAT_TOKENS} tokens a message"

    def count_prompt(self, messages: Messages) -> int:
        """Count the tokens of a request, including its chat template."""
        if self.template is None:
            return sum(self.count(message["content"]) + CHAT_TOKENS for message in messages)
        plain = [dict(message) for message in messages]
        return self.count(self.template.render(messages=plain, add_generation_prompt=True, **(self.names or {})))


def load_counter(settings: TeacherSettings) -> TokenCounter:
    """Load the counter of ``teacher.tokenizer``; without one, four bytes count as a token.

    Raises:
        ConfigError: the tokenizer can't be read.
    """
    return TokenCounter() if settings.tokenizer is None else _read_folder(settings.tokenizer)


def _read_folder(given: Path) -> TokenCounter:
    path = given / "tokenizer.json" if given.is_dir() else given
    try:
        tokenizer = Tokenizer.from_buffer(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"teacher.tokenizer: {path} is not a readable tokenizer.json: {error}") from error
    config: dict[str, Any] = {}
    beside = path.with_name("tokenizer_config.json")
    try:
        found = json.loads(beside.read_text("utf-8")) if beside.exists() else {}
        config = found if isinstance(found, dict) else {}
        template = path.with_name("chat_template.jinja")
        if template.exists():
            config["chat_template"] = template.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError(f"teacher.tokenizer: {beside} can't be read: {error}") from error
    names = {name: config[name] for name in ("bos_token", "eos_token") if isinstance(config.get(name), str)}
    return _make_counter(tokenizer, str(given), config.get("chat_template"), names)


def _make_counter(tokenizer: Tokenizer, name: str, template: object, names: Mapping[str, str]) -> TokenCounter:
    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    made = _read_template(template, names) if isinstance(template, str) else None
    return TokenCounter(count, name, True, made, names)


def _read_template(text: str, names: Mapping[str, str]) -> Template | None:
    """Compile a chat template in a sandbox; None if it needs more than messages, so that its tokens are not known."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    environment.globals |= {"strftime_now": lambda form: time.strftime(str(form)), "raise_exception": _refuse}
    try:
        template = environment.from_string(text)
        chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
        template.render(messages=chat, add_generation_prompt=True, **names)
    except FAULTS:
        return None
    return template


def _refuse(message: str) -> str:
    raise TemplateError(message)
