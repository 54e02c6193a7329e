"""An event loop in its own thread, so that blocking code can run coroutines even inside a running loop (as in Jupyter)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class EventLoop:
    """One loop for many calls, so that connections stay open between them. It starts with the first call."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine and return its result. If this thread is interrupted, cancel it and wait for its clean-up."""
        loop, result = self._start(), Future[T]()
        tasks: list[asyncio.Task[T]] = []

        def begin() -> None:
            tasks.append(loop.create_task(coroutine))
            tasks[0].add_done_callback(lambda task: _pass_on(task, result))

        loop.call_soon_threadsafe(begin)
        try:
            return result.result()
        except BaseException:
            if not result.done():  # Ctrl-C, not the coroutine's own error
                loop.call_soon_threadsafe(lambda: tasks[0].cancel())
                result.exception()
            raise

    def close(self) -> None:
        """Stop the loop. All coroutines have ended by then, since `run` waits for them."""
        if self._loop is not None and self._thread is not None:
            self.run(self._loop.shutdown_asyncgens())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
        self._loop = self._thread = None

    def _start(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=_serve, args=(self._loop,), name="limbeck-events", daemon=True)
            self._thread.start()
        return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    while True:
        try:
            return loop.run_forever()
        except (KeyboardInterrupt, SystemExit):  # a task raised it; asyncio lets it stop the loop too
            continue


def _pass_on(task: asyncio.Task[T], result: Future[T]) -> None:
    if task.cancelled():
        result.set_exception(asyncio.CancelledError())
    elif (error := task.exception()) is not None:
        result.set_exception(error)
    else:
        result.set_result(task.result())


def run_coroutine(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run one coroutine in a loop of its own; see `EventLoop.run`."""
    loop = EventLoop()
    try:
        return loop.run(coroutine)
    finally:
        loop.close()
