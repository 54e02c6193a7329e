"""The cost of a durable ledger: requests per second and client CPU of `Teacher.ask_many` against a bare `AsyncOpenAI` gather.

Both send the same prompts, alternating over several rounds, to a loopback server in another process that waits 20 ms before
each reply. limbeck reserves budget, stores each intent durably before it sends the request and each reply before it uses it;
the openai client stores nothing. The ratio is limbeck's requests per second over openai's; higher is better for limbeck.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from record import write_result
from transport import ask_all, ask_server, make_prompt, open_openai_default, read_own_cpu, run_server

from limbeck.teacher.backends.openai_compatible import OpenAIBackend
from limbeck.teacher.client.budget import Budget, BudgetSettings
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.client.teacher import Teacher
from limbeck.teacher.request import About
from limbeck.teacher.settings import TeacherSettings

DELAY_S = 0.02
REQUESTS = {1: 150, 32: 1500, 256: 3000}
TARGETS = {1: 1.0, 32: 1.5, 256: 3.0}
REPEATS = 4
Sample = tuple[float, float]  # requests per second, CPU milliseconds a request


def main() -> None:
    """Measure both at each concurrency and write ``benchmarks/results/teacher_throughput.json``."""
    settings: dict[str, Any] = {}
    with run_server(DELAY_S) as port:
        for concurrency, requests in REQUESTS.items():
            samples: dict[str, list[Sample]] = {"limbeck": [], "openai": []}
            for turn in range(REPEATS):
                for name in ("limbeck", "openai") if turn % 2 == 0 else ("openai", "limbeck"):
                    measure = measure_limbeck if name == "limbeck" else measure_openai
                    samples[name].append(measure(port, concurrency, requests))
                    print(f"{concurrency} at once, {name}: {samples[name][-1][0]:.0f} requests/s", file=sys.stderr)
            settings[f"concurrency_{concurrency}"] = summarise(samples, TARGETS[concurrency])
    result = {
        "what": "requests per second through Teacher.ask_many with the durable ledger, over those of a bare AsyncOpenAI gather",
        "base_of_ratios": "openai",
        "delay_ms": DELAY_S * 1000,
        "requests": REQUESTS,
        "rounds": REPEATS,
        "settings": settings,
        "versions": {name: importlib.metadata.version(name) for name in ("aiohttp", "openai", "httpx2")},
    }
    write_result("teacher_throughput", result)


def measure_limbeck(port: int, concurrency: int, requests: int) -> Sample:
    """One run of limbeck with the ledger on disk; connections are open and the code is warm when the clock starts."""
    settings = TeacherSettings(
        backend="openai_compatible", model="teacher", base_url=f"http://127.0.0.1:{port}/v1", max_concurrency=concurrency
    )
    with tempfile.TemporaryDirectory(dir=Path(__file__).parent / "results") as folder:
        ledger = Ledger(Path(folder) / "ledger.sqlite")
        budget = Budget(BudgetSettings(max_examples=requests, max_requests=10 * requests, max_tokens=10**9))
        with Teacher(OpenAIBackend(settings), ledger, budget, settings) as teacher:

            def ask(first: int, count: int) -> int:
                asked = [
                    teacher.make_request(make_prompt(number), About("annotate", 0, "d", (), number))
                    for number in range(first, first + count)
                ]
                return sum(outcome.reply is not None for outcome in teacher.ask_many(asked))

            ask(10**6, 2 * concurrency)
            gc.collect()
            before, cpu, start = ask_server(port)["replies"], read_own_cpu(), time.perf_counter()
            answered = ask(0, requests)
            seconds, used = time.perf_counter() - start, read_own_cpu() - cpu
            served = ask_server(port)["replies"] - before
            if not answered == served == requests:
                raise RuntimeError(f"{requests} requests, {served:g} replies served, {answered} read")
        stored = sum(row["done"] for row in ledger.summarize())
        ledger.close()
        if stored != requests + 2 * concurrency:
            raise RuntimeError(f"{stored} replies in the ledger of {requests + 2 * concurrency}")
    return requests / seconds, used * 1000 / requests


def measure_openai(port: int, concurrency: int, requests: int) -> Sample:
    """One run of the openai client at the same concurrency, without ledger or budget."""

    async def run() -> Sample:
        prompts = [make_prompt(number) for number in range(requests)]
        async with open_openai_default(f"http://127.0.0.1:{port}/v1", concurrency) as ask:
            await ask_all(ask, prompts[: 2 * concurrency], concurrency)
            gc.collect()
            cpu, start = read_own_cpu(), time.perf_counter()
            answers = await ask_all(ask, prompts, concurrency)
            seconds, used = time.perf_counter() - start, read_own_cpu() - cpu
        if len(answers) != requests:
            raise RuntimeError(f"{requests} requests, {len(answers)} answers")
        return requests / seconds, used * 1000 / requests

    return asyncio.run(run())


def summarise(samples: dict[str, list[Sample]], target: float) -> dict[str, Any]:
    """Medians over the rounds, the ratio of the rates in each round, and the rounds themselves."""
    ratios = [ours[0] / theirs[0] for ours, theirs in zip(samples["limbeck"], samples["openai"], strict=True)]
    figures: dict[str, Any] = {
        name: {
            "requests_per_s": statistics.median(rate for rate, _ in rounds),
            "client_cpu_ms_per_request": statistics.median(cost for _, cost in rounds),
            "requests_per_s_by_round": [rate for rate, _ in rounds],
        }
        for name, rounds in samples.items()
    }
    return {**figures, "ratio_requests_per_s": statistics.median(ratios), "ratio_by_round": ratios, "target": target}


if __name__ == "__main__":
    main()
