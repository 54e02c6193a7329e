"""The fake teacher: answers limbeck's prompts without understanding them, and fails as often as configured.

Use it for tests, to try limbeck without a key, and to see what a run does when its teacher misbehaves. The fate of a request
is drawn from (seed, hash of its canonical body, how often it was seen), so neither the order of arrival nor timing changes
it; only `capacity`, `outage` and `model_change_after` depend on all requests. If a request has an ``Idempotency-Key``, the
part before the key's last ``-`` distinguishes samples of the same body, which is how limbeck sends it.
"""

from __future__ import annotations

import hashlib
import ssl
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, get_args

from aiohttp import web
from pydantic import Field, ValidationError, model_validator

from limbeck.errors import ConfigError
from limbeck.fake_teacher.replies import FORMLESS, REFUSAL, draft_reply, to_cyrillic
from limbeck.fake_teacher.server import FakeServer, Reaction, complete, refuse
from limbeck.hashing import canonical_json, hash_text
from limbeck.settings import Settings
from limbeck.tables import suggest
from limbeck.teacher.backends.http_parts import read_content

Fault = Literal["throttle", "fail", "drop", "cut", "stall", "truncate", "refuse", "empty", "filter", "malformed", "language"]
"""What can go wrong with a request; at most one fault per request."""
FAULTS: tuple[Fault, ...] = get_args(Fault)
WARNING = "this is a fake: it understands nothing, and its replies are worth nothing for training"
KEY_HEADER = "Idempotency-Key"

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class FakeSettings(Settings):
    """How the fake teacher behaves.

    Attributes:
        seed: seed of everything that is drawn.
        model: the model name it answers under.
        latency_s: seconds before each reply.
        faults: the share of requests, 0 to 1, that get each fault:

            - ``throttle``: a 429; ``fail``: a 500; ``drop``: an aborted connection. No reply is made.
            - ``cut``: half of the reply's JSON; ``stall``: the reply arrives in small pieces over `stall_s`.
            - ``truncate``: half of the text; ``refuse``: a refusal; ``empty``: no text; ``filter``: no text, with the finish
              reason ``content_filter``; ``malformed``: text without the expected form; ``language``: text in another script.
              These are whole replies.
        retry_after_s: seconds that a 429 asks to wait; None sends no such header.
        stall_s: seconds that a stalled reply takes.
        model_change_after: after this many replies it answers under another model name.
        capacity: requests beyond this many at once get a 429.
        outage: after this many requests it answers 503 for this many seconds, once.
        reasoning_tokens, cached_tokens: tokens it counts as such, at most the reply's limit or the prompt's tokens.
        is_idempotent: whether to keep each reply by its request's ``Idempotency-Key`` and replay it without charging again.
    """

    seed: int = 0
    model: str = "fake-teacher"
    latency_s: Seconds = 0.0
    faults: dict[Fault, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)
    retry_after_s: Seconds | None = None
    stall_s: Seconds = 600.0
    model_change_after: Count | None = None
    capacity: Annotated[int, Field(gt=0)] | None = None
    outage: tuple[Count, Seconds] | None = None
    reasoning_tokens: Count = 0
    cached_tokens: Count = 0
    is_idempotent: bool = False

    @model_validator(mode="after")
    def _check_faults(self) -> FakeSettings:
        if (total := sum(self.faults.values())) > 1 + 1e-9:
            named = ", ".join(f"{kind} {share:g}" for kind, share in self.faults.items())
            raise ValueError(f"faults: the shares sum to {total:g}, more than 1 ({named})")
        return self


def read_faults(texts: Sequence[str]) -> dict[str, float]:
    """Parse ``KIND=SHARE`` texts into shares by kind.

    Raises:
        ConfigError: a text has another form, or names an unknown fault or one given twice.
    """
    found: dict[str, float] = {}
    for text in texts:
        kind, _, share = text.partition("=")
        if kind not in FAULTS or kind in found:
            why = (
                "is given twice"
                if kind in found
                else f"is not a fault{suggest(kind, FAULTS) or '.'} Choose from: {', '.join(FAULTS)}"
            )
            raise ConfigError(f"--fault {text}: {kind!r} {why}")
        try:
            found[kind] = float(share)
        except ValueError as error:
            raise ConfigError(f"--fault {text}: expected KIND=SHARE with a share from 0 to 1, such as {kind}=0.1") from error
    return found


def make_settings(**values: Any) -> FakeSettings:  # noqa: ANN401 (the fields of FakeSettings)
    """Make the settings from these values.

    Raises:
        ConfigError: a value is out of range; the message names the setting.
    """
    try:
        return FakeSettings(**values)
    except ValidationError as error:
        faults = []
        for fault in error.errors():
            place = f"{'.'.join(map(str, fault['loc']))}: " if fault["loc"] else ""
            faults.append(place + fault["msg"].removeprefix("Value error, "))
        raise ConfigError("fake-teacher: " + "; ".join(faults)) from error


class FakeTeacher(FakeServer):
    """The server that fails as its settings say.

    Args:
        settings: how it behaves.
        replies: ``(match, text, finish_reason)``; it answers with the first one whose `match` occurs in the prompt.
        tls: makes it an HTTPS server.

    Attributes:
        prompt_tokens, completion_tokens: tokens of all replies made, including those that did not arrive: what a real
            teacher would charge for.
    """

    def __init__(
        self,
        settings: FakeSettings | None = None,
        replies: Sequence[tuple[str, str, str]] = (),
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.settings = settings or FakeSettings()
        super().__init__(Reaction({"object": "list", "data": [{"id": self.settings.model, "object": "model"}]}), tls=tls)
        self.prompt_tokens = self.completion_tokens = 0
        self._replies = replies
        self._made_count = 0
        self._seen: Counter[str] = Counter()
        self._stored: dict[str, tuple[str, Reaction]] = {}
        self._outage_ends_at: float | None = None

    def describe(self) -> dict[str, Any]:
        """The counts, with tokens and replays."""
        tokens = {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.completion_tokens}
        return {**super().describe(), "replayed": self.outcomes["replay"], **tokens}

    def react(self, request: web.Request, body: dict[str, Any]) -> Reaction:
        """Decide how to react to a chat request; see the module."""
        settings = self.settings
        if self._is_out():
            return Reaction(refuse("the fake teacher is out of order", type="server_error"), 503, outcome="outage")
        if settings.capacity is not None and self.at_once > settings.capacity:
            return self._throttle("capacity")
        if fault := find_body_fault(body):
            return Reaction(refuse(fault), 400, outcome="invalid")
        key, body_hash = request.headers.get(KEY_HEADER, ""), hash_text(canonical_json(body))
        if key in self._stored:
            return self._replay(key, body_hash)
        asked = f"{settings.seed}/{body_hash}/{key.rpartition('-')[0]}"
        digest = hashlib.sha256(f"{asked}/{self._seen[asked]}".encode()).digest()
        self._seen[asked] += 1
        kind, delay_s = self._draw(digest), settings.latency_s
        if kind == "throttle":
            return self._throttle(kind)
        if kind == "fail":
            return Reaction(refuse("the fake teacher failed", type="server_error"), 500, delay_s=delay_s, outcome=kind)
        if kind == "drop":
            return Reaction(delay_s=delay_s, is_dropped=True, outcome=kind)
        whole = Reaction(self._answer(body, kind, asked), delay_s=delay_s, outcome=kind, body_hash=body_hash)
        if settings.is_idempotent and key:
            self._stored[key] = (body_hash, whole)
        if kind == "cut":
            text = canonical_json(whole.body)
            return replace(whole, body=text[: len(text) // 2], body_hash="")
        return replace(whole, trickle_s=settings.stall_s) if kind == "stall" else whole

    def _is_out(self) -> bool:
        outage = self.settings.outage
        if outage is None or self.requests <= outage[0]:
            return False
        if self._outage_ends_at is None:
            self._outage_ends_at = time.monotonic() + outage[1]
        return time.monotonic() < self._outage_ends_at

    def _throttle(self, outcome: str) -> Reaction:
        wait_s = self.settings.retry_after_s
        headers = {} if wait_s is None else {"Retry-After": f"{wait_s:g}"}
        return Reaction(refuse("too many requests", type="rate_limit_error"), 429, headers, outcome=outcome)

    def _replay(self, key: str, body_hash: str) -> Reaction:
        stored_hash, reply = self._stored[key]
        if stored_hash != body_hash:
            return Reaction(refuse(f"{KEY_HEADER} {key} belongs to a request with another body"), 422, outcome="invalid")
        return replace(reply, headers={"Idempotent-Replayed": "true"}, outcome="replay", body_hash="")

    def _draw(self, digest: bytes) -> str:
        """Draw the fault, or ``answer``."""
        left = int.from_bytes(digest[:6]) / 2**48
        for kind in FAULTS:
            left -= self.settings.faults.get(kind, 0.0)
            if left < 0:
                return kind
        return "answer"

    def _answer(self, body: dict[str, Any], kind: str, draw: str) -> dict[str, Any]:
        """Make the chat completion and count it."""
        settings = self.settings
        prompt = "\n".join(read_content(message.get("content")) for message in body["messages"])
        text, finish = self._say(body["messages"], prompt, kind, draw)
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        reasoning = settings.reasoning_tokens if limit is None else min(settings.reasoning_tokens, limit)
        if limit is not None and count_tokens(text) > limit - reasoning:
            text, finish = text.encode("utf-8", "replace")[: 4 * (limit - reasoning)].decode("utf-8", "ignore"), "length"
        prompt_tokens, completion_tokens = count_tokens(prompt), count_tokens(text) + reasoning
        usage: dict[str, Any] = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        }
        if settings.reasoning_tokens:
            usage["completion_tokens_details"] = {"reasoning_tokens": reasoning}
        if settings.cached_tokens:
            usage["prompt_tokens_details"] = {"cached_tokens": min(settings.cached_tokens, prompt_tokens)}
        is_changed = settings.model_change_after is not None and self._made_count >= settings.model_change_after
        self._made_count += 1
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens
        model = f"{settings.model}-changed" if is_changed else settings.model
        return complete(None, model, finish, usage, refusal=text) if kind == "refuse" else complete(text, model, finish, usage)

    def _say(self, messages: Sequence[dict[str, Any]], prompt: str, kind: str, draw: str) -> tuple[str, str]:
        """The text of the reply and its finish reason."""
        if kind in ("refuse", "empty", "filter", "malformed"):
            text = {"refuse": REFUSAL, "malformed": FORMLESS}.get(kind, "")
            return text, "content_filter" if kind == "filter" else "stop"
        is_foreign = kind == "language"
        text, finish = next(((text, finish) for match, text, finish in self._replies if match in prompt), ("", ""))
        if not finish:
            draft = draft_reply(messages, draw)
            text, finish = (draft.in_cyrillic() if is_foreign else draft).write(), "stop"
        elif is_foreign:
            text = to_cyrillic(text)
        return (text[: len(text) // 2], "length") if kind == "truncate" else (text, finish)


def find_body_fault(body: dict[str, Any]) -> str | None:
    """Why a body is not a chat request that the fake teacher can answer, or None."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
        return "messages: a list of messages is wanted"
    if body.get("stream"):
        return "stream: the fake teacher sends whole replies only"
    for name in ("max_tokens", "max_completion_tokens"):
        limit = body.get(name)
        if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
            return f"{name}: a whole number of at least 1 is wanted"
    return None


def count_tokens(text: str) -> int:
    """Count tokens as the fake teacher does: one per four bytes of UTF-8, rounded up."""
    return -(-len(text.encode("utf-8", "replace")) // 4)
