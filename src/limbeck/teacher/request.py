"""What is asked of a teacher and what comes back."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Protocol

from limbeck.data.example import Example
from limbeck.hashing import canonical_json, hash_text


@dataclass(frozen=True)
class About:
    """What a request is for. Never sent and never hashed: the ledger groups by it, `tutor` and `recorded` need it.

    Attributes:
        purpose: ``annotate``, ``synthesize``, ``probe``, ``verify`` or ``evaluate``.
        stage: stage that asks.
        domain: domain the reply counts for.
        examples: the example to annotate, or the seed examples of a synthesis.
        index: how many requests of this purpose and domain the run made before this one.
    """

    purpose: str
    stage: int
    domain: str
    examples: tuple[Example, ...] = ()
    index: int = 0


_COUNTED = ("temperature", "max_tokens", "max_completion_tokens")  # cost nothing to read


@dataclass(frozen=True)
class TeacherRequest:
    """One request: what is sent (`model`, `messages`, `sampling`), the sample index, and what it is about.

    `sample` tells apart requests that are meant to be answered anew although their text is the same. `failures` counts the
    attempts that the teacher is known to have refused; it is not part of the request.
    """

    model: str
    messages: tuple[Mapping[str, str], ...]
    sampling: Mapping[str, Any]
    about: About
    sample: int = 0
    failures: int = 0

    @cached_property
    def body(self) -> dict[str, Any]:
        """The request as sent: the OpenAI chat completion's fields."""
        return {"model": self.model, "messages": [dict(message) for message in self.messages], **self.sampling}

    @cached_property
    def key(self) -> str:
        """The ledger key: SHA-256 of the canonical request as sent, with the sample index."""
        return hash_text(canonical_json({"request": self.body, "sample": self.sample}))

    @property
    def idempotency_key(self) -> str:
        """The same for an attempt that repeats one whose reply was lost, so that a server that keeps replies by it does not
        work or charge twice; another one after a refusal, which it would only repeat.
        """
        return f"{self.key}-{self.failures}"

    @property
    def token_bound(self) -> int:
        """Upper bound of what this request can cost: prompt UTF-8 bytes + 16 a message + ``max_tokens`` of the reply.

        What is sent beside the messages, such as a schema or tools of ``extra_body``, counts with its bytes too.
        """
        prompt = sum(len(message["content"].encode("utf-8", "surrogatepass")) + 16 for message in self.messages)
        beside = {name: value for name, value in self.sampling.items() if name not in _COUNTED}
        return prompt + self.reply_token_bound + (len(canonical_json(beside).encode("utf-8", "surrogatepass")) if beside else 0)

    @property
    def reply_token_bound(self) -> int:
        """The most tokens the reply may have, reasoning included; reasoning models name that limit differently."""
        return int(self.sampling.get("max_completion_tokens") or self.sampling["max_tokens"])

    def without(self, field: str) -> TeacherRequest:
        """This request without a field of its sampling."""
        return replace(self, sampling={name: value for name, value in self.sampling.items() if name != field})


def estimate_tokens(text: str) -> int:
    """About how many tokens a text has, where no tokenizer is at hand: one for four bytes of UTF-8, at least one."""
    return max(1, -(-len(text.encode("utf-8", "replace")) // 4))


@dataclass(frozen=True)
class Reply:
    """What a teacher answered.

    Attributes:
        text: the answer, without what the teacher only thought.
        model: the name of the model that answered, as the teacher gives it.
        finish_reason: ``stop``, or why it is not whole or no answer: ``length``, ``content_filter``, ``refusal``.
        prompt_tokens, completion_tokens: the teacher's own counts, reasoning included.
        reasoning: what a reasoning model thought before it answered.
        reasoning_tokens: of the completion tokens, those of the reasoning.
        cached_tokens: of the prompt tokens, those that the teacher had read before.
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
        # Half of a character can't be stored; what a teacher sent broken is marked as such.
        for name in ("text", "reasoning", "model", "finish_reason"):
            object.__setattr__(self, name, getattr(self, name).encode("utf-8", "replace").decode("utf-8"))


class BackendError(Exception):
    """A request failed at the teacher.

    Attributes:
        is_transient: asking again can help.
        is_fatal: no request can succeed as things are (a refused key, an unknown model); nothing more is asked.
        is_maybe_paid: the request was taken and its reply lost, so the teacher may have charged for it.
        is_unsent: nothing left this machine (the teacher can't be reached), so nothing is charged.
        is_throttled: the teacher is there and wants fewer requests.
        retry_after_s: it asked to be left alone for so many seconds.
        unsupported: the field of the request that the teacher does not know.
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
    """How a request reaches a teacher. `send` is all that a backend must have; the rest is for those that need it.

    Attributes:
        hashes: of the files from which it answers, by what they are for: other replies would make another run.
    """

    hashes: Mapping[str, str] = MappingProxyType({})

    @abstractmethod
    async def send(self, request: TeacherRequest) -> Reply:
        """Send one request and return its reply; `BackendError` is the only error raised."""
        ...

    def can_answer(self, about: About) -> bool:
        """Whether such a request can be answered at all; what can't is never sent, charged or counted."""
        return True

    async def check(self) -> str:
        """Find out, without paying, whether the teacher can be asked; a remark for the user, or `BackendError`."""
        return ""

    async def close(self) -> None:
        """Give back what is held open."""
        return
