"""Client cost of a POST to /v1/chat/completions with each HTTP transport, on loopback.

It compares a thin client on aiohttp (the base of all ratios), the openai client with its default transport and with its
aiohttp transport, and thin clients on httpx2 (which openai 3 uses) and httpx. Every client sends the same bodies to the same
server in another process, and reads text and token count from the reply. There are two settings: a server that waits 50 ms
before each reply, like a fast teacher, and one that does not wait, so that the busier process is the limit. Candidates whose
package is missing are skipped. For the openai candidates: pip install -c constraints.txt "openai[aiohttp]".
"""

from __future__ import annotations

import asyncio
import gc
import http.client
import importlib
import importlib.metadata
import importlib.util
import itertools
import json
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from record import write_result

REPEATS = 4  # the usual number of candidates, so that each is once at each position
REQUESTS = 3000
WARM_UP = 2  # requests per connection before the clock starts
MODEL = "teacher"
KEY = "sk-benchmark"
SENTENCE = "The sum of two odd numbers is even, because each leaves one over and the two left over make a pair. "
PROMPT_CHARACTERS = 1500
ANSWER_CHARACTERS = (300, 500, 700, 1000)

Ask = Callable[[str], Awaitable[tuple[str, int]]]
Client = Callable[[str, int], AbstractAsyncContextManager[Ask]]


@dataclass(frozen=True)
class Setting:
    """How long the server waits and how many requests run at once."""

    delay_s: float
    concurrency: int


@dataclass(frozen=True)
class Sample:
    """The measurements of one candidate over `REQUESTS` requests."""

    seconds: float
    client_cpu_s: float
    server_cpu_s: float


SETTINGS = {
    "delay_50ms_concurrency_64": Setting(delay_s=0.05, concurrency=64),
    "delay_0ms_concurrency_256": Setting(delay_s=0.0, concurrency=256),
}


def main() -> None:
    """Measure all candidates in turn over several rounds, and write ``benchmarks/results/transport.json``."""
    candidates = find_candidates()
    settings = {name: measure_setting(setting, candidates) for name, setting in SETTINGS.items()}
    packages = ("aiohttp", "openai", "httpx2", "httpcore2", "httpx", "pydantic")
    result = {
        "what": "chat completions over loopback: requests per second and CPU milliseconds of the client process per request",
        "base_of_ratios": "thin_aiohttp",
        "requests": REQUESTS,
        "rounds": REPEATS,
        "prompt_characters": PROMPT_CHARACTERS,
        "answer_characters": list(ANSWER_CHARACTERS),
        "left_out": [name for name in CANDIDATES if name not in candidates],
        "settings": settings,
        "versions": {name: importlib.metadata.version(name) for name in packages if importlib.util.find_spec(name)},
    }
    write_result("transport", result)


def find_candidates() -> list[str]:
    """Names of the candidates whose packages are installed; lists the others on stderr."""
    found = []
    for name, (_, packages) in CANDIDATES.items():
        missing = [package for package in packages if importlib.util.find_spec(package) is None]
        if missing:
            print(f"{name} is skipped: {', '.join(missing)} is not installed", file=sys.stderr)
        else:
            found.append(name)
    return found


def measure_setting(setting: Setting, names: list[str]) -> dict[str, Any]:
    """Figures of each candidate against one server; the order rotates each round."""
    samples: dict[str, list[Sample]] = {name: [] for name in names}
    with run_server(setting.delay_s) as port:
        for turn in range(REPEATS):
            start = turn % len(names)
            for name in names[start:] + names[:start]:
                sample = asyncio.run(measure(CANDIDATES[name][0], port, setting.concurrency))
                samples[name].append(sample)
                rate = REQUESTS / sample.seconds
                print(f"round {turn + 1}: {name} {rate:.0f} requests/s, {sample.client_cpu_s:.2f} s CPU", file=sys.stderr)
    figures = {name: summarise(samples[name]) for name in names}
    base = figures["thin_aiohttp"]
    for row in figures.values():
        row["ratio_requests_per_s"] = row["requests_per_s"] / base["requests_per_s"]
        row["ratio_client_cpu_ms"] = row["client_cpu_ms_per_request"] / base["client_cpu_ms_per_request"]
    return {
        "delay_ms": setting.delay_s * 1000,
        "concurrency": setting.concurrency,
        "most_requests_per_s": setting.concurrency / setting.delay_s if setting.delay_s else None,
        "candidates": figures,
    }


def summarise(samples: list[Sample]) -> dict[str, Any]:
    """Medians over the rounds, and the rounds themselves."""
    rates = [REQUESTS / sample.seconds for sample in samples]
    costs = [sample.client_cpu_s * 1000 / REQUESTS for sample in samples]
    return {
        "requests_per_s": statistics.median(rates),
        "client_cpu_ms_per_request": statistics.median(costs),
        "client_busy": statistics.median(sample.client_cpu_s / sample.seconds for sample in samples),
        "server_busy": statistics.median(sample.server_cpu_s / sample.seconds for sample in samples),
        "requests_per_s_by_round": rates,
        "client_cpu_ms_per_request_by_round": costs,
    }


async def measure(client: Client, port: int, concurrency: int) -> Sample:
    """Time `REQUESTS` requests of one candidate; connections are open and the code is warm when the clock starts."""
    prompts = [make_prompt(number) for number in range(REQUESTS)]
    async with client(f"http://127.0.0.1:{port}/v1", concurrency) as ask:
        await ask_all(ask, prompts[: WARM_UP * concurrency], concurrency)
        gc.collect()
        before, cpu, start = ask_server(port), read_own_cpu(), time.perf_counter()
        answers = await ask_all(ask, prompts, concurrency)
        seconds, used = time.perf_counter() - start, read_own_cpu() - cpu
        after = ask_server(port)
    if any(len(text) not in ANSWER_CHARACTERS or tokens <= 0 for text, tokens in answers):
        raise RuntimeError("an answer differs from those that the server sends")
    if not len(answers) == after["replies"] - before["replies"] == REQUESTS:
        raise RuntimeError("the server did not reply exactly once to each request")
    return Sample(seconds, used, after["cpu_s"] - before["cpu_s"])


async def ask_all(ask: Ask, prompts: list[str], concurrency: int) -> list[tuple[str, int]]:
    """The answers to all prompts, with `concurrency` requests at a time."""
    waiting = iter(prompts)
    answers = []

    async def work() -> None:
        for prompt in waiting:
            answers.append(await ask(prompt))

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(work())
    return answers


def make_prompt(number: int) -> str:
    """A prompt of fixed length, different for each number."""
    return f"{number}. {make_text(PROMPT_CHARACTERS)}"[:PROMPT_CHARACTERS]


def make_text(length: int) -> str:
    """`length` characters of sentences."""
    return (SENTENCE * (length // len(SENTENCE) + 1))[:length]


def make_body(prompt: str) -> dict[str, Any]:
    """The body that every candidate posts."""
    return {"model": MODEL, "messages": [{"role": "user", "content": prompt}], "temperature": 0.7, "max_tokens": 512}


def read_own_cpu() -> float:
    """CPU seconds of this process, including its threads but not the server."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def ask_server(port: int) -> dict[str, float]:
    """CPU seconds of the server process and its replies so far."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        connection.request("GET", "/")
        figures: dict[str, float] = json.loads(connection.getresponse().read())
        return figures
    finally:
        connection.close()


# The candidates. None of them reads proxies or credentials from the environment, and none retries.


@asynccontextmanager
async def open_thin_aiohttp(url: str, concurrency: int) -> AsyncIterator[Ask]:
    """One aiohttp session without a limit on connections."""
    import aiohttp

    async def ask(prompt: str) -> tuple[str, int]:
        body = json.dumps(make_body(prompt)).encode()
        async with session.post(f"{url}/chat/completions", data=body, headers=make_headers()) as response:
            return read_reply(response.status, await response.read())

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, trust_env=False) as session:
        yield ask


@asynccontextmanager
async def open_openai_default(url: str, concurrency: int) -> AsyncIterator[Ask]:
    """The openai client with its default transport."""
    from openai import AsyncOpenAI, DefaultAsyncHttpxClient

    transport = DefaultAsyncHttpxClient(trust_env=False)
    async with AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0, http_client=transport) as client:
        yield make_openai_ask(client)


@asynccontextmanager
async def open_openai_aiohttp(url: str, concurrency: int) -> AsyncIterator[Ask]:
    """The openai client with the aiohttp transport of its extra."""
    from openai import AsyncOpenAI, DefaultAioHttpClient

    transport = DefaultAioHttpClient(trust_env=False)
    async with AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0, http_client=transport) as client:
        yield make_openai_ask(client)


def open_thin_httpx2(url: str, concurrency: int) -> AbstractAsyncContextManager[Ask]:
    """One httpx2 client that keeps all its connections."""
    return open_thin_httpx(importlib.import_module("httpx2"), url, concurrency)


def open_thin_httpx1(url: str, concurrency: int) -> AbstractAsyncContextManager[Ask]:
    """One httpx client that keeps all its connections."""
    return open_thin_httpx(importlib.import_module("httpx"), url, concurrency)


@asynccontextmanager
async def open_thin_httpx(module: Any, url: str, concurrency: int) -> AsyncIterator[Ask]:  # noqa: ANN401
    """A thin client on either generation of httpx."""

    async def ask(prompt: str) -> tuple[str, int]:
        body = json.dumps(make_body(prompt)).encode()
        response = await client.post(f"{url}/chat/completions", content=body, headers=make_headers())
        return read_reply(response.status_code, response.content)

    limits = module.Limits(max_connections=4 * concurrency, max_keepalive_connections=4 * concurrency)
    async with module.AsyncClient(limits=limits, timeout=600, trust_env=False) as client:
        yield ask


CANDIDATES: dict[str, tuple[Client, tuple[str, ...]]] = {
    "thin_aiohttp": (open_thin_aiohttp, ("aiohttp",)),
    "openai_default": (open_openai_default, ("openai",)),
    "openai_aiohttp": (open_openai_aiohttp, ("openai", "aiohttp")),
    "thin_httpx2": (open_thin_httpx2, ("httpx2",)),
    "thin_httpx": (open_thin_httpx1, ("httpx",)),
}


def make_headers() -> dict[str, str]:
    """The headers that a thin client sends."""
    return {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "Accept": "application/json"}


def read_reply(status: int, body: bytes) -> tuple[str, int]:
    """Text and token count of a reply, as a thin client reads them."""
    if status != 200:
        raise RuntimeError(f"status {status}: {body[:200]!r}")
    reply = json.loads(body)
    return reply["choices"][0]["message"]["content"], reply["usage"]["total_tokens"]


def make_openai_ask(client: Any) -> Ask:  # noqa: ANN401
    """Text and token count of a reply, as the openai client gives them."""

    async def ask(prompt: str) -> tuple[str, int]:
        reply = await client.chat.completions.create(**make_body(prompt))
        return reply.choices[0].message.content, reply.usage.total_tokens

    return ask


@contextmanager
def run_server(delay_s: float) -> Iterator[int]:
    """Run a server in its own process and yield its port."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(there, delay_s), daemon=True)
    process.start()
    try:
        if not here.poll(30):
            raise RuntimeError("the server did not start")
        yield here.recv()
    finally:
        process.terminate()
        process.join()


def serve(parent: Connection, delay_s: float) -> None:
    """Answer until the process ends."""
    asyncio.run(serve_forever(parent, delay_s))


async def serve_forever(parent: Connection, delay_s: float) -> None:
    """Reply to every POST after the delay; GET returns the CPU seconds used and the number of replies so far."""
    from aiohttp import web

    replies = itertools.cycle([json.dumps(make_reply(length)).encode() for length in ANSWER_CHARACTERS])
    count = 0

    async def handle(request: web.BaseRequest) -> web.Response:
        nonlocal count
        if request.method == "GET":
            return web.json_response({"cpu_s": time.process_time(), "replies": count})
        await request.read()
        if request.path != "/v1/chat/completions":
            return web.Response(status=404)
        if delay_s:
            await asyncio.sleep(delay_s)
        count += 1
        return web.Response(body=next(replies), content_type="application/json")

    # The low-level server: without routes and middlewares it leaves more CPU to the client.
    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    parent.send(runner.addresses[0][1])
    await asyncio.Event().wait()


def make_reply(length: int) -> dict[str, Any]:
    """A chat completion whose text has this many characters."""
    prompt_tokens, completion_tokens = PROMPT_CHARACTERS // 4, length // 4
    return {
        "id": "chatcmpl-C9a8b7c6d5e4f3a2b1c0d9e8f7a6b",
        "object": "chat.completion",
        "created": 1767225600,
        "model": MODEL,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": make_text(length), "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "system_fingerprint": "fp_0123456789",
    }


if __name__ == "__main__":
    main()
