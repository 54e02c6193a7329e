"""A server that sends raw bytes, whether or not they are valid HTTP."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.fuzz.mutate import mutate_bytes, mutate_text
from tests.fuzz.targets import REFUSAL, REPLY


@asynccontextmanager
async def serve_bytes(answers: list[bytes]) -> AsyncIterator[str]:
    """Serve the answers in order: each connection gets the next one for its first request and is then closed."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            size = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            await reader.readexactly(int(size[1]) if size else 0)  # otherwise the connection would be reset, not closed
            writer.write(answers.pop(0) if answers else b"")
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


def make_response(draw: random.Random) -> bytes:
    """Make a response with a damaged first line, headers, framing, compression or body; a quarter are intact."""
    body = json.dumps(draw.choice((REPLY, REPLY, REFUSAL))).encode()
    if draw.random() < 0.25:
        return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    status = draw.choice((200, 200, 200, 200, 204, 302, 401, 429, 500, 100, 999, 0))
    lines = [f"HTTP/1.{draw.choice('1111111902')} {status} OK"]
    coding = draw.choice(("", "", "", "", "", "gzip", "deflate", "br", "x"))
    if coding:
        lines.append(f"Content-Encoding: {coding}")
        body = gzip.compress(b"0" * 20 * 2**20 if draw.random() < 0.1 else body) if draw.random() < 0.5 else body
    framing = draw.random()
    if framing < 0.5:
        lines.append(f"Content-Length: {draw.choice((*[len(body)] * 6, 0, -1, len(body) + 9, 10**30))}")
    elif framing < 0.8:
        lines.append("Transfer-Encoding: chunked")
        size = draw.choice((*[f"{len(body):x}"] * 4, "ffffffffffffffffffff", "-5", "zz", "0"))
        end = draw.choice((*[b"\r\n0\r\n\r\n"] * 4, b"", b"\r\n", b"\r\n0\r\nx: " + b"y" * 99_999))
        body = f"{size}\r\n".encode() + body + end
    lines += draw.choice(([], [], [], [], ["Retry-After: soon"], ["X: " + "y" * 20_000], ["no colon"], ["Set-Cookie: \x01"]))
    head = "\r\n".join(lines)
    head = mutate_text(draw, head) if draw.random() < 0.2 else head
    whole = head.encode("utf-8", "replace") + b"\r\n\r\n" + body
    return mutate_bytes(draw, whole) if draw.random() < 0.2 else whole
