"""How many attempts are under way at once, and whether any is: fewer while the teacher is strained, one while it is away.

Additive increase, multiplicative decrease on throttling and on collapse, taken back where it only costs time; a circuit
breaker where nobody is answered.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

BREAK_AFTER = 8  # different requests that fail in a row, or as many as may be under way, open the breaker
MAX_PAUSE_S = 60.0
WINDOW = 16  # outcomes that are looked at together, or as many as may be under way
SLOWER, FEWER, BETTER, CUT = 2.0, 0.7, 1.05, 0.7
HOLD, MAX_HOLD = 8, 64  # windows for which the limit stays after cutting it was of no use


class AdaptiveLimiter:
    """Who wants to attempt something enters here. All share one limit, one pause and one breaker.

    The first throttled attempt halves the limit, then every window in which some were throttled; each success adds 1/limit to
    it, or 1 while it is below half of what it was when the breaker opened. A teacher that is really at its limit answers as
    many a second after a cut as before. Where 30% fewer come, the throttling does not depend on how many are under way: the
    limit goes back to where it was, and stays for a while. A window of answers that are twice as slow as in the best one, while
    30% fewer come a second, is a server that collapses under its queue: the limit is cut by 30% (slower answers at the same
    rate are only a longer batch).

    A gate belongs to one event loop.

    Attributes:
        limit: attempts that may be under way at once.
        state: of the breaker: ``closed`` (asking), ``open`` (nobody asks for a while), ``half-open`` (one asks, to see).
        opened_at: when the breaker opened (monotonic seconds), or None.
        pause_s: how long the last pause of an open breaker is.
        pauses: how many there were since it opened.
        answered: attempts that were answered so far.
        answered_at: when the last was, or when these requests began (monotonic seconds).
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
        """Forget how fast answers came: other requests follow, whose replies may be longer."""
        self.answered_at = time.monotonic()
        self._best: tuple[float, float] | None = None  # answers a second and their median latency
        self._trial: tuple[float, float | None] | None = None  # the limit before it was cut, and the answers a second since
        self._start_window()

    def _start_window(self) -> None:
        self._latencies: list[float] = []
        self._throttled = 0
        self._window_began = time.monotonic()

    @asynccontextmanager
    async def enter(self, *, is_retry: bool = False) -> AsyncIterator[float]:
        """Wait for the pause to end and for a place; gives the time of entry (monotonic seconds).

        One that tries again goes before those that have not tried yet, since its deadline runs already.
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
            # Much may have happened between being let in and going on: the teacher may have begun to fail.
            is_in = self._closed.is_set() or (self._opens_at <= time.monotonic() and self._busy <= max(1, int(self.limit)))
            if not is_in:
                is_retry = True  # back to where it came from
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
        """Let in as many as there are places, in the order in which they came."""
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
        """Note that an attempt was answered, after so many seconds."""
        self.note_alive()
        self.answered += 1
        self.answered_at = time.monotonic()
        step = 1.0 if self.limit < self._slow_start else 1 / self.limit
        self.limit = min(self._most, self.limit + step)
        if seconds is not None and time.monotonic() - seconds >= self._last_cut:
            self._latencies.append(seconds)
            self._close_window()

    def slow_down(self, entered_at: float, pause_s: float | None) -> None:
        """Note that an attempt that entered at this time was throttled; of those that entered together one counts."""
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
            self._best = rate, median  # of the smaller limit; else one bad window would cut again and again

    def note_alive(self) -> None:
        """Note that the teacher answered, be it with a refusal: a breaker that is open closes."""
        self._failed.clear()
        if self.state != "closed":
            self.opened_at = None
            self._opens_at = 0.0
            self._set_state("closed")
            self._admit()

    def fail(self, key: str, entered_at: float) -> None:
        """Note that an attempt failed as if the teacher were not there; many of them, of different requests, open the breaker.

        An open breaker lets nobody in for a pause, then one; each further failure doubles the pause.
        """
        self._failed.add(key)
        now = time.monotonic()
        if self.state == "closed":
            if len(self._failed) < min(BREAK_AFTER, max(2, self._most)):
                return
            self.opened_at, self.pause_s, self.pauses = now, self._first_pause_s, 0
            self._slow_start, self.limit = max(1.0, self.limit / 2), 1.0
        elif entered_at < self._last_cut:
            return  # was under way when it opened
        else:
            self.pause_s = min(2 * self.pause_s, MAX_PAUSE_S)
        self.pauses += 1
        self._last_cut = now
        self._opens_at = max(self._opens_at, now + self.pause_s)
        self._set_state("open")

    def describe(self) -> dict[str, Any]:
        """State, limit and pause, for those who watch."""
        return {"state": self.state, "limit": int(self.limit), "pause_s": self.pause_s if self.state != "closed" else 0.0}

    def close(self) -> None:
        """End all waits: nothing more is to be asked."""
        self._closed.set()
        self._admit()

    async def sleep(self, seconds: float) -> None:
        """Sleep so long, or until the gate is closed."""
        try:
            await asyncio.wait_for(self._closed.wait(), seconds)
        except TimeoutError:
            return

    def _set_state(self, state: Literal["closed", "open", "half-open"]) -> None:
        self.state = state
        self._on_state()
