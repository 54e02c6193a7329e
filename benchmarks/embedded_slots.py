"""Throughput of the embedded teacher: completion tokens per second of the packaged SmolLM2 by slots of its llama.cpp server.

The base of the ratios is one slot, a server without batching. Settings alternate in rounds and answer the same requests; the
result is the median over the rounds. One slot answers an eighth of the requests.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from record import write_result

from limbeck.teacher.backends.embedded import EmbeddedBackend
from limbeck.teacher.client.budget import Budget, BudgetSettings
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.client.teacher import Teacher
from limbeck.teacher.request import About
from limbeck.teacher.settings import EmbeddedSettings, TeacherSettings

SLOTS = (1, 8, 16, 32, 64)
REQUESTS = 64
ROUNDS = 2
MAX_TOKENS = 48


def measure(slots: int, requests: int) -> float:
    """Completion tokens per second, without the start of the server."""
    settings = TeacherSettings(
        backend="embedded",
        model="packaged:smollm2-135m-instruct",
        max_tokens=MAX_TOKENS,
        temperature=0.9,
        embedded=EmbeddedSettings(slots=slots, context=512),
    )
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger.sqlite")
        with Teacher(EmbeddedBackend(settings), ledger, Budget(BudgetSettings(max_examples=1)), settings) as teacher:
            about = About("synthesize", 0, "d")
            teacher.ask_many([teacher.make_request("Say hello.", about)])
            prompts = [f"Write film review number {n} in two sentences." for n in range(requests)]
            begin = time.perf_counter()
            outcomes = teacher.ask_many([teacher.make_request(prompt, about) for prompt in prompts])
            seconds = time.perf_counter() - begin
        ledger.close()
    return sum(outcome.reply.completion_tokens for outcome in outcomes if outcome.reply) / seconds


def main() -> None:
    """Measure all settings and write the result."""
    rounds: dict[int, list[float]] = {slots: [] for slots in SLOTS}
    for _ in range(ROUNDS):
        for slots in SLOTS:
            rounds[slots].append(measure(slots, REQUESTS if slots > 1 else REQUESTS // 8))
    medians = {slots: statistics.median(values) for slots, values in rounds.items()}
    result = {
        "what": "completion tokens per second of the embedded teacher by slots",
        "base_of_ratios": "1 slot",
        "requests": REQUESTS,
        "max_tokens": MAX_TOKENS,
        "tokens_per_s": {str(slots): round(value, 1) for slots, value in medians.items()},
        "ratio": {str(slots): round(value / medians[1], 2) for slots, value in medians.items()},
    }
    write_result("embedded_slots", result)


if __name__ == "__main__":
    main()
