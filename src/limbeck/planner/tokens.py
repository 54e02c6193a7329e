"""Counting the tokens of a teacher's prompts, with its own tokenizer and chat template where they are here. Imports no torch.

A tokenizer is `teacher.tokenizer`, or that of the GGUF file which the `embedded` backend serves. Where there is none, bytes
are counted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers

from limbeck.errors import ConfigError
from limbeck.planner.gguf import read_header
from limbeck.teacher.backends.embedded import find_gguf
from limbeck.teacher.purposes.render import FAULTS
from limbeck.teacher.request import estimate_tokens
from limbeck.teacher.settings import TeacherSettings

CHAT_TOKENS = 8  # what a chat template adds to a message, where it is not known
BYTES = "4 bytes a token"
_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_SPECIAL_TYPES = (3, 4)  # GGUF's control and user-defined tokens
Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class TokenCounter:
    """Counts tokens.

    Attributes:
        count: of a text alone.
        name: of the tokenizer, for a person.
        is_exact: whether it is the teacher's own.
        template: the chat template; None where it is not known.
        names: what the template is given besides the messages.
    """

    count: Callable[[str], int] = estimate_tokens
    name: str = BYTES
    is_exact: bool = False
    template: Template | None = None
    names: Mapping[str, str] | None = None

    @property
    def template_name(self) -> str:
        """How a conversation's own tokens are counted, for a person."""
        return "the model's own" if self.template is not None else f"{CHAT_TOKENS} tokens a message"

    def count_prompt(self, messages: Messages) -> int:
        """The tokens of a request, those of its chat template included."""
        if self.template is None:
            return sum(self.count(message["content"]) + CHAT_TOKENS for message in messages)
        plain = [dict(message) for message in messages]
        return self.count(self.template.render(messages=plain, add_generation_prompt=True, **(self.names or {})))


def load_counter(settings: TeacherSettings) -> TokenCounter:
    """Counts as the teacher does: by ``teacher.tokenizer``, by the tokenizer of an embedded GGUF file, else by bytes.

    Raises:
        ConfigError: the tokenizer, or the GGUF file, can't be read.
    """
    if settings.tokenizer is not None:
        return _read_folder(settings.tokenizer)
    if settings.backend == "embedded":
        return _read_gguf(find_gguf(settings.model))
    return TokenCounter()


def _read_folder(given: Path) -> TokenCounter:
    path = given / "tokenizer.json" if given.is_dir() else given
    try:
        tokenizer = Tokenizer.from_buffer(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"teacher.tokenizer: {path} is no readable tokenizer.json: {error}") from error
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


@lru_cache(maxsize=2)
def _read_gguf(path: Path) -> TokenCounter:
    """The tokenizer of a GGUF file; bytes where it is of a kind that is not known here."""
    try:
        fields = read_header(path, "tokenizer.")
    except (OSError, ValueError) as error:
        raise ConfigError(f"teacher.model {path}: the head of the GGUF file can't be read: {error}") from error
    tokens, merges = fields.get("tokenizer.ggml.tokens"), fields.get("tokenizer.ggml.merges")
    split = PRE_TOKENIZERS.get(str(fields.get("tokenizer.ggml.pre")))
    if fields.get("tokenizer.ggml.model") != "gpt2" or not tokens or not merges or split is None:
        kind = f"{fields.get('tokenizer.ggml.model')}/{fields.get('tokenizer.ggml.pre')}"
        return TokenCounter(name=f"{BYTES} ({path.name} has a tokenizer of an unknown kind, {kind})")
    pairs = [(left, right) for left, _, right in (str(merge).partition(" ") for merge in merges)]
    vocabulary = {str(token): place for place, token in enumerate(tokens)}
    if any(not {left, right, left + right} <= vocabulary.keys() for left, right in pairs):
        return TokenCounter(name=f"{BYTES} ({path.name} has a tokenizer with broken merges)")
    tokenizer = Tokenizer(models.BPE(vocabulary, pairs, ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    types = fields.get("tokenizer.ggml.token_type", ())
    special = [token for token, kind in zip(tokens, types, strict=False) if kind in _SPECIAL_TYPES]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    ids = {name: fields.get(f"tokenizer.ggml.{name}_token_id") for name in ("bos", "eos")}
    names = {f"{name}_token": tokens[place] for name, place in ids.items() if place is not None and place < len(tokens)}
    return _make_counter(tokenizer, path.name, fields.get("tokenizer.chat_template"), names)


_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def _split(pattern: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Split(Regex(pattern), "isolated")


PRE_TOKENIZERS: Mapping[str, Sequence[pre_tokenizers.PreTokenizer]] = {
    "gpt-2": [_split(_GPT2)],
    "smollm": [pre_tokenizers.Digits(individual_digits=True), _split(_GPT2)],
    "llama-bpe": [_split(_WORDS % "{1,3}")],
    "qwen2": [_split(_WORDS % "")],
}
"""How a text is split before its bytes are merged, by the word for it in GGUF files."""


def _make_counter(tokenizer: Tokenizer, name: str, template: object, names: Mapping[str, str]) -> TokenCounter:
    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    made = _read_template(template, names) if isinstance(template, str) else None
    return TokenCounter(count, name, True, made, names)


def _read_template(text: str, names: Mapping[str, str]) -> Template | None:
    """A chat template, in a sandbox; None where it asks for more than messages, so that its tokens are not known."""
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
