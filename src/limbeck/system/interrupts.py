"""Treats SIGTERM and SIGHUP like Ctrl-C: the run ends cleanly, records it in its run folder and exits with 130."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruptible() -> Iterator[None]:
    """Within this context SIGTERM and SIGHUP do what SIGINT does, or raise `KeyboardInterrupt` if SIGINT is ignored.

    A shell starts background jobs with SIGINT ignored, and ``nohup`` starts its command with SIGHUP ignored; ignored signals
    stay ignored. Outside the main thread, the only one that receives signals, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # Windows has no SIGHUP
    before = {number: signal.getsignal(number) for number in numbers}
    heard = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in heard:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])


def _interrupt(number: int, frame: FrameType | None) -> None:
    handler = signal.getsignal(signal.SIGINT)  # asyncio's own if a loop is running
    if not callable(handler):
        raise KeyboardInterrupt
    handler(signal.SIGINT, frame)
