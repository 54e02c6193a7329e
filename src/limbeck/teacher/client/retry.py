"""How often and how long one request is tried: its attempts, failures, deadline and pauses."""

from __future__ import annotations

import math
import random
import time

from limbeck.hashing import hash_text
from limbeck.teacher.client.concurrency import AdaptiveLimiter
from limbeck.teacher.request import BackendError
from limbeck.teacher.settings import TeacherSettings

MAX_BACKOFF_S = 60.0


class RetryState:
    """The retry state of one request, from its first attempt on.

    Attributes:
        failures: failed attempts that count against `max_attempts`.
    """

    def __init__(self, gate: AdaptiveLimiter, settings: TeacherSettings, first_backoff_s: float) -> None:
        self.failures = 0
        self._gate, self._settings, self._first_backoff_s = gate, settings, first_backoff_s
        self._tries = self._lonely = self._answered = 0
        self._deadline = math.inf  # runs from the first attempt; time in the queue does not count

    @property
    def is_retry(self) -> bool:
        """Whether the next attempt goes ahead of requests not yet tried; none does while the breaker is open."""
        return self._tries > 0 and self._gate.opened_at is None

    def begin(self, entered_at: float) -> None:
        """Note that an attempt begins; the first one starts the deadline."""
        self._deadline = min(self._deadline, entered_at + self._settings.deadline_s)

    def count(self, error: BackendError) -> None:
        """Count a failed attempt."""
        gate = self._gate
        self._tries += 1
        self._lonely = self._lonely + 1 if self._answered == gate.answered else 1
        self._answered = gate.answered
        # Throttling is not the request's failure. Nor is an outage, unless the request is down to its last attempt.
        is_away = gate.opened_at is not None and self.failures < self._settings.max_attempts - 1
        self.failures += not (error.is_throttled or error.is_unsent or is_away)

    def is_over(self, error: BackendError) -> bool:
        """Whether the request has failed for good: retrying can't help, or did not."""
        return not error.is_transient or self.failures >= self._settings.max_attempts

    def choose_pause_s(self, key: str, error: BackendError) -> float:
        """How many seconds to wait after a failed attempt: what the teacher asks for, or exponential back-off; with jitter.

        The back-off grows with this request's failures since any request was last answered. While others are answered,
        waiting longer would only leave the unlucky ones for the end.
        """
        first_s = self._first_backoff_s
        jitter = random.Random(hash_text(f"{key}/{self._tries}")).uniform(0.5, 1.5)
        backoff_s = min(first_s * 2 ** min(self._lonely - 1, 30) * jitter, MAX_BACKOFF_S)
        return backoff_s if error.retry_after_s is None else max(error.retry_after_s, 0) + first_s * (jitter - 0.5)

    def is_too_late(self, pause_s: float, *, was_ever_answered: bool) -> bool:
        """Whether the next attempt would miss the request's deadline, or the teacher's while the breaker is open."""
        now, gate = time.monotonic(), self._gate
        if gate.opened_at is None:
            return now + pause_s >= self._deadline
        if not was_ever_answered and gate.pauses > self._settings.max_attempts:
            return True  # a teacher that never answered is not worth the wait
        return now + gate.pause_s >= gate.opened_at + self._settings.deadline_s

    def is_to_blame(self, error: BackendError) -> bool:
        """Whether the delay is the request's own fault, not that of an unreachable or silent teacher."""
        is_silent = time.monotonic() >= self._gate.answered_at + self._settings.deadline_s
        return self._gate.opened_at is None and not error.is_unsent and not is_silent
