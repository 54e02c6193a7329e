"""Limits how many attempts are in flight: fewer while the teacher is overloaded, one at a time while it is down.

The limit follows additive increase, multiplicative decrease. Throttling and collapse cut it; a cut that only costs time is
undone. A circuit breaker opens when no request is answered.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

BREAK_AFTER = 8  # different requests failing in a row that open the breaker; fewer if fewer may be in flight
MAX_PAUSE_S = 60.0
WINDOW = 16  # outcomes judged together; more if more may be in flight
SLOWER, FEWER, BETTER, CUT = 2.0, 0.7, 1.05, 0.7
HOLD, MAX_HOLD = 8, 64  # windows without a cut, after cuts for throttling did not help


class AdaptiveLimiter:
    """The gate that every attempt passes. All attempts share one limit, one pause and one breaker.

    The first throttled attempt halves the limit; after that, every window with a throttled attempt does. Each success adds
    1/limit to it, or 1 while it is below half of its value when the breaker opened.

    A teacher that is really at its limit answers as many requests per second after a cut as before. If the rate drops by 30%,
    the throttling does not depend on the load: the limit goes back to its old value, and throttling does not cut it for a
    while.

    If a window's answers take twice as long as in the best window and their rate is 30% lower, the server is collapsing under
    its queue: the limit is cut by 30%. Slower answers at the same rate only mean longer batches.

    A gate belongs to one event loop.

    Attributes:
        limit: attempts that may be in flight at once.
        state: of the breaker: ``closed`` (requests are sent), ``open`` (none for a while), ``half-open`` (one, as a test).
        opened_at: when the breaker opened (monotonic seconds), or None.
        pause_s: length of the open breaker's last pause, in seconds.
        pauses: number of pauses since it opened.
        answered: attempts answered so far.
        answered_at: when the last one was answered, or when these requests began (monotonic seconds).
    """

    def __init__(self, most: int, *, first_pause_s: float = 0.5, on_state: Callable[[], None] = lambda: None) -> None:
        self.limit = float(most)
        self.state: Literal["closed", "open", "half-open"] = "closed"
        self.opened_at: float | None = None
        self.pause_s, self.pauses, self.answered = 0.0, 0, 0
        self._most, self._first_pause_s, self._on_state = most, first_pause_s, on_state
        self._slow_start = 0.0  # the limit below which a success adds 1
        self._busy = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self._opens_at = self._last_cut = 0.0
        self._hold, self._next_hold = 0, HOLD
        self._timer: asyncio.TimerHandle | None = None
        self._failed: set[str] = set()
        self._closed = asyncio.Event()
        self.begin()

    def begin(self) -> None:
        """Begin new requests: forget how fast answers came, since the new replies may be longer."""
        self.answered_at = time.monotonic()
        self._best: tuple[float, float] | None = None  # answers per second and their median latency
        self._trial: tuple[float, float | None] | None = None  # the limit before the cuts, and the answers per second since
        self._start_window()

    def _start_window(self) -> None:
        self._latencies: list[float] = []
        self._throttled = 0
        self._window_began = time.monotonic()

    @asynccontextmanager
    async def enter(self, *, is_retry: bool = False) -> AsyncIterator[float]:
        """Wait until the pause is over and a slot is free; yields the time of entry (monotonic seconds).

        A retry goes ahead of attempts not yet tried, since its deadline is already running.
        """
        is_in = False
        while not is_in:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            (self._queue.appendleft if is_retry else self._queue.append)(turn)
            self._admit()
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._leave()
                raise
            # The teacher may have begun to fail between being admitted and running on.
            is_in = self._closed.is_set() or (self._opens_at <= time.monotonic() and self._busy <= max(1, int(self.limit)))
            if not is_in:
                is_retry = True  # back to the head of the queue
                self._leave()
        if self.state == "open" and not self._closed.is_set():
            self._set_state("half-open")
        try:
            yield time.monotonic()
        finally:
            self._leave()

    def _leave(self) -> None:
        self._busy -= 1
        self._admit()

    def _admit(self) -> None:
        """Admit waiting attempts in queue order while slots are free."""
        is_closed = self._closed.is_set()
        wait_s = self._opens_at - time.monotonic()
        if wait_s > 0 and not is_closed:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._admit)
            return
        while self._queue and (is_closed or self._busy < max(1, int(self.limit))):
            turn = self._queue.popleft()
            if turn.done():
                continue
            self._busy += 1
            turn.set_result(None)

    def succeed(self, seconds: float | None = None) -> None:
        """Note that an attempt was answered, and after how many seconds."""
        self.note_alive()
        self.answered += 1
        self.answered_at = time.monotonic()
        step = 1.0 if self.limit < self._slow_start else 1 / self.limit
        self.limit = min(self._most, self.limit + step)
        if seconds is not None and time.monotonic() - seconds >= self._last_cut:
            self._latencies.append(seconds)
            self._close_window()

    def slow_down(self, entered_at: float, pause_s: float | None) -> None:
        """Note that an attempt was throttled; attempts that entered before the last cut do not count again."""
        self.note_alive()
        if pause_s is not None:
            self._opens_at = max(self._opens_at, time.monotonic() + pause_s)
        if entered_at < self._last_cut:
            return
        if self._trial is None and not self._hold:
            self._trial = self.limit, None
            self._cut(0.5)
        else:
            self._throttled += 1
            self._close_window()

    def _cut(self, share: float) -> None:
        self.limit = self._slow_start = max(1.0, share * self.limit)
        self._last_cut = time.monotonic()
        self._start_window()

    def _close_window(self) -> None:
        """Judge the outcomes since the last change, once there are enough of them."""
        count = len(self._latencies)
        if count + self._throttled < max(WINDOW, int(self.limit)):
            return
        rate = count / max(time.monotonic() - self._window_began, 1e-9)
        if self._throttled:
            self._judge_throttling(rate)
        else:
            self._trial = None
            self._judge_latency(rate, statistics.median(self._latencies))
        self._start_window()

    def _judge_throttling(self, rate: float) -> None:
        if self._hold:
            self._hold -= 1
            return
        before, rate_before = self._trial or (self.limit, None)
        if rate_before is not None and rate < FEWER * rate_before:
            self.limit, self._trial = before, None
            self._hold, self._next_hold = self._next_hold, min(2 * self._next_hold, MAX_HOLD)
        elif self.limit > 1:
            self._trial = before, max(rate, rate_before or 0.0)
            self._cut(0.5)

    def _judge_latency(self, rate: float, median: float) -> None:
        if self._best is None or rate > BETTER * self._best[0]:
            self._best = rate, median
        elif median > SLOWER * self._best[1] and rate < FEWER * self._best[0]:
            self._cut(CUT)
            self._best = rate, median  # at the smaller limit; otherwise one bad window would cut repeatedly

    def note_alive(self) -> None:
        """Note that the teacher responded, even if with a refusal; this closes the breaker."""
        self._failed.clear()
        if self.state != "closed":
            self.opened_at = None
            self._opens_at = 0.0
            self._set_state("closed")
            self._admit()

    def fail(self, key: str, entered_at: float) -> None:
        """Note that an attempt failed as if the teacher were down; enough such failures of different requests open the breaker.

        An open breaker admits no attempt for a pause, then one; each further failure doubles the pause.
        """
        self._failed.add(key)
        now = time.monotonic()
        if self.state == "closed":
            if len(self._failed) < min(BREAK_AFTER, max(2, self._most)):
                return
            self.opened_at, self.pause_s, self.pauses = now, self._first_pause_s, 0
            self._slow_start, self.limit = max(1.0, self.limit / 2), 1.0
        elif entered_at < self._last_cut:
            return  # was in flight when the breaker opened
        else:
            self.pause_s = min(2 * self.pause_s, MAX_PAUSE_S)
        self.pauses += 1
        self._last_cut = now
        self._opens_at = max(self._opens_at, now + self.pause_s)
        self._set_state("open")

    def describe(self) -> dict[str, Any]:
        """State, limit and pause, for status reports."""
        return {"state": self.state, "limit": int(self.limit), "pause_s": self.pause_s if self.state != "closed" else 0.0}

    def close(self) -> None:
        """End all waits; no more requests will be sent."""
        self._closed.set()
        self._admit()

    async def sleep(self, seconds: float) -> None:
        """Sleep for so many seconds, or until the gate is closed."""
        try:
            await asyncio.wait_for(self._closed.wait(), seconds)
        except TimeoutError:
            return

    def _set_state(self, state: Literal["closed", "open", "half-open"]) -> None:
        self.state = state
        self._on_state()
