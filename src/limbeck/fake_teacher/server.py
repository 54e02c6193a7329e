"""A local server that speaks the OpenAI chat protocol and reacts to each request as a subclass decides.

`limbeck.fake_teacher.behaviour` draws the reactions; a test can script them request by request.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import ssl
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from limbeck.errors import ConfigError

HOST = "127.0.0.1"  # only loopback: nobody else may mistake it for a real teacher
MAX_BODY_BYTES = 64 * 2**20
TRICKLE_PIECES = 20


@dataclass(frozen=True)
class Reaction:
    """How the server reacts to a request: status, body and headers after a delay, or a dropped connection.

    Attributes:
        body: a value to send as JSON; text and bytes are sent as they are.
        trickle_s: send the body in pieces over this many seconds.
        outcome: the name it is counted under.
        body_hash: hash of the request's body if this is a whole, newly made reply; otherwise empty.
    """

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    is_dropped: bool = False
    trickle_s: float = 0.0
    outcome: str = "answer"
    body_hash: str = ""


def complete(text: str | None, model: str, finish_reason: str, usage: Mapping[str, Any], **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    """Make a chat completion as servers send it; `changes` go into the message."""
    message = {"role": "assistant", "content": text, **changes}
    choices = [{"index": 0, "finish_reason": finish_reason, "message": message}]
    return {"id": "fake", "object": "chat.completion", "created": 0, "model": model, "choices": choices, "usage": usage}


def refuse(message: str, **details: Any) -> dict[str, Any]:  # noqa: ANN401 (whatever a server adds)
    """Make an error body in OpenAI's form."""
    return {"error": {"message": message, "type": "invalid_request_error", **details}}


class FakeServer(ABC):
    """The server. It runs between `start` and `stop`, both called in one event loop.

    Args:
        listing: the reaction to ``GET /v1/models``.
        tls: makes it an HTTPS server.

    Attributes:
        requests: number of chat requests received.
        at_once, most_at_once: requests in progress now, and the most so far.
        outcomes: number of requests by outcome.
        served_by_body: number of whole replies made and sent, by `Reaction.body_hash`.
        lost_count: number of such replies whose client was gone.
    """

    def __init__(self, listing: Reaction, *, tls: ssl.SSLContext | None = None) -> None:
        self._listing, self._tls = listing, tls
        self.requests = self.at_once = self.most_at_once = self.lost_count = 0
        self.outcomes: Counter[str] = Counter()
        self.served_by_body: Counter[str] = Counter()

    @abstractmethod
    def react(self, request: web.Request, body: dict[str, Any]) -> Reaction:
        """Decide how to react to a chat request."""
        ...

    def describe(self) -> dict[str, Any]:
        """The counts that ``GET /stats`` returns."""
        return {
            "requests": self.requests,
            "served": self.served_by_body.total(),
            "lost": self.lost_count,
            "outcomes": dict(sorted(self.outcomes.items())),
            "most_at_once": self.most_at_once,
            "served_by_body": dict(self.served_by_body),
        }

    async def start(self, port: int = 0) -> tuple[str, int]:
        """Listen on a port (0 picks a free one); returns the base URL and the port.

        Raises:
            ConfigError: the port can't be used.
        """
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._list_models)
        app.router.add_get("/stats", self._show_stats)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, port, ssl_context=self._tls).start()
        except OSError as error:
            await self._runner.cleanup()
            raise ConfigError(
                f"port {port} of {HOST} can't be used ({error.strerror or error}); choose another port, or 0 for any free one"
            ) from error
        listens_on = int(self._runner.addresses[0][1])
        return f"{'https' if self._tls else 'http'}://{HOST}:{listens_on}/v1", listens_on

    async def stop(self) -> None:
        """Stop listening and close the connections."""
        await self._runner.cleanup()

    async def _list_models(self, request: web.Request) -> web.StreamResponse:
        return make_response(self._listing)

    async def _show_stats(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self.describe())

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            try:
                body = json.loads(await request.read())
            except (ValueError, RecursionError):
                body = None
            if isinstance(body, dict):
                reaction = self.react(request, body)
            else:
                reaction = Reaction(refuse("the body is no JSON object"), 400, outcome="invalid")
            self.outcomes[reaction.outcome] += 1
            return await self._carry_out(request, reaction)
        finally:
            self.at_once -= 1

    async def _carry_out(self, request: web.Request, reaction: Reaction) -> web.StreamResponse:
        response: web.StreamResponse
        if reaction.delay_s:
            await asyncio.sleep(reaction.delay_s)
        if reaction.is_dropped and request.transport is not None:
            request.transport.abort()
        try:
            if reaction.trickle_s:
                response = await self._trickle(request, reaction)
            else:
                response = make_response(reaction)
                await response.prepare(request)
                await response.write_eof()
        except ConnectionResetError:  # the client gave up, or was dropped
            self.lost_count += bool(reaction.body_hash)
            return make_response(reaction)
        if reaction.body_hash:
            self.served_by_body[reaction.body_hash] += 1
        return response

    @staticmethod
    async def _trickle(request: web.Request, reaction: Reaction) -> web.StreamResponse:
        """Send a response in pieces, slowly enough for most clients to time out."""
        response, body = web.StreamResponse(status=reaction.status, headers=write_headers(reaction)), write_body(reaction)
        response.content_length = len(body)
        await response.prepare(request)
        size = max(1, -(-len(body) // TRICKLE_PIECES))
        for start in range(0, len(body), size):
            await asyncio.sleep(reaction.trickle_s / TRICKLE_PIECES)
            await response.write(body[start : start + size])
        await response.write_eof()
        return response


def make_response(reaction: Reaction) -> web.Response:
    """Make the HTTP response for a reaction."""
    return web.Response(body=write_body(reaction), status=reaction.status, headers=write_headers(reaction))


def write_body(reaction: Reaction) -> bytes:
    """The bytes of a reaction's body."""
    if isinstance(reaction.body, bytes):
        return reaction.body
    return (reaction.body if isinstance(reaction.body, str) else json.dumps(reaction.body)).encode()


def write_headers(reaction: Reaction) -> dict[str, str]:
    """The headers of a reaction; the content type is JSON unless they set another."""
    return {"Content-Type": "application/json", **reaction.headers}


def serve(server: FakeServer, port: int, on_ready: Callable[[str, int], None]) -> dict[str, Any]:
    """Serve until SIGINT or SIGTERM and return the counts; `on_ready` gets the URL and port once the server listens.

    Raises:
        ConfigError: the port can't be used.
    """

    async def serve_until_stopped() -> None:
        is_over = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C ends the loop instead
                asyncio.get_running_loop().add_signal_handler(number, is_over.set)
        url, listens_on = await server.start(port)
        try:
            on_ready(url, listens_on)
            await is_over.wait()
        finally:
            await server.stop()

    asyncio.run(serve_until_stopped())
    return server.describe()
