"""Asking: ledger hit? → reserve budget → note the intent → send with retries → settle → store."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from limbeck.data.example import hash_text
from limbeck.data.task import Settings
from limbeck.errors import BudgetExhausted, ConfigError, TeacherError
from limbeck.teacher.budget import Budget, Spend
from limbeck.teacher.ledger import Ledger
from limbeck.teacher.request import About, Backend, BackendError, Reply, TeacherRequest

MAX_ATTEMPTS = 4
FIRST_BACKOFF_S = 0.5
MANY_FAILURES = 8


class Prices(Settings):
    """What the teacher charges, in USD per million tokens."""

    prompt_usd_per_mtok: float = Field(ge=0)
    completion_usd_per_mtok: float = Field(ge=0)

    def compute_cost_usd(self, prompt_tokens: int, completion_tokens: int) -> float:
        """The price of one request."""
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


class TeacherSettings(Settings):
    """Which teacher, and how it is asked.

    Attributes:
        backend: how requests are sent. ``tutor`` simulates a teacher for procedural domains; ``scripted`` answers from a
            JSONL file.
        model: the teacher's model name, part of every request.
        max_concurrency: requests in flight at once.
        temperature, max_tokens: sampling, part of every request.
        prices: for `max_cost_usd` and the ledger's money column.
        templates: ``{annotate: file, synthesize: file}`` to replace the prompts (Jinja, sandboxed).
        seed_examples: how many real examples of the domain a synthesis prompt shows.
        path: the ``scripted`` backend's replies.
        tutor: the ``tutor`` backend's settings.
    """

    backend: Literal["tutor", "scripted"] = "tutor"
    model: str = "tutor"
    max_concurrency: int = Field(default=64, gt=0)
    temperature: float = Field(default=0.7, ge=0)
    max_tokens: int = Field(default=512, gt=0)
    prices: Prices | None = None
    templates: dict[Literal["annotate", "synthesize"], Path] = Field(default_factory=dict)
    seed_examples: int = Field(default=3, gt=0)
    path: Path | None = None
    tutor: TutorSettings = TutorSettings()


@dataclass(frozen=True)
class Outcome:
    """What became of one request: a reply, or the reason why there is none (``failed`` or ``budget``)."""

    request: TeacherRequest
    reply: Reply | None
    reason: str = ""
    detail: str = ""


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
        if budget.settings.max_cost_usd is not None and settings.prices is None:
            raise ConfigError(
                f"budget.max_cost_usd = {budget.settings.max_cost_usd:g} can't be held: teacher.prices gives no price "
                f"for {settings.model!r}. Set teacher.prices.prompt_usd_per_mtok and completion_usd_per_mtok."
            )
        self.backend, self.ledger, self.budget, self.settings = backend, ledger, budget, settings
        self._on_settled = on_settled
        self._has_answered = False

    def make_request(self, prompt: str, about: About, *, sample: int = 0) -> TeacherRequest:
        """A request with one user message and this teacher's sampling settings."""
        sampling = {"temperature": self.settings.temperature, "max_tokens": self.settings.max_tokens}
        return TeacherRequest(self.settings.model, ({"role": "user", "content": prompt},), sampling, about, sample)

    def ask_many(self, requests: Sequence[TeacherRequest]) -> list[Outcome]:
        """Ask all requests, at most `max_concurrency` at once; outcomes come in the order of the requests.

        A request whose reply is in the ledger costs nothing. Where a cap does not allow a request, it and all that
        follow come back with the reason ``budget`` and without being sent.

        Raises:
            TeacherError: every request failed, and either nothing was ever answered or many failed at once; going on
                would only cost more.
        """
        outcomes = asyncio.run(self._ask_all(requests))
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
            return [replace(outcome, request=request) for request, outcome in zip(requests, outcomes, strict=True)]
        finally:
            for task in tasks:
                task.cancel()

    async def _ask(self, request: TeacherRequest) -> Outcome:
        stored = self.ledger.find_reply(request.key)
        if stored is not None:
            return Outcome(request, stored)
        if self.budget.exhausted is not None:
            return Outcome(request, None, "budget", str(self.budget.exhausted))
        error = ""
        for attempt in range(MAX_ATTEMPTS):
            if attempt:
                jitter = random.Random(hash_text(f"{request.key}/{attempt}")).uniform(0.5, 1.5)
                await asyncio.sleep(FIRST_BACKOFF_S * 2 ** (attempt - 1) * jitter)
            try:
                return Outcome(request, await self._attempt(request))
            except BudgetExhausted as exhausted:
                return Outcome(request, None, "budget", str(exhausted))
            except BackendError as failure:
                error = str(failure)
                if not failure.is_transient:
                    break
        return Outcome(request, None, "failed", error)

    async def _attempt(self, request: TeacherRequest) -> Reply:
        most = self._bound(request)
        await self._reserve(most)
        real = most  # what is not known to be less counts in full
        try:
            number = self.ledger.write_intent(request, most)
            try:
                reply = await self.backend.send(request)
            except BackendError as failure:
                self.ledger.write_failure(request.key, number, str(failure))
                real = Spend(requests=1)
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
        reply_tokens = int(request.sampling["max_tokens"])
        return Spend(1, request.token_bound, self._cost(request.token_bound - reply_tokens, reply_tokens) or 0.0)

    def _cost(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        prices = self.settings.prices
        return None if prices is None else prices.compute_cost_usd(prompt_tokens, completion_tokens)
