"""Asking: ledger hit? → reserve budget → note the intent → send with retries → settle → store."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from pydantic import Field, field_validator

from limbeck.data.example import hash_text
from limbeck.data.task import Settings
from limbeck.errors import BudgetExhausted, ConfigError, TeacherError
from limbeck.teacher.budget import Budget, BudgetSettings, Spend
from limbeck.teacher.ledger import Ledger
from limbeck.teacher.request import About, Backend, BackendError, Reply, TeacherRequest

FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 60.0
MANY_FAILURES = 8


class Prices(Settings):
    """What the teacher charges, in USD per million tokens."""

    prompt_usd_per_mtok: float = Field(ge=0)
    completion_usd_per_mtok: float = Field(ge=0)

    def compute_cost_usd(self, prompt_tokens: float, completion_tokens: float) -> float:
        """The price of so many tokens."""
        return (prompt_tokens * self.prompt_usd_per_mtok + completion_tokens * self.completion_usd_per_mtok) / 1e6


class TutorSettings(Settings):
    """How good the simulated teacher is; each rate is a probability per request, independent of the others.

    Attributes:
        slip_rate: one wrong step that is carried into the answer (only a second opinion sees it).
        misstate_rate: the stated answer differs from the one the rationale ends in.
        centre_bias: an invented problem is the middle one of eight by length of its solution, not just any.
    """

    slip_rate: float = Field(default=0.0, ge=0, le=1)
    misstate_rate: float = Field(default=0.0, ge=0, le=1)
    centre_bias: float = Field(default=0.0, ge=0, le=1)
    seed: int = 0


class EmbeddedSettings(Settings):
    """How the ``embedded`` backend's llama.cpp server runs.

    Attributes:
        slots: requests that are worked on at once; more share the processor better, and each needs memory for its context.
        context: tokens of prompt and reply together that a slot holds.
        threads: processor threads; null leaves it to llama.cpp.
    """

    slots: int = Field(default=32, gt=0)
    context: int = Field(default=2048, gt=0)
    threads: int | None = Field(default=None, gt=0)


class RecordedSettings(Settings):
    """What the ``recorded`` backend replays.

    Attributes:
        annotations: rows with the task's fields, ``rationale`` and ``teacher_answer``, found by their question.
        synthesized: rows with ``domain``, the task's fields, ``rationale`` and ``teacher_answer`` (or ``answer``), given
            by domain in the order of the file, each once.
        columns: ``{our name: column in the files}``.
    """

    annotations: str | None = None
    synthesized: str | None = None
    columns: dict[str, str] = Field(default_factory=dict)


class TeacherSettings(Settings):
    """Which teacher, and how it is asked.

    Attributes:
        backend: how requests are sent. ``openai_compatible`` speaks the OpenAI chat protocol over HTTP; ``embedded``
            starts a llama.cpp server on this machine; ``recorded`` replays replies from files; ``tutor`` simulates a
            teacher for procedural domains; ``scripted`` answers from a JSONL file.
        model: the teacher's model name, part of every request; for ``embedded`` a ``.gguf`` file or a packaged model.
        base_url: where the API is, such as ``http://127.0.0.1:8000/v1``; the endpoint ``/chat/completions`` is added.
        api_key_env: the environment variable that holds the key. A key is never written anywhere.
        api_key_file: a file that holds the key in place of the variable; only its owner may be able to read it.
        max_concurrency: requests in flight at once.
        timeout_s: how long one attempt may take, in seconds.
        deadline_s: how long one request may take with all its attempts and waits, in seconds.
        max_attempts: how often one request is sent at most; only failures that may pass are sent again.
        temperature, max_tokens: sampling, part of every request; a null temperature is not sent.
        max_tokens_field: what the limit is called in a request; OpenAI's reasoning models want ``max_completion_tokens``.
        extra_body: further fields of every request, such as ``{reasoning_effort: low}``.
        json_schema: ask for synthesized examples as JSON by schema; a server that refuses it is asked without.
        reasoning: what becomes of a reasoning model's thoughts (``reasoning_content``, ``<think>``): ``drop`` them, or
            take them as the ``rationale`` of an annotation.
        tokenizer: a folder or ``tokenizer.json`` with which `limbeck plan` counts prompt tokens.
        prices: for `max_cost_usd` and the ledger's money column.
        templates: ``{annotate: file, synthesize: file}`` to replace the prompts (Jinja, sandboxed).
        seed_examples: how many real examples of the domain a synthesis prompt shows.
        path: the ``scripted`` backend's replies.
        embedded: the ``embedded`` backend's server.
        recorded: the ``recorded`` backend's files.
        tutor: the ``tutor`` backend's settings.
    """

    backend: Literal["openai_compatible", "embedded", "recorded", "tutor", "scripted"] = "tutor"
    model: str = "tutor"
    base_url: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    api_key_file: Path | None = None
    max_concurrency: int = Field(default=64, gt=0)
    timeout_s: float = Field(default=180.0, gt=0)
    deadline_s: float = Field(default=900.0, gt=0)
    max_attempts: int = Field(default=6, gt=0)
    temperature: float | None = Field(default=0.7, ge=0)
    max_tokens: int = Field(default=512, gt=0)
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    extra_body: dict[str, Any] = Field(default_factory=dict)
    json_schema: bool = False
    reasoning: Literal["drop", "rationale"] = "drop"
    tokenizer: Path | None = None
    prices: Prices | None = None
    templates: dict[Literal["annotate", "synthesize"], Path] = Field(default_factory=dict)
    seed_examples: int = Field(default=3, gt=0)
    path: Path | None = None
    embedded: EmbeddedSettings = EmbeddedSettings()
    recorded: RecordedSettings = RecordedSettings()
    tutor: TutorSettings = TutorSettings()

    @property
    def model_name(self) -> str:
        """What a request calls the model: never a path, which would differ from machine to machine."""
        return Path(self.model).stem if self.model.endswith(".gguf") else self.model.removeprefix("packaged:")

    @field_validator("extra_body")
    @classmethod
    def _check_extra_body(cls, extra: dict[str, Any]) -> dict[str, Any]:
        ours = sorted({"model", "messages", "temperature", "max_tokens", "max_completion_tokens", "n", "stream"} & set(extra))
        if ours:
            raise ValueError(f"{', '.join(ours)} can't be set here: limbeck sends it itself, or relies on its default")
        return extra


@dataclass(frozen=True)
class Outcome:
    """What became of one request: a reply, or the reason why there is none.

    The reasons are ``failed`` (all attempts did), ``budget`` (a cap does not allow it), and ``unavailable`` (the backend
    can't answer it); the last two were never sent.
    """

    request: TeacherRequest
    reply: Reply | None
    reason: str = ""
    detail: str = ""


def check_prices(budget: BudgetSettings, settings: TeacherSettings) -> None:
    """Refuse a money cap under which the prices are unknown.

    Raises:
        ConfigError: with both numbers that are missing.
    """
    if budget.max_cost_usd is not None and settings.prices is None:
        raise ConfigError(
            f"budget.max_cost_usd = {budget.max_cost_usd:g} can't be held: teacher.prices gives no price for "
            f"{settings.model!r}. Set teacher.prices.prompt_usd_per_mtok and completion_usd_per_mtok."
        )


def check_teacher(backend: Backend, settings: TeacherSettings) -> str:
    """Find out, without paying, whether the teacher can be asked; a remark for the user, or an empty text.

    Raises:
        TeacherError: it can't.
    """

    async def check() -> str:
        try:
            return await backend.check()
        finally:
            await backend.close()  # its connections belong to this call's event loop

    try:
        return asyncio.run(check())
    except BackendError as failure:
        raise TeacherError(f"teacher {settings.model!r} ({settings.backend}): {failure}") from failure


class Teacher:
    """A backend with a ledger and a budget. The only way by which anything is asked and paid."""

    def __init__(
        self,
        backend: Backend,
        ledger: Ledger,
        budget: Budget,
        settings: TeacherSettings,
        *,
        on_settled: Callable[[TeacherRequest], None] = lambda request: None,
    ) -> None:
        check_prices(budget.settings, settings)
        self.backend, self.ledger, self.budget, self.settings = backend, ledger, budget, settings
        self._on_settled = on_settled
        self._has_answered = False
        self._fatal: BackendError | None = None
        self._unsupported: set[str] = set()
        self._runner = asyncio.Runner()  # one loop for all calls, so that a backend's connections live on

    def __enter__(self) -> Teacher:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._runner.run(self.backend.close())
        self._runner.close()

    def make_request(
        self, prompt: str, about: About, *, sample: int = 0, schema: Mapping[str, Any] | None = None
    ) -> TeacherRequest:
        """A request with one user message and this teacher's sampling settings.

        Args:
            prompt: the message.
            about: what it is for.
            sample: tells apart requests with the same prompt.
            schema: the JSON schema of the reply, sent where ``teacher.json_schema`` says so.
        """
        settings = self.settings
        sampling: dict[str, Any] = {settings.max_tokens_field: settings.max_tokens, **settings.extra_body}
        if settings.temperature is not None:
            sampling["temperature"] = settings.temperature
        if schema is not None and settings.json_schema:
            form = {"name": "example", "strict": True, "schema": schema}
            sampling["response_format"] = {"type": "json_schema", "json_schema": form}
        return TeacherRequest(settings.model_name, ({"role": "user", "content": prompt},), sampling, about, sample)

    def ask_many(self, requests: Sequence[TeacherRequest]) -> list[Outcome]:
        """Ask all requests, at most `max_concurrency` at once; outcomes come in the order of the requests.

        A request whose reply is in the ledger costs nothing. Where a cap does not allow a request, it and all that
        follow come back with the reason ``budget`` and without being sent.

        Raises:
            TeacherError: no request can succeed; or every request failed, and either nothing was ever answered or many
                failed at once. Going on would only cost more.
        """
        outcomes = self._runner.run(self._ask_all(requests))
        if self._fatal is not None:
            raise TeacherError(f"teacher {self.settings.model!r} ({self.settings.backend}): {self._fatal}")
        failed = [outcome for outcome in outcomes if outcome.reason == "failed"]
        replies = [outcome for outcome in outcomes if outcome.reply]
        is_hopeless = not self._has_answered or len(failed) >= MANY_FAILURES
        self._has_answered = self._has_answered or bool(replies)
        if failed and not replies and is_hopeless:
            raise TeacherError(
                f"teacher {self.settings.model!r} ({self.settings.backend}): all {len(failed)} requests failed; the "
                f"last said: {failed[-1].detail}"
            )
        return outcomes

    async def _ask_all(self, requests: Sequence[TeacherRequest]) -> list[Outcome]:
        gate = asyncio.Semaphore(self.settings.max_concurrency)
        self._settled = asyncio.Condition()
        in_flight: dict[str, asyncio.Task[Outcome]] = {}

        async def ask_gated(request: TeacherRequest) -> Outcome:
            async with gate:
                return await self._ask(request)

        def start(request: TeacherRequest, work: Coroutine[Any, Any, Outcome]) -> asyncio.Task[Outcome]:
            return in_flight.setdefault(request.key, asyncio.ensure_future(work))

        # Two requests with one key are one request: the second waits for the first's reply.
        tasks = [in_flight.get(request.key) or start(request, ask_gated(request)) for request in requests]
        try:
            outcomes = await asyncio.gather(*tasks)
            return [replace(outcome, request=replace(outcome.request, about=request.about))
                    for request, outcome in zip(requests, outcomes, strict=True)]  # fmt: skip
        finally:
            for task in tasks:
                task.cancel()

    async def _ask(self, request: TeacherRequest) -> Outcome:
        stored = self.ledger.find_reply(request.key)
        if stored is not None:
            return Outcome(request, stored)
        for field in self._unsupported & set(request.sampling):
            return await self._ask(request.without(field))
        if not self.backend.can_answer(request.about):
            return Outcome(request, None, "unavailable")
        if self.budget.exhausted is not None:
            return Outcome(request, None, "budget", str(self.budget.exhausted))
        deadline = time.monotonic() + self.settings.deadline_s
        for attempt in range(1, self.settings.max_attempts + 1):
            if self._fatal is not None:
                return Outcome(request, None, "failed", str(self._fatal))
            try:
                return Outcome(request, await self._attempt(request))
            except BudgetExhausted as exhausted:
                return Outcome(request, None, "budget", str(exhausted))
            except BackendError as failure:
                error = failure
            if error.is_fatal:
                self._fatal = error
            elif error.unsupported is not None and error.unsupported in request.sampling:
                self._unsupported.add(error.unsupported)
                return await self._ask(request.without(error.unsupported))
            elif not error.is_transient:
                break
            else:
                pause_s = self._find_pause_s(request, attempt, error)
                if time.monotonic() + pause_s >= deadline:
                    return Outcome(request, None, "failed", f"{error} (gave up before the deadline of "
                                   f"{self.settings.deadline_s:g} s: the next attempt was due in {pause_s:.1f} s)")  # fmt: skip
                await asyncio.sleep(pause_s if attempt < self.settings.max_attempts else 0)
        return Outcome(request, None, "failed", str(error))

    def _find_pause_s(self, request: TeacherRequest, attempt: int, error: BackendError) -> float:
        """How long to wait after a failed attempt: what the teacher asks for, or exponential back-off; with jitter."""
        jitter = random.Random(hash_text(f"{request.key}/{attempt}")).uniform(0.5, 1.5)
        backoff_s = min(FIRST_BACKOFF_S * 2 ** (attempt - 1) * jitter, MAX_BACKOFF_S)
        return backoff_s if error.retry_after_s is None else max(error.retry_after_s, 0) + FIRST_BACKOFF_S * (jitter - 0.5)

    async def _attempt(self, request: TeacherRequest) -> Reply:
        most = self._bound(request)
        await self._reserve(most)
        real = most  # what is not known to be less counts in full
        try:
            number = self.ledger.write_intent(request, most)
            try:
                reply = await self.backend.send(request)
            except BackendError as failure:
                self.ledger.write_failure(request.key, number, str(failure), is_maybe_paid=failure.is_maybe_paid)
                real = most if failure.is_maybe_paid else Spend(requests=1)
                raise
            cost = self._cost(reply.prompt_tokens, reply.completion_tokens)
            self.ledger.write_reply(request.key, number, reply, cost)
            real = Spend(1, reply.prompt_tokens + reply.completion_tokens, cost or 0.0)
            return reply
        finally:
            self.budget.settle(most, real)
            async with self._settled:
                self._settled.notify_all()
            self._on_settled(request)

    async def _reserve(self, most: Spend) -> None:
        """Reserve, waiting while requests in flight may still give back what they reserved too much."""
        while True:
            try:
                return self.budget.reserve(most)
            except BudgetExhausted:
                if self.budget.reserved.requests == 0:
                    raise
            self.budget.exhausted = None
            async with self._settled:
                await self._settled.wait()

    def _bound(self, request: TeacherRequest) -> Spend:
        reply_tokens = request.reply_token_bound
        return Spend(1, request.token_bound, self._cost(request.token_bound - reply_tokens, reply_tokens) or 0.0)

    def _cost(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        prices = self.settings.prices
        return None if prices is None else prices.compute_cost_usd(prompt_tokens, completion_tokens)
