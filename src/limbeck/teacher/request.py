"""Requests to a teacher, what comes back, and the backend protocol."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Protocol

from limbeck.data.example import Example
from limbeck.data.thoughts import split_thoughts
from limbeck.hashing import canonical_json, hash_text


@dataclass(frozen=True)
class About:
    """What a request is for. Never sent or hashed; the ledger groups by it, and the `tutor` and `recorded` backends need it.

    Attributes:
        purpose: ``annotate``, ``synthesize``, ``probe``, ``verify`` or ``evaluate``.
        stage: the stage that asks.
        domain: the domain the reply counts for.
        examples: the example to annotate, or the seed examples of a synthesis.
        index: how many requests of this purpose and domain the run made before this one.
    """

    purpose: str
    stage: int
    domain: str
    examples: tuple[Example, ...] = ()
    index: int = 0


_COUNTED = ("temperature", "max_tokens", "max_completion_tokens")  # add no tokens to the prompt


@dataclass(frozen=True)
class TeacherRequest:
    """One request: what is sent (`model`, `messages`, `sampling`), the sample index, and what it is about.

    `sample` distinguishes requests that have the same text but need separate answers. `failures` counts the attempts that
    the teacher is known to have refused; it is not part of the request.
    """

    model: str
    messages: tuple[Mapping[str, str], ...]
    sampling: Mapping[str, Any]
    about: About
    sample: int = 0
    failures: int = 0

    @cached_property
    def body(self) -> dict[str, Any]:
        """The request body as sent: the fields of an OpenAI chat completion."""
        return {"model": self.model, "messages": [dict(message) for message in self.messages], **self.sampling}

    @cached_property
    def key(self) -> str:
        """The ledger key: SHA-256 of the canonical request as sent and the sample index."""
        return hash_text(canonical_json({"request": self.body, "sample": self.sample}))

    @property
    def idempotency_key(self) -> str:
        """The key by which a server may recognize a repeated attempt.

        An attempt that repeats one whose reply was lost has the same key, so that a server that keeps replies by key does
        not work or charge twice. After a refusal the key changes, since the server would only repeat the refusal.
        """
        return f"{self.key}-{self.failures}"

    @property
    def token_bound(self) -> int:
        """Upper bound on this request's tokens: UTF-8 bytes of the prompt + 16 per message + ``max_tokens`` of the reply.

        Whatever else is sent, such as a schema or the tools in ``extra_body``, counts with its bytes too.
        """
        prompt = sum(len(message["content"].encode("utf-8", "surrogatepass")) + 16 for message in self.messages)
        beside = {name: value for name, value in self.sampling.items() if name not in _COUNTED}
        return prompt + self.reply_token_bound + (len(canonical_json(beside).encode("utf-8", "surrogatepass")) if beside else 0)

    @property
    def reply_token_bound(self) -> int:
        """The most tokens the reply may have, reasoning included; reasoning models use another name for this limit."""
        return int(self.sampling.get("max_completion_tokens") or self.sampling["max_tokens"])

    def without(self, field: str) -> TeacherRequest:
        """This request without one of its sampling fields."""
        return replace(self, sampling={name: value for name, value in self.sampling.items() if name != field})


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of a text without a tokenizer: one per four bytes of UTF-8, at least one."""
    return max(1, -(-len(text.encode("utf-8", "replace")) // 4))


@dataclass(frozen=True)
class Reply:
    """A teacher's answer.

    Thoughts in the text, such as a ``<think>`` block, are moved to the reasoning, whichever backend made the reply.

    Attributes:
        text: the answer, without the reasoning.
        model: the name of the model that answered, as given by the teacher.
        finish_reason: why the reply ended, in the teacher's own word, such as ``MAX_TOKENS``; see `limbeck.teacher.finish`.
        prompt_tokens, completion_tokens: the teacher's own counts, reasoning included.
        reasoning: a reasoning model's thoughts before the answer.
        reasoning_tokens: the completion tokens spent on reasoning.
        cached_tokens: the prompt tokens that the teacher read from its cache.
    """

    text: str
    model: str
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning: str = ""
    reasoning_tokens: int = 0
    cached_tokens: int = 0

    def __post_init__(self) -> None:
        # A lone surrogate can't be stored; it becomes a question mark.
        for name in ("text", "reasoning", "model", "finish_reason"):
            object.__setattr__(self, name, getattr(self, name).encode("utf-8", "replace").decode("utf-8"))
        thoughts, text = split_thoughts(self.text)
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "reasoning", "\n".join(part for part in (self.reasoning, thoughts) if part))


class BackendError(Exception):
    """A request failed at the teacher.

    Attributes:
        is_transient: retrying can help.
        is_fatal: no request can succeed (a refused key, an unknown model), so nothing more is asked.
        is_maybe_paid: the request arrived but its reply was lost, so the teacher may have charged for it.
        is_unsent: nothing left this machine (the teacher can't be reached), so nothing is charged.
        is_throttled: the teacher is up and wants fewer requests.
        retry_after_s: how many seconds the teacher asks to wait.
        unsupported: the request field that the teacher does not support.
    """

    def __init__(
        self,
        message: str,
        *,
        is_transient: bool = False,
        is_fatal: bool = False,
        is_maybe_paid: bool = False,
        is_unsent: bool = False,
        is_throttled: bool = False,
        retry_after_s: float | None = None,
        unsupported: str | None = None,
    ) -> None:
        super().__init__(message.encode("utf-8", "replace").decode("utf-8"))
        self.is_transient, self.is_fatal, self.is_maybe_paid = is_transient, is_fatal, is_maybe_paid
        self.is_unsent, self.is_throttled = is_unsent, is_throttled
        self.retry_after_s, self.unsupported = retry_after_s, unsupported


class Backend(Protocol):
    """How a request reaches a teacher. Only `send` is required; the other methods have defaults.

    Attributes:
        hashes: hashes of the files it answers from, by what they are for; with other files it is a different run.
    """

    hashes: Mapping[str, str] = MappingProxyType({})

    @abstractmethod
    async def send(self, request: TeacherRequest) -> Reply:
        """Send one request and return its reply; `BackendError` is the only error raised."""
        ...

    def can_answer(self, about: About) -> bool:
        """Whether such a request can be answered at all; one that can't is never sent, charged or counted."""
        return True

    async def check(self) -> str:
        """Check, without paying, whether the teacher can be asked; returns a remark for the user or raises `BackendError`."""
        return ""

    async def close(self) -> None:
        """Release open resources."""
        return
