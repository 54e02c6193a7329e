"""Pieces of an OpenAI-compatible exchange: the address, the key, the proxy, and how parts of a reply are read."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from limbeck.errors import ConfigError
from limbeck.teacher.settings import TeacherSettings

MAX_COUNT = 10**9


def split_thoughts(content: str) -> tuple[str, str]:
    """``(reasoning, text)`` of a content in which a ``<think>`` block may stand first; a block never closed is all thought.

    The opening tag may be missing, since some chat templates put it into the prompt.
    """
    before, tag, after = content.rpartition("</think>")
    if tag:
        return before.strip().removeprefix("<think>").strip(), after.strip()
    if content.lstrip().startswith("<think>"):
        return content.strip().removeprefix("<think>").strip(), ""
    return "", content


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a server asks to wait (``retry-after-ms``, or ``Retry-After`` as seconds or date), or None."""
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
    """The base URL without a closing slash.

    Raises:
        ConfigError: there is none, it is no http(s) URL, or it holds what may be a secret, which is not repeated.
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
        raise ConfigError(f"teacher.base_url {base_url!r} is no http(s) URL, such as http://127.0.0.1:8000/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(
            "teacher.base_url holds a user, a query or a fragment; only scheme, host, port and path are wanted. A key "
            "belongs in the environment variable that teacher.api_key_env names"
        )
    if parts.path.rstrip("/").endswith("/chat/completions"):
        raise ConfigError(f"teacher.base_url {base_url!r} ends in the endpoint; give the part before /chat/completions")
    return base_url.rstrip("/")


def read_key(settings: TeacherSettings) -> str:
    """The key from ``teacher.api_key_file`` or from the variable that ``teacher.api_key_env`` names; empty: there is none.

    Raises:
        ConfigError: the file can't be read, or by others too; or it holds no key.
    """
    if settings.api_key_file is None:
        key = os.environ.get(settings.api_key_env, "").strip()
        source = f"the environment variable {settings.api_key_env}"
    else:
        key, source = _read_key_file(settings.api_key_file), str(settings.api_key_file)
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ConfigError(f"{source} holds no key: it has spaces, line breaks or characters that no header can carry")
    return key


def _read_key_file(path: Path) -> str:
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise ConfigError(f"teacher.api_key_file {path} can be read by others; run chmod 600 on it")
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"teacher.api_key_file {path}: {error}") from error


def read_proxy(url: str) -> str | None:
    """The proxy that the environment names for a URL; none for this very machine, which proxies would catch too."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        is_here = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        is_here = False
    return None if is_here or proxy_bypass(host) else getproxies().get(parts.scheme)


def list_models(body: bytes) -> list[str] | None:
    """The names in a list of models, or None where the body is no such list."""
    try:
        return [str(entry["id"]) for entry in json.loads(body)["data"]]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None


def join_names(names: list[str]) -> str:
    """The first eight names, and how many more there are."""
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") or "none"


def read_codes(body: bytes) -> str:
    """The code and type of an error body, in lower case; unlike its message they never quote the request."""
    try:
        found = json.loads(body)
        error = found.get("error", found) if isinstance(found, dict) else {}
        return (
            " ".join(str(error.get(name) or "").lower()[:100] for name in ("code", "type")) if isinstance(error, dict) else ""
        )
    except (ValueError, RecursionError):
        return ""


def read_content(content: object) -> str:
    """The text of a message's content: a text, or parts of one."""
    if isinstance(content, list):  # parts, as some servers send
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def read_count(value: object, otherwise: int) -> int:
    """A count of tokens that can be believed, or `otherwise`."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT
    return int(value) if is_count else otherwise  # type: ignore[call-overload]


def read_usage(usage: object, prompt_bound: int, completion_bound: int) -> dict[str, int]:
    """The counts of a reply's ``usage``, by the names of `Reply`; the bounds where a server counts nothing.

    Reasoning that a server counts beside the completion, and only in the total, is counted as completion.
    """
    counts = usage if isinstance(usage, dict) else {}
    prompt = read_count(counts.get("prompt_tokens"), prompt_bound)
    completion = read_count(counts.get("completion_tokens"), completion_bound)
    total = read_count(counts.get("total_tokens"), 0)
    of_completion, of_prompt = counts.get("completion_tokens_details"), counts.get("prompt_tokens_details")
    reasoning = read_count(of_completion.get("reasoning_tokens") if isinstance(of_completion, dict) else None, 0)
    cached = read_count(of_prompt.get("cached_tokens") if isinstance(of_prompt, dict) else None, 0)
    completion = max(completion, total - prompt)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "reasoning_tokens": min(reasoning, completion),
        "cached_tokens": min(cached, prompt),
    }
