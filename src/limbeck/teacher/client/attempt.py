"""One attempt: reserve budget → record the intent → send → store the outcome → settle."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from limbeck.errors import BudgetExhausted
from limbeck.teacher.client.budget import Budget, Spend
from limbeck.teacher.client.concurrency import AdaptiveLimiter
from limbeck.teacher.client.cut_prompts import PromptCounts
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.finish import find_ending
from limbeck.teacher.request import Backend, BackendError, Reply, TeacherRequest
from limbeck.teacher.settings import TeacherSettings

MANY_MODELS = 6  # stop reporting new model names after this many: a server may send a new one with every reply
MANY_WORDS = 6  # the same for unknown finish reasons


class AttemptSender:
    """Sends and pays. Every attempt has a reservation and an intent before it is sent, and is settled when it ends.

    Attributes:
        models: model names the teacher has answered under, in this process or an earlier one.
    """

    def __init__(
        self,
        gate: AdaptiveLimiter,
        ledger: Ledger,
        budget: Budget,
        settings: TeacherSettings,
        on_settled: Callable[[TeacherRequest], None],
        on_note: Callable[[str], None],
    ) -> None:
        self.models: set[str] = set()
        self._gate, self._ledger, self._budget, self._settings = gate, ledger, budget, settings
        self._on_settled, self._on_note = on_settled, on_note
        self._settled = asyncio.Condition()
        self._has_noted_excess = False
        self._unknown_words: set[str] = set()
        self._prompt_counts: PromptCounts | None = PromptCounts()

    def recall_models(self) -> None:
        """Load the model names of earlier processes from the ledger."""
        if not self.models:
            self.models = set(self._ledger.count_models())

    async def send(self, backend: Backend, request: TeacherRequest) -> Reply:
        """Make one attempt.

        Raises:
            BudgetExhausted: a cap does not allow it; nothing was sent.
            BackendError: the teacher gave no reply.
        """
        most = self.worst_case(request)
        await self._reserve(most)
        real = most  # an attempt of unknown cost counts in full
        try:
            number = await self._ledger.write_intent(request, most)
            began = time.monotonic()
            try:
                reply = await backend.send(request)
            except BackendError as failure:
                await self._ledger.write_failure(request, number, failure)
                real = most if failure.is_maybe_paid else Spend(requests=not failure.is_unsent)
                raise
            self._gate.succeed(time.monotonic() - began)
            cost = self._cost(reply.prompt_tokens, reply.completion_tokens, reply.cached_tokens)
            await self._ledger.write_reply(request, number, reply, cost)
            real = Spend(1, reply.prompt_tokens + reply.completion_tokens, cost or 0.0)
            self._check_reply(reply, real, most)
            self._check_prompt(request, reply)
            return reply
        finally:
            self._budget.settle(most, real)
            async with self._settled:
                self._settled.notify_all()
            self._on_settled(request)

    async def _reserve(self, most: Spend) -> None:
        """Reserve budget; wait while requests in flight may still release what they do not use."""
        while True:
            if self._budget.exhausted is not None:
                raise self._budget.exhausted
            try:
                return self._budget.reserve(most)
            except BudgetExhausted as exhausted:
                if self._budget.reserved.requests == 0:
                    self._budget.exhausted = exhausted
                    raise
            async with self._settled:
                await self._settled.wait()

    def worst_case(self, request: TeacherRequest) -> Spend:
        """The most that one attempt of a request can cost."""
        reply_tokens = request.reply_token_bound
        return Spend(1, request.token_bound, self._cost(request.token_bound - reply_tokens, reply_tokens) or 0.0)

    def _cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> float | None:
        prices = self._settings.prices
        return None if prices is None else prices.compute_cost_usd(prompt_tokens, completion_tokens, cached_tokens)

    def _check_reply(self, reply: Reply, real: Spend, most: Spend) -> None:
        """Note surprises for the user: a new model name, an unknown finish reason, or a charge above the reservation."""
        if self.models and reply.model not in self.models and len(self.models) < MANY_MODELS:
            before = ", ".join(sorted(map(repr, self.models)))
            self._on_note(f"the teacher now answers as {reply.model!r} (before: {before}); the run continues")
        if len(self.models) < MANY_MODELS:
            self.models.add(reply.model)
        self._check_ending(reply.finish_reason)
        if real.tokens > most.tokens and not self._has_noted_excess:
            self._has_noted_excess = True
            self._on_note(
                f"the teacher counts {real.tokens} tokens for a request that can have at most {most.tokens} by its bytes and "
                "token limit; the teacher's count is charged, so a token or money cap may be exceeded by the difference"
            )

    def _check_prompt(self, request: TeacherRequest, reply: Reply) -> None:
        """Warn once if the server cuts prompts."""
        cut = self._prompt_counts.find_cut(request, reply) if self._prompt_counts is not None else None
        if cut is not None:
            self._prompt_counts = None
            self._on_note(
                f"warning: the teacher's server seems to cut long prompts: {cut}. Its replies then answer only a part of what "
                "was asked; raise the server's context length (Ollama: num_ctx or OLLAMA_CONTEXT_LENGTH)"
            )

    def _check_ending(self, word: str) -> None:
        """Note each unknown finish reason once; the reply counts as whole."""
        if find_ending(word) is not None or word in self._unknown_words or len(self._unknown_words) >= MANY_WORDS:
            return
        self._unknown_words.add(word)
        self._on_note(
            f"the teacher ends a reply with the unknown finish reason {word[:64]!r}; such replies count as whole. If the word "
            "means that they are cut off or filtered, please report it"
        )
