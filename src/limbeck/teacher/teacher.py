"""Asking: ledger hit? → reserve budget → note the intent → send with retries → settle → store."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from limbeck.data.example import hash_text
from limbeck.errors import BudgetExhausted, ConfigError, TeacherError
from limbeck.teacher.budget import Budget, BudgetSettings, Spend
from limbeck.teacher.gate import Gate
from limbeck.teacher.ledger import Ledger
from limbeck.teacher.request import About, Backend, BackendError, Reply, TeacherRequest
from limbeck.teacher.settings import TeacherSettings

FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 60.0
MANY_FAILURES = 8


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
        self,
        prompt: str | Sequence[Mapping[str, str]],
        about: About,
        *,
        sample: int = 0,
        schema: Mapping[str, Any] | None = None,
        temperature: float | None = None,
    ) -> TeacherRequest:
        """A request with this teacher's sampling settings.

        Args:
            prompt: the one user message, or the messages of a conversation.
            about: what it is for.
            sample: tells apart requests with the same prompt.
            schema: the JSON schema of the reply, sent where ``teacher.json_schema`` says so.
            temperature: in place of the setting; a teacher whose setting is null is never sent one.
        """
        settings = self.settings
        sampling: dict[str, Any] = {settings.max_tokens_field: settings.max_tokens, **settings.extra_body}
        if settings.temperature is not None:
            sampling["temperature"] = settings.temperature if temperature is None else temperature
        if schema is not None and settings.json_schema:
            form = {"name": "example", "strict": True, "schema": schema}
            sampling["response_format"] = {"type": "json_schema", "json_schema": form}
        messages = ({"role": "user", "content": prompt},) if isinstance(prompt, str) else tuple(prompt)
        return TeacherRequest(settings.model_name, messages, sampling, about, sample)

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
        self._gate = Gate(self.settings.max_concurrency)
        self._settled = asyncio.Condition()
        in_flight: dict[str, asyncio.Task[Outcome]] = {}

        def start(request: TeacherRequest) -> asyncio.Task[Outcome]:
            return in_flight.setdefault(request.key, asyncio.ensure_future(self._ask(request)))

        # Two requests with one key are one request: the second waits for the first's reply.
        tasks = [in_flight.get(request.key) or start(request) for request in requests]
        try:
            outcomes = await asyncio.gather(*tasks)
            return [replace(outcome, request=replace(outcome.request, about=request.about))
                    for request, outcome in zip(requests, outcomes, strict=True)]  # fmt: skip
        finally:
            for task in tasks:
                task.cancel()

    async def _ask(self, request: TeacherRequest) -> Outcome:
        stored = self._find_stored(request)
        if stored is not None:
            return stored
        if not self.backend.can_answer(request.about):
            return Outcome(request, None, "unavailable")
        tries = failures = 0
        deadline = math.inf  # counted from the first attempt, however long the queue before it
        while True:
            try:
                async with self._gate.enter() as entered_at:
                    deadline = min(deadline, entered_at + self.settings.deadline_s)
                    if self._fatal is not None:
                        return Outcome(request, None, "failed", str(self._fatal))
                    for field in self._unsupported & set(request.sampling):
                        request = request.without(field)
                    reply = await self._attempt(request)
                self._gate.succeed()
                return Outcome(request, reply)
            except BudgetExhausted as exhausted:
                return Outcome(request, None, "budget", str(exhausted))
            except BackendError as failure:
                error = failure
            if error.is_fatal:
                self._end(error)
                continue
            if error.unsupported is not None and error.unsupported in request.sampling:
                self._unsupported.add(error.unsupported)
                continue
            tries += 1
            # Being told to wait is no failure of the request; nor is a teacher that can't be reached at all.
            failures += not (error.is_throttled or error.is_unsent)
            if not error.is_transient or failures >= self.settings.max_attempts:
                return Outcome(request, None, "failed", str(error))
            if error.is_throttled or error.is_unsent:
                self._gate.slow_down(entered_at, error.retry_after_s)
            pause_s = self._find_pause_s(request, tries, error)
            if time.monotonic() + pause_s >= deadline:
                gave_up = f"{error} (gave up at the deadline of {self.settings.deadline_s:g} s, teacher.deadline_s)"
                if not error.is_unsent:
                    return Outcome(request, None, "failed", gave_up)
                self._end(BackendError(f"{gave_up}; run the same command again once the teacher is back", is_fatal=True))
                continue
            await self._gate.sleep(pause_s)

    def _find_stored(self, request: TeacherRequest) -> Outcome | None:
        """The reply in the ledger, to the request or to what was sent in its place where its schema is unsupported."""
        for sent in (request, request.without("response_format")):
            reply = self.ledger.find_reply(sent.key)
            if reply is not None:
                return Outcome(sent, reply)
        return None

    def _end(self, error: BackendError) -> None:
        """Ask nothing more: what waits ends at once."""
        self._fatal = error
        self._gate.close()

    def _find_pause_s(self, request: TeacherRequest, tries: int, error: BackendError) -> float:
        """How long to wait after a failed attempt: what the teacher asks for, or exponential back-off; with jitter."""
        jitter = random.Random(hash_text(f"{request.key}/{tries}")).uniform(0.5, 1.5)
        backoff_s = min(FIRST_BACKOFF_S * 2 ** min(tries - 1, 30) * jitter, MAX_BACKOFF_S)
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
                self.ledger.write_failure(request.key, number, failure)
                real = most if failure.is_maybe_paid else Spend(requests=not failure.is_unsent)
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
            if self.budget.exhausted is not None:
                raise self.budget.exhausted
            try:
                return self.budget.reserve(most)
            except BudgetExhausted as exhausted:
                if self.budget.reserved.requests == 0:
                    self.budget.exhausted = exhausted
                    raise
            async with self._settled:
                await self._settled.wait()

    def _bound(self, request: TeacherRequest) -> Spend:
        reply_tokens = request.reply_token_bound
        return Spend(1, request.token_bound, self._cost(request.token_bound - reply_tokens, reply_tokens) or 0.0)

    def _cost(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        prices = self.settings.prices
        return None if prices is None else prices.compute_cost_usd(prompt_tokens, completion_tokens)
