"""The server of `limbeck fake-teacher` in a thread of this process, with each reaction scripted by the test."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from aiohttp import web

from limbeck.fake_teacher.server import FakeServer, Reaction, complete, refuse

__all__ = ["Loopback", "Reaction", "chat", "refuse", "serving"]


def chat(text: str | None = "The answer is: 4", **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """Make a chat completion as servers send it; `changes` go into the message."""
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    return complete(text, "served-model", "stop", usage, **changes)


@contextmanager
def serving(server: FakeServer) -> Iterator[str]:
    """Run a server in its own thread; yields its base URL."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)[0]
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


class Loopback(FakeServer):
    """The server, a context manager. `script(n, body)` decides the reaction to chat request number n (from 0).

    `seen` contains the headers and body of each chat request in order of arrival, `most_at_once` the most in flight.
    """

    def __init__(
        self,
        script: Callable[[int, dict[str, Any]], Reaction | dict[str, Any] | str],
        *,
        models: tuple[str, ...] | Reaction = ("served-model",),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        data = [] if isinstance(models, Reaction) else [{"id": name} for name in models]
        super().__init__(models if isinstance(models, Reaction) else Reaction({"object": "list", "data": data}), tls=tls)
        self._script, self._stack = script, ExitStack()
        self.seen: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.connections: set[int] = set()

    def __enter__(self) -> Loopback:
        self.url = self._stack.enter_context(serving(self))
        return self

    def __exit__(self, *details: object) -> None:
        self._stack.close()

    def react(self, request: web.Request, body: dict[str, Any]) -> Reaction:
        number = len(self.seen)
        self.seen.append((dict(request.headers), body))
        self.connections.add(id(request.transport))
        said = self._script(number, body)
        return said if isinstance(said, Reaction) else Reaction(said)
