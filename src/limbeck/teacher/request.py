"""What is asked of a teacher and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from limbeck.data.example import Example, canonical_json, hash_text


@dataclass(frozen=True)
class About:
    """What a request is for. Never sent and never hashed: the ledger groups by it, `tutor` and `recorded` need it.

    Attributes:
        purpose: ``annotate``, ``synthesize``, ``probe``, ``verify`` or ``evaluate``.
        stage: stage that asks.
        domain: domain the reply counts for.
        examples: the example to annotate, or the seed examples of a synthesis.
    """

    purpose: str
    stage: int
    domain: str
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True)
class TeacherRequest:
    """One request: what is sent (`model`, `messages`, `sampling`), the sample index, and what it is about.

    `sample` tells apart requests that are meant to be answered anew although their text is the same.
    """

    model: str
    messages: tuple[Mapping[str, str], ...]
    sampling: Mapping[str, Any]
    about: About
    sample: int = 0

    @property
    def body(self) -> dict[str, Any]:
        """The request as sent: the OpenAI chat completion's fields."""
        return {"model": self.model, "messages": [dict(message) for message in self.messages], **self.sampling}

    @property
    def key(self) -> str:
        """The ledger key: SHA-256 of the canonical request as sent, with the sample index."""
        return hash_text(canonical_json({"request": self.body, "sample": self.sample}))

    @property
    def token_bound(self) -> int:
        """Upper bound of what this request can cost: prompt UTF-8 bytes + 16 a message + ``max_tokens`` of the reply."""
        prompt = sum(len(message["content"].encode("utf-8", "surrogatepass")) + 16 for message in self.messages)
        return prompt + int(self.sampling["max_tokens"])


@dataclass(frozen=True)
class Reply:
    """What a teacher answered. Token counts are the teacher's own; `finish_reason` is ``stop`` or says why not."""

    text: str
    model: str
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __post_init__(self) -> None:
        # Half of a character can't be stored; what a teacher sent broken is marked as such.
        object.__setattr__(self, "text", self.text.encode("utf-8", "replace").decode("utf-8"))


class BackendError(Exception):
    """A request failed at the teacher. `is_transient` says whether asking again can help."""

    def __init__(self, message: str, *, is_transient: bool) -> None:
        super().__init__(message)
        self.is_transient = is_transient


class Backend(Protocol):
    """How a request reaches a teacher. One method; `BackendError` is the only error it raises."""

    async def send(self, request: TeacherRequest) -> Reply:
        """Send one request and return its reply."""
        ...
