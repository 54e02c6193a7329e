"""Asks the teacher: look in the ledger → enter the gate → send and pay → retry until the deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from limbeck.data.task import Task
from limbeck.errors import BudgetExhausted, TeacherError
from limbeck.system.event_loop import EventLoop, run_coroutine
from limbeck.teacher.backends import open_backend
from limbeck.teacher.client.attempt import AttemptSender
from limbeck.teacher.client.budget import Budget, BudgetSettings, Spend, check_prices
from limbeck.teacher.client.concurrency import AdaptiveLimiter
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.client.retry import RetryState
from limbeck.teacher.request import About, Backend, BackendError, Reply, TeacherRequest
from limbeck.teacher.settings import TeacherSettings

FIRST_BACKOFF_S = 0.5
MANY_FAILURES = 8


@dataclass(frozen=True)
class Outcome:
    """What became of one request: a reply, or the reason why there is none.

    The reasons are ``failed`` (no attempt succeeded), ``budget`` (a cap does not allow an attempt, which was not sent), and
    ``unavailable`` (the backend can't answer the request, which was never sent).
    """

    request: TeacherRequest
    reply: Reply | None
    reason: str = ""
    detail: str = ""


def check_teacher(backend: Backend, settings: TeacherSettings) -> str:
    """Check, without paying, whether the teacher can be asked; returns a remark for the user, or an empty text.

    Raises:
        TeacherError: it can't be asked.
    """

    async def check() -> str:
        try:
            return await backend.check()
        finally:
            await backend.close()  # its connections belong to this call's event loop

    try:
        return run_coroutine(check())
    except BackendError as failure:
        raise TeacherError(f"teacher {settings.model!r} ({settings.backend}): {failure}") from failure


class Teacher:
    """A backend with a ledger and a budget. Every request is asked and paid through it."""

    def __init__(
        self,
        backend: Backend,
        ledger: Ledger,
        budget: Budget,
        settings: TeacherSettings,
        *,
        on_settled: Callable[[TeacherRequest], None] = lambda request: None,
        on_note: Callable[[str], None] = lambda text: None,
        on_state: Callable[[Mapping[str, Any]], None] = lambda facts: None,
    ) -> None:
        """`on_settled` is called after each attempt, `on_note` with notes for the user, `on_state` with the breaker's state."""
        check_prices(budget.settings, settings)
        self.backend, self.ledger, self.budget, self.settings = backend, ledger, budget, settings
        self._on_note, self._on_state = on_note, on_state
        self._gate = AdaptiveLimiter(settings.max_concurrency, first_pause_s=FIRST_BACKOFF_S, on_state=self._report_state)
        self._attempts = AttemptSender(self._gate, ledger, budget, settings, on_settled, on_note)
        self._last_error = ""
        self._has_answered = False
        self._fatal: BackendError | None = None
        self._unsupported: set[str] = set()
        self._loop = EventLoop()
        self._own: list[Ledger] = []

    @classmethod
    def open(
        cls,
        settings: TeacherSettings,
        ledger: str | Path,
        *,
        task: Task | None = None,
        budget: BudgetSettings | None = None,
    ) -> Teacher:
        """Open a teacher from its settings, for standalone use: ``with Teacher.open(…) as teacher: teacher.ask("…")``.

        Args:
            settings: which teacher to ask, and how.
            ledger: the ledger's file; created if necessary. Replies in it are not paid again.
            task: the task, which the `tutor` and `recorded` backends need.
            budget: caps on everything in the ledger; None sets no cap.

        Raises:
            ConfigError, DataError: the settings are incomplete, or a file can't be read.
            StorageError: the ledger can't be opened.
        """
        backend = open_backend(settings, task or Task())
        book = Ledger(Path(ledger))
        book.mark_unknown()
        teacher = cls(backend, book, Budget(budget or BudgetSettings(max_examples=1), book.sum_spend()), settings)
        teacher._own.append(book)
        return teacher

    def __enter__(self) -> Teacher:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.run(self.ledger.drain())  # replies that have arrived are paid for, whatever ended the run
        self._loop.run(self.backend.close())
        self._loop.close()
        for ledger in self._own:
            ledger.close()

    def ask(self, prompt: str | Sequence[Mapping[str, str]], *, sample: int = 0) -> Reply:
        """Ask one prompt and return the teacher's reply; a reply in the ledger costs nothing.

        Args:
            prompt: the one user message, or the messages of a conversation.
            sample: tells apart requests with the same prompt.

        Raises:
            BudgetExhausted: a cap does not allow the request.
            TeacherError: the teacher gave no reply.
        """
        (outcome,) = self.ask_many([self.make_request(prompt, About("ask", 0, ""), sample=sample)])
        if outcome.reply is None and self.budget.exhausted is not None:
            raise self.budget.exhausted
        if outcome.reply is None:
            raise TeacherError(f"teacher {self.settings.model!r}: {outcome.detail or outcome.reason}")
        return outcome.reply

    def make_request(
        self,
        prompt: str | Sequence[Mapping[str, str]],
        about: About,
        *,
        sample: int = 0,
        schema: Mapping[str, Any] | None = None,
        temperature: float | None = None,
    ) -> TeacherRequest:
        """Make a request with this teacher's sampling settings.

        Args:
            prompt: the one user message, or the messages of a conversation.
            about: what the request is for.
            sample: tells apart requests with the same prompt.
            schema: the JSON schema of the reply, sent if ``teacher.json_schema`` is set.
            temperature: replaces the setting; if the setting is null, no temperature is sent.
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
        """Ask all requests, at most `max_concurrency` at once; outcomes are in the order of the requests.

        A request whose reply is in the ledger costs nothing. If a cap does not allow a request, that one and all that would
        be sent after it come back with the reason ``budget``.

        Raises:
            TeacherError: no request can succeed; or every request failed, and either nothing was ever answered or many
                failed at once. Continuing would only cost more.
        """
        outcomes = self._loop.run(self._ask_all(requests))
        if self._fatal is not None:
            raise TeacherError(f"teacher {self.settings.model!r} ({self.settings.backend}): {self._fatal}")
        failed = [outcome for outcome in outcomes if outcome.reason == "failed"]
        replies = [outcome for outcome in outcomes if outcome.reply]
        is_hopeless = not self._has_answered or len(failed) >= MANY_FAILURES
        self._has_answered = self._has_answered or bool(replies)
        if failed and not replies and is_hopeless:
            raise TeacherError(
                f"teacher {self.settings.model!r} ({self.settings.backend}): all {len(failed)} requests failed; the "
                f"last error was: {failed[-1].detail}"
            )
        return outcomes

    def worst_case(self, request: TeacherRequest) -> Spend:
        """The most that one attempt of a request can cost."""
        return self._attempts.worst_case(request)

    def has_reply(self, request: TeacherRequest) -> bool:
        """Whether the reply is in the ledger, so that asking costs nothing."""
        return self._read_stored(request) is not None

    async def _ask_all(self, requests: Sequence[TeacherRequest]) -> list[Outcome]:
        self._attempts.recall_models()
        self._gate.begin()
        in_flight: dict[str, asyncio.Task[Outcome]] = {}

        def start(request: TeacherRequest) -> asyncio.Task[Outcome]:
            return in_flight.setdefault(request.key, asyncio.ensure_future(self._ask(request)))

        # Requests with the same key are sent once: the second waits for the first one's reply.
        tasks = [in_flight.get(request.key) or start(request) for request in requests]
        try:
            outcomes = await asyncio.gather(*tasks)
            return [
                replace(outcome, request=replace(outcome.request, about=request.about))
                for request, outcome in zip(requests, outcomes, strict=True)
            ]
        finally:
            for task in tasks:
                task.cancel()

    async def _ask(self, request: TeacherRequest) -> Outcome:
        stored = self._read_stored(request)
        if stored is not None:
            return stored
        if not self.backend.can_answer(request.about):
            return Outcome(request, None, "unavailable")
        patience = RetryState(self._gate, self.settings, FIRST_BACKOFF_S)
        request, patience.failures = self._recall(request)
        while True:
            try:
                async with self._gate.enter(is_retry=patience.is_retry) as entered_at:
                    patience.begin(entered_at)
                    if self._fatal is not None:
                        return Outcome(request, None, "failed", str(self._fatal))
                    for field in self._unsupported & set(request.sampling):
                        request, patience.failures = self._recall(request.without(field))
                    try:
                        return Outcome(request, await self._attempts.send(self.backend, request))
                    except BackendError as failure:
                        error = failure
                        self._report_failure(request, error, entered_at)  # before another attempt takes the slot
            except BudgetExhausted as exhausted:
                return Outcome(request, None, "budget", str(exhausted))
            if error.is_fatal:
                continue
            if error.unsupported is not None and error.unsupported in request.sampling:
                self._unsupported.add(error.unsupported)
                continue
            if not (error.is_maybe_paid or error.is_unsent):
                request = replace(request, failures=request.failures + 1)
            detail = await self._wait(request, patience, error)
            if detail is not None:
                return Outcome(request, None, "failed", detail)

    async def _wait(self, request: TeacherRequest, patience: RetryState, error: BackendError) -> str | None:
        """Wait until a request may be retried and return None, or return why it has failed."""
        patience.count(error)
        if patience.is_over(error):
            return str(error)
        pause_s = patience.choose_pause_s(request.key, error)
        if not patience.is_too_late(pause_s, was_ever_answered=bool(self._attempts.models)):
            await self._gate.sleep(pause_s)
            return None
        gave_up = f"{error} (gave up at the deadline of {self.settings.deadline_s:g} s, teacher.deadline_s)"
        if patience.is_to_blame(error):
            return gave_up
        self._end(BackendError(f"{gave_up}; run the same command again once the teacher is back", is_fatal=True))
        return None

    def _report_failure(self, request: TeacherRequest, error: BackendError, entered_at: float) -> None:
        """Tell the gate how the teacher failed: for every request, overloaded, down, or refusing only this request."""
        gate, self._last_error = self._gate, str(error)
        if error.is_fatal:
            self._end(error)
        elif error.is_throttled and (error.retry_after_s or 0) >= self.settings.deadline_s:
            self._end(
                BackendError(
                    f"{error}: the teacher asks to wait {error.retry_after_s:,.0f} s, longer than teacher.deadline_s = "
                    f"{self.settings.deadline_s:g}; run the same command again after that",
                    is_fatal=True,
                )
            )
        elif error.is_throttled:
            gate.slow_down(entered_at, error.retry_after_s)
        elif error.is_transient:
            gate.fail(request.key, entered_at)
        else:
            gate.note_alive()

    def _report_state(self) -> None:
        gate = self._gate
        if gate.state == "open" and gate.pauses == 1:
            self._on_note(
                f"the teacher is not answering: requests are paused, then retried one at a time for at most "
                f"{self.settings.deadline_s:g} s (teacher.deadline_s). Last error: {self._last_error}"
            )
        elif gate.state == "closed":
            self._on_note("the teacher is answering again")
        self._on_state({**gate.describe(), "last_error": self._last_error if gate.state != "closed" else None})

    def _recall(self, request: TeacherRequest) -> tuple[TeacherRequest, int]:
        """The request with its refusals so far, and the failure count it starts with.

        A request that used up its attempts in an earlier process, as at the end of a run whose teacher seemed to be down, gets
        only one more attempt: otherwise a prompt that no server can answer would end every run.
        """
        attempts, most = self.ledger.count_attempts(request.key), self.settings.max_attempts
        has_failed = attempts["failed"] + attempts["unknown"] >= most
        return replace(request, failures=attempts["failed"]), most - 1 if has_failed else 0

    def _read_stored(self, request: TeacherRequest) -> Outcome | None:
        """The reply in the ledger, to the request or to its version without a schema, sent if the server supports none."""
        for sent in (request, request.without("response_format")) if "response_format" in request.sampling else (request,):
            reply = self.ledger.read_reply(sent.key)
            if reply is not None:
                return Outcome(sent, reply)
        return None

    def _end(self, error: BackendError) -> None:
        """Send nothing more; everything that waits ends at once."""
        self._fatal = error
        self._gate.close()
