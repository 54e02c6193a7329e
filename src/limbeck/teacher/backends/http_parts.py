"""Pieces of an OpenAI-compatible exchange: address, key and proxy, and parsers for the parts of a reply."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from math import ceil
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from limbeck.data.thoughts import read_thoughts, split_content
from limbeck.errors import ConfigError
from limbeck.teacher.finish import find_ending
from limbeck.teacher.settings import TeacherSettings

MAX_COUNT = 10**9


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds a server asks to wait (``retry-after-ms``, or ``Retry-After`` as seconds or a date), or None."""
    for name, unit in (("retry-after-ms", 1e-3), ("Retry-After", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        return seconds if 0 <= seconds < float("inf") else None
    try:
        return max(0.0, (parsedate_to_datetime(headers.get("Retry-After", "")) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def check_base_url(base_url: str | None) -> str:
    """Return the base URL without a trailing slash.

    Raises:
        ConfigError: it is missing, not the http(s) URL of an API, or may contain a secret, which the message does not repeat.
    """
    if not base_url:
        raise ConfigError(
            "teacher.backend: openai_compatible needs teacher.base_url, such as http://127.0.0.1:8000/v1 for a local vLLM"
        )
    try:
        parts = urlsplit(base_url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_url = False
    if not is_url:
        raise ConfigError(f"teacher.base_url {base_url!r} is not an http(s) URL such as http://127.0.0.1:8000/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(
            "teacher.base_url contains a user, a query or a fragment; give only scheme, host, port and path. Put a key "
            "into the environment variable that teacher.api_key_env names"
        )
    if parts.path.rstrip("/").endswith("/chat/completions"):
        raise ConfigError(f"teacher.base_url {base_url!r} ends in the endpoint; give the part before /chat/completions")
    return base_url.rstrip("/")


def read_key(settings: TeacherSettings) -> str:
    """The key from ``teacher.api_key_file`` or from the variable that ``teacher.api_key_env`` names; empty if there is none.

    Raises:
        ConfigError: the file can't be read, other users can read it, or the key is malformed.
    """
    if settings.api_key_file is None:
        key = os.environ.get(settings.api_key_env, "").strip()
        source = f"the environment variable {settings.api_key_env}"
    else:
        key, source = _read_key_file(settings.api_key_file), str(settings.api_key_file)
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigError(
            f"{source} contains no valid key: it has spaces, line breaks or characters that no HTTP header allows"
        )
    return key


def _read_key_file(path: Path) -> str:
    try:
        if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(f"teacher.api_key_file {path} can be read by others; run chmod 600 on it")
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"teacher.api_key_file {path}: {error}") from error


def read_proxy(url: str) -> str | None:
    """The proxy that the environment sets for a URL; None for URLs of this machine, even if the environment sets one."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        is_here = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        is_here = False
    return None if is_here or proxy_bypass(host) else getproxies().get(parts.scheme)


def list_models(body: bytes) -> list[str] | None:
    """The names in a list of models, or None if the body is not such a list."""
    try:
        return [str(entry["id"]) for entry in json.loads(body)["data"]]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def join_names(names: list[str]) -> str:
    """The first eight names and the number of further ones."""
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") or "none"


def read_codes(body: bytes) -> str:
    """The code and type of an error body in lower case; unlike its message, they never quote the request."""
    try:
        found = json.loads(body)
        error = found.get("error", found) if isinstance(found, dict) else {}
        return (
            " ".join(str(error.get(name) or "").lower()[:100] for name in ("code", "type")) if isinstance(error, dict) else ""
        )
    except (ValueError, RecursionError):
        return ""


def read_content(content: object) -> str:
    """The text of a message's content, a text or a list of parts, without thoughts and refusals."""
    return split_content(content)[1]


def read_message(message: Mapping[str, Any]) -> tuple[str, str, str]:
    """``(text, thoughts, refusal)`` of a message, from fields of their own, parts of the content, or tags in it."""
    content = message.get("content")
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    refusals = [message.get("refusal"), *(part.get("refusal") for part in parts)]
    thoughts, text = split_content(content)
    refusal = "\n".join(said for said in refusals if isinstance(said, str) and said.strip())
    return text, "\n".join(part for part in (read_thoughts(message), thoughts) if part), refusal


def read_finish(choice: Mapping[str, Any]) -> str:
    """Why a reply ended, in the server's word; ``stop`` if it gives none.

    Proxies translate the word of the server behind them, but may call a reply complete that is not; their
    ``native_finish_reason`` then says more.
    """
    if choice.get("error"):
        return "error"
    words = [_read_word(choice.get(name)) for name in ("finish_reason", "native_finish_reason")]
    broken = [word for word in words if find_ending(word) not in ("whole", None)]
    return (broken or [word for word in words if word] or ["stop"])[0]


def _read_word(value: object) -> str:
    if isinstance(value, dict):  # SGLang
        value = value.get("type")
    return value if isinstance(value, str) else ""


def read_count(value: object) -> int | None:
    """The value as a token count if it is a plausible one: a number that some servers write as a float or a text."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return ceil(number) if 0 <= number <= MAX_COUNT else None


# The names of the counts: OpenAI, DeepSeek, Kimi and most servers; Anthropic, the Responses API and Cohere; Bedrock; Gemini;
# Ollama's own API. The first one that a server gives counts.
_PROMPT = ("prompt_tokens", "input_tokens", "inputTokens", "promptTokenCount", "prompt_eval_count", "tokens.input_tokens")
_COMPLETION = (
    "completion_tokens",
    "output_tokens",
    "outputTokens",
    "candidatesTokenCount",
    "eval_count",
    "tokens.output_tokens",
)
_TOTAL = ("total_tokens", "totalTokens", "totalTokenCount")
_CACHED = (
    "prompt_tokens_details.cached_tokens",
    "input_tokens_details.cached_tokens",
    "prompt_cache_hit_tokens",
    "cached_tokens",
    "cache_read_input_tokens",
    "cacheReadInputTokens",
    "cachedContentTokenCount",
)
_REASONING = (
    "completion_tokens_details.reasoning_tokens",
    "output_tokens_details.reasoning_tokens",
    "reasoning_tokens",
    "thoughtsTokenCount",
)
# What Anthropic and Bedrock count apart from the prompt's other tokens, and Gemini apart from the completion's.
_BESIDE_PROMPT = {
    "input_tokens": ("cache_read_input_tokens", "cache_creation_input_tokens"),
    "inputTokens": ("cacheReadInputTokens", "cacheWriteInputTokens"),
}
_BESIDE_COMPLETION = {"candidatesTokenCount": ("thoughtsTokenCount", "toolUsePromptTokenCount")}


def read_usage(usage: object, prompt_bound: int, completion_bound: int) -> dict[str, int]:
    """The counts of a reply's ``usage``, under the names of `Reply`; the bounds if the server reports no counts.

    Names of all common servers are known; counts may be floats or texts. Of prompt, completion and total, one may be missing.
    Reasoning tokens that a server includes only in the total count as completion tokens, and cached ones as prompt tokens.
    """
    counts = usage if isinstance(usage, dict) else {}
    prompt = _find_count(counts, _PROMPT, _BESIDE_PROMPT)
    completion = _find_count(counts, _COMPLETION, _BESIDE_COMPLETION)
    total = _find_count(counts, _TOTAL)
    if total is not None and prompt is None and completion is not None:
        prompt = max(0, total - completion)
    prompt = prompt_bound if prompt is None else prompt
    rest = max(0, (total or 0) - prompt)
    if completion is None:
        completion = completion_bound if total is None else rest
    completion = max(completion, rest)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "reasoning_tokens": min(_find_count(counts, _REASONING) or 0, completion),
        "cached_tokens": min(_find_count(counts, _CACHED) or 0, prompt),
    }


def _find_count(
    counts: Mapping[str, Any], names: Sequence[str], beside: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> int | None:
    """The first of these counts that a server gives, with what it counts beside it; a dotted name is inside an object."""
    for name in names:
        outer, _, inner = name.rpartition(".")
        holder = counts.get(outer) if outer else counts
        found = read_count(holder.get(inner)) if isinstance(holder, dict) else None
        if found is not None:
            return found + sum(read_count(counts.get(more)) or 0 for more in beside.get(name, ()))
    return None
