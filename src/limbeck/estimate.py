"""What requests and training are likely to cost, before anything is asked: ranges of tokens, money and seconds. No torch."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.config import Config
from limbeck.data.example import Example
from limbeck.errors import ConfigError
from limbeck.packaged import PACKAGED, PREFIX
from limbeck.run_data import RunData
from limbeck.teacher.request import estimate_tokens
from limbeck.teacher.settings import TeacherSettings

CHAT_TOKENS = 8  # what a chat template adds to a message
# Reply lengths as shares of teacher.max_tokens, and as multiples of the rationales that the data has.
REPLY_SHARE = (0.03, 0.3, 1.0)
REPLY_MULTIPLE = (0.5, 1.0, 2.0)
REPLY_TOKENS_PER_S = (100.0, 50.0, 20.0)
# Student tokens per second and billion parameters: two CPU cores, and one data-centre GPU.
TRAIN_TOKENS_PER_S = {"cpu": 60.0, "gpu": 8_000.0}
GENERATE_TOKENS_PER_S = {"cpu": 36.0, "gpu": 4_000.0}
EMBEDDED_TOKENS_PER_S = 180.0  # SmolLM2-135M on two CPU cores, benchmarks/embedded_slots.py
REMOTE = ("openai_compatible",)


@dataclass(frozen=True)
class Range:
    """A number that is not known yet."""

    low: float
    likely: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.likely + other.likely, self.high + other.high)

    def __mul__(self, other: Range | float) -> Range:
        by = other if isinstance(other, Range) else Range(other, other, other)
        return Range(self.low * by.low, self.likely * by.likely, self.high * by.high)


NOTHING = Range(0, 0, 0)
SUMS = ("requests", "prompt_tokens", "completion_tokens", "seconds")


def add_requests(found: dict[str, Range], settings: TeacherSettings, requests: Range, prompt: Range, reply: Range) -> None:
    """Add so many requests, of so many prompt and reply tokens each, to the sums, with the seconds they take."""
    found["requests"] += requests
    found["prompt_tokens"] += prompt * requests
    found["completion_tokens"] += reply * requests
    if settings.backend == "embedded":
        found["seconds"] += requests * reply * (1 / EMBEDDED_TOKENS_PER_S)
    if settings.backend in REMOTE:
        each = Range(*(0.5 + tokens / speed for tokens, speed in
                       zip((reply.low, reply.likely, reply.high), REPLY_TOKENS_PER_S, strict=True)))  # fmt: skip
        found["seconds"] += each * requests * (1 / settings.max_concurrency)


def range_prompt(settings: TeacherSettings, mean: float) -> Range:
    """Prompt tokens: exact with the teacher's tokenizer, else as far off as counting bytes may be."""
    return Range(mean, mean, mean) if settings.tokenizer else Range(0.8 * mean, mean, 1.6 * mean)


def range_reply(settings: TeacherSettings, lengths: Sequence[int]) -> Range:
    """Reply tokens: around those of texts of the same kind, or a share of the limit where there are none."""
    if not lengths:
        return Range(*(share * settings.max_tokens for share in REPLY_SHARE))
    typical = sum(lengths) / len(lengths) + CHAT_TOKENS
    return Range(*(min(share * typical, settings.max_tokens) for share in REPLY_MULTIPLE))


def load_counter(settings: TeacherSettings) -> Callable[[str], int]:
    """Counts the tokens of a text: by ``teacher.tokenizer`` where it is given, else by bytes.

    Raises:
        ConfigError: the tokenizer can't be read.
    """
    if settings.tokenizer is None:
        return estimate_tokens
    path = settings.tokenizer / "tokenizer.json" if settings.tokenizer.is_dir() else settings.tokenizer
    try:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_buffer(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"teacher.tokenizer: {path} is no readable tokenizer.json: {error}") from error
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def measure_question(data: RunData) -> float:
    """Mean tokens of a student's prompt."""
    sample = data.train[:: max(1, len(data.train) // 200)]
    prompt = sum(estimate_tokens(e.question + data.task.instruction) for e in sample) / len(sample) + CHAT_TOKENS
    return prompt + (estimate_tokens(data.task.describe_labels()) if data.task.labels else 0)


def count_measured(config: Config, rows: Sequence[Example]) -> int:
    """How many of the rows are measured."""
    return min(len(rows), config.evaluation.max_examples or len(rows))


def estimate_seconds(config: Config, trained_tokens: float, generated_tokens: float) -> Range:
    """The seconds that so many tokens take the student on this machine, a third to three times of it."""
    device = "gpu" if shutil.which("nvidia-smi") else "cpu"
    cores = 1.0 if device == "gpu" else (os.cpu_count() or 2) / 2
    speed = cores / guess_billions(config.student.model)
    likely = trained_tokens / (TRAIN_TOKENS_PER_S[device] * speed) + generated_tokens / (GENERATE_TOKENS_PER_S[device] * speed)
    return Range(likely / 3, likely, likely * 3)


def guess_billions(model: str) -> float:
    """Parameters of a model in billions, by the size in its name or by its weights; 1 where neither tells."""
    if model.removeprefix(PREFIX) in PACKAGED:
        return PACKAGED[model.removeprefix(PREFIX)].billions
    named = re.search(r"(\d+(?:\.\d+)?)\s*([bm])(?![a-z])", Path(model).name, re.IGNORECASE)
    if named:
        return float(named[1]) * (1e-3 if named[2].lower() == "m" else 1.0)
    weights = sum(path.stat().st_size for path in Path(model).glob("*.safetensors")) if Path(model).is_dir() else 0
    return weights / 4e9 if weights else 1.0


def find_cap_warnings(config: Config, totals: Mapping[str, Any]) -> list[str]:
    """Caps that are below what is likely to be spent."""
    warnings = []
    for name, cap in (("requests", config.budget.max_requests), ("tokens", config.budget.max_tokens),
                      ("cost_usd", config.budget.max_cost_usd)):  # fmt: skip
        likely = totals[name]["likely"]
        if cap is not None and likely is not None and likely > cap:
            warnings.append(f"budget.max_{name} = {cap:g} is below the {likely:.6g} that are likely; the run would end early")
    return warnings


def compute_cost(settings: TeacherSettings, prompt: Range, completion: Range) -> dict[str, float | None]:
    """The money that so many tokens cost, as low, likely and high; nulls where no prices are given."""
    prices = settings.prices
    return {
        name: None if prices is None else prices.compute_cost_usd(getattr(prompt, name), getattr(completion, name))
        for name in ("low", "likely", "high")
    }
