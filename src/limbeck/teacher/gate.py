"""How many attempts are under way at once: fewer while the teacher says that it is too much, more as it copes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Gate:
    """Additive increase, multiplicative decrease: a throttled attempt halves the limit, each success adds 1/limit.

    All attempts share one pause: where the teacher asked to be left alone, nobody knocks until that time is over. A gate
    belongs to one event loop.
    """

    def __init__(self, most: int) -> None:
        self.limit = float(most)
        self._most = most
        self._busy = 0
        self._opens_at = 0.0
        self._last_cut = 0.0
        self._free = asyncio.Condition()
        self._closed = asyncio.Event()

    @asynccontextmanager
    async def enter(self) -> AsyncIterator[float]:
        """Wait for a place and for the pause to end; gives the time of entry (monotonic seconds)."""
        async with self._free:
            await self._free.wait_for(lambda: self._busy < max(1, int(self.limit)))
            self._busy += 1
        try:
            while (pause_s := self._opens_at - time.monotonic()) > 0 and not self._closed.is_set():
                await self.sleep(pause_s)
            yield time.monotonic()
        finally:
            async with self._free:
                self._busy -= 1
                self._free.notify_all()

    def succeed(self) -> None:
        """Note that an attempt was answered."""
        self.limit = min(self._most, self.limit + 1 / self.limit)

    def slow_down(self, entered_at: float, pause_s: float | None) -> None:
        """Note that an attempt that entered at this time was throttled; of those that entered together one counts."""
        if entered_at >= self._last_cut:
            self.limit = max(1.0, self.limit / 2)
            self._last_cut = time.monotonic()
        if pause_s is not None:
            self._opens_at = max(self._opens_at, time.monotonic() + pause_s)

    def close(self) -> None:
        """End all waits: nothing more is to be asked."""
        self._closed.set()

    async def sleep(self, seconds: float) -> None:
        """Sleep so long, or until the gate is closed."""
        try:
            await asyncio.wait_for(self._closed.wait(), seconds)
        except TimeoutError:
            return
