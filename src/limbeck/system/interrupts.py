"""SIGTERM and SIGHUP taken as Ctrl-C is: what is under way ends in order, says so in its run folder, and exits with 130."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruptible() -> Iterator[None]:
    """Within this context SIGTERM and SIGHUP do what SIGINT does, or raise `KeyboardInterrupt` where that one is ignored.

    A shell starts background jobs with SIGINT ignored, and ``nohup`` with SIGHUP; what is ignored stays so. Outside of the
    main thread, which alone hears signals, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    heard = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in heard:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])


def _interrupt(number: int, frame: FrameType | None) -> None:
    handler = signal.getsignal(signal.SIGINT)  # asyncio's own, where a loop is running
    if not callable(handler):
        raise KeyboardInterrupt
    handler(signal.SIGINT, frame)
