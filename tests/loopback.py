"""A real HTTP server on this machine that speaks the OpenAI chat protocol and misbehaves as a test says."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Reaction:
    """What the server does with a request: status, body and headers, after a delay; or it drops the connection."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    is_dropped: bool = False


def chat(text: str | None = "The answer is: 4", **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """A chat completion as servers send it; `changes` go into the message."""
    return {
        "id": "c1",
        "model": "served-model",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text, **changes}}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    }


def refuse(message: str, **details: Any) -> dict[str, Any]:  # noqa: ANN401
    """An error body as OpenAI writes it."""
    return {"error": {"message": message, "type": "invalid_request_error", **details}}


class Loopback:
    """The server; a context manager. `react(n, body)` decides about chat request number n (from 0).

    `seen` holds the headers and body of each chat request in order of arrival, `most_at_once` the most in flight.
    """

    def __init__(
        self,
        react: Callable[[int, dict[str, Any]], Reaction | dict[str, Any] | str],
        *,
        models: tuple[str, ...] | Reaction = ("served-model",),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._react, self._models, self._tls = react, models, tls
        self.seen: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.connections: set[int] = set()
        self.most_at_once = 0
        self._at_once = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Loopback:
        self._thread.start()
        port = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{port}/v1"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> int:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._list_models)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        return int(site._server.sockets[0].getsockname()[1])  # type: ignore[union-attr]

    async def _list_models(self, request: web.Request) -> web.StreamResponse:
        if isinstance(self._models, Reaction):
            return self._respond(self._models)
        return web.json_response({"object": "list", "data": [{"id": name} for name in self._models]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        number = len(self.seen)
        body = await request.json()
        self.seen.append((dict(request.headers), body))
        self.connections.add(id(request.transport))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            said = self._react(number, body)
            reaction = said if isinstance(said, Reaction) else Reaction(said)
            await asyncio.sleep(reaction.delay_s)
            if reaction.is_dropped and request.transport is not None:
                request.transport.abort()
            return self._respond(reaction)
        finally:
            self._at_once -= 1

    @staticmethod
    def _respond(reaction: Reaction) -> web.Response:
        is_raw = isinstance(reaction.body, (str, bytes))
        body = reaction.body if is_raw else json.dumps(reaction.body)
        headers = {"Content-Type": "application/json", **reaction.headers}
        return web.Response(body=body, status=reaction.status, headers=headers)
