"""Time with a faulty teacher (30% 429, 5% 500, 5% dropped connections, 2% cut JSON, 1% slow-loris) against the ideal time.

The same requests go through `Teacher.ask_many` to a fake teacher without faults and to one with them. The ideal is the total
time that the attempts of the faulty run occupy their slots (their latency, also of failed ones, or the time-out if a reply
trickles), divided by the number of slots: no pause after a fault, and no slot ever idle. Lower is better; the target is 2.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from record import write_result

from limbeck.teacher.backends.openai_compatible import OpenAIBackend
from limbeck.teacher.client.budget import Budget, BudgetSettings
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.client.teacher import Teacher
from limbeck.teacher.request import About
from limbeck.teacher.settings import TeacherSettings

REQUESTS, CONCURRENCY, LATENCY_S, TIMEOUT_S = 1500, 32, 0.5, 3.0
FAULTS = {"throttle": 0.30, "fail": 0.05, "drop": 0.05, "cut": 0.02, "stall": 0.01}


def main() -> None:
    """Run both and write ``benchmarks/results/teacher_faults.json``."""
    clean, faulty = measure({}), measure(FAULTS)
    result = {
        "what": "seconds for the same requests with a faulty teacher, over the ideal for its mix of faults",
        "requests": REQUESTS,
        "concurrency": CONCURRENCY,
        "latency_s": LATENCY_S,
        "timeout_s": TIMEOUT_S,
        "faults": FAULTS,
        "clean": clean,
        "faulty": faulty,
        "ratio": faulty["seconds"] / faulty["ideal_seconds"],
        "target": 2.0,
    }
    write_result("teacher_faults", result)


def measure(faults: dict[str, float]) -> dict[str, Any]:
    """Send all requests to a fake teacher in another process with these faults; check the request counts and time it."""
    flags = [f"--fault={name}={rate}" for name, rate in faults.items()]
    command = [sys.executable, "-m", "limbeck", "fake-teacher", "--json", f"--latency-ms={LATENCY_S * 1000}", "--stall-s=600"]
    server = subprocess.Popen([*command, *flags], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None  # noqa: S101 (a pipe, by the line above)
        url = json.loads(server.stdout.readline())["url"]
        with tempfile.TemporaryDirectory() as folder:
            found = ask(url, Path(folder) / "ledger.sqlite")
        with urllib.request.urlopen(url.removesuffix("/v1") + "/stats") as answer:  # noqa: S310 (our own server)
            stats = json.loads(answer.read())
    finally:
        server.terminate()
        server.communicate()  # read its last output, which would fill the pipe
    busy = sum(found.pop("places_s"))
    if found["requests"] != stats["requests"]:
        raise RuntimeError(f"the ledger has {found['requests']} requests, the server {stats['requests']}")
    return {**found, "outcomes": stats["outcomes"], "ideal_seconds": busy / CONCURRENCY}


def ask(url: str, path: Path) -> dict[str, Any]:
    """Ask through a durable ledger; returns seconds, states, and how long each attempt occupied its slot."""
    settings = TeacherSettings(
        backend="openai_compatible",
        model="fake-teacher",
        base_url=url,
        max_concurrency=CONCURRENCY,
        timeout_s=TIMEOUT_S,
        max_tokens=64,
        max_attempts=12,
    )
    ledger, budget = Ledger(path), Budget(BudgetSettings(max_examples=REQUESTS, max_requests=20 * REQUESTS))
    with Teacher(OpenAIBackend(settings), ledger, budget, settings) as teacher:
        requests = [teacher.make_request(f"What is {n} + {n}?", About("annotate", 0, "d", (), n)) for n in range(REQUESTS)]
        start = time.perf_counter()
        outcomes = teacher.ask_many(requests)
        seconds = time.perf_counter() - start
    rows = list(ledger.list_requests())
    ledger.close()
    missing = Counter(outcome.reason for outcome in outcomes if outcome.reply is None)
    return {
        "seconds": seconds,
        "requests": budget.spent.requests,
        "without_reply": dict(missing),
        "states": dict(Counter(row["state"] for row in rows)),
        "places_s": [row["done_at"] - row["sent_at"] for row in rows],
    }


if __name__ == "__main__":
    main()
