"""Estimates the cost of requests and training before anything is asked: tokens, money and seconds. Imports no torch."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.data.example import Example
from limbeck.inputs.data import RunData
from limbeck.inputs.sections import Sections
from limbeck.packaged import PACKAGED, PREFIX
from limbeck.planner.history import UNLEARNED, Learned
from limbeck.planner.tokens import CHAT_TOKENS, Messages, TokenCounter
from limbeck.run_folder.plan import BOUNDS, NOTHING, PlannedRequests, Range
from limbeck.selection.subset import choose_examples
from limbeck.student.tables import KINDS
from limbeck.teacher.purposes.answer import write_answer_prompt
from limbeck.teacher.purposes.prompts import load_template
from limbeck.teacher.request import estimate_tokens
from limbeck.teacher.tables import BACKENDS

# Shares of replies that are kept if nothing is known about the teacher. Of published GPT rationales, 84% (MATH, hinted), 62%
# (R52, label withheld or not) and 74% (BIG-Bench-Hard, blind) would be kept. The share for verification is a guess.
KEPT = {"hinted": 0.85, "blind": 0.75, "synthesize": 0.85, "generate": 0.9, "verify": 0.85}
SAMPLE = 16  # examples per domain whose prompts are counted
# Reply lengths as shares of teacher.max_tokens, and as multiples of the rationales in the data.
REPLY_SHARE = (0.03, 0.3, 1.0)
REPLY_MULTIPLE = (0.5, 1.0, 2.0)
LABEL_REPLY = Range(2, 4, 8)
PROMPT_DOUBT = Range(0.8, 1.0, 1.6)  # how far off counting bytes may be
REPLY_TOKENS_PER_S = (100.0, 50.0, 20.0)
# Student tokens per second and billion parameters: two CPU cores, and one data-centre GPU.
TRAIN_TOKENS_PER_S = {"cpu": 60.0, "gpu": 8_000.0}
GENERATE_TOKENS_PER_S = {"cpu": 36.0, "gpu": 4_000.0}


@dataclass(frozen=True)
class Estimator:
    """Estimates requests, tokens and money from what earlier replies taught, or else from guesses.

    Attributes:
        count: counts tokens like the teacher, as far as its tokenizer is known.
        learned: what an earlier ledger taught.
    """

    config: Sections
    count: TokenCounter
    learned: Learned = UNLEARNED

    def foresee_tries(self, purpose: str, kept: float, max_attempts: int) -> Range:
        """Requests per kept example: at least one, at most all attempts.

        Args:
            purpose: the kept share of this purpose may have been learned.
            kept: share of the replies that are kept, if nothing was learned.
            max_attempts: the upper limit.
        """
        known = self.learned.compute_kept_share(purpose)
        if known is None:
            return Range(1, min(1 / kept, max_attempts), max_attempts)
        return Range(
            *(min(1 / share if share else max_attempts, max_attempts) for share in (known.high, known.likely, known.low))
        )

    def foresee_prompt(self, purpose: str, prompts: Sequence[Messages]) -> Range:
        """Mean tokens of a prompt, measured on real prompts and corrected by what the teacher counted earlier."""
        mean = sum(map(self.count.count_prompt, prompts)) / len(prompts)
        factor = self.learned.get_prompt_factor(purpose)
        if factor is None:
            factor = Range(1, 1, 1) if self.count.is_exact else PROMPT_DOUBT
        return factor * mean

    def foresee_reply(self, purpose: str, domain: str, guess: Range) -> Range:
        """Tokens of a reply: from the ledger, or else the guess; at most ``teacher.max_tokens``."""
        known = self.learned.get_reply(purpose, domain) or guess
        most = self.config.teacher.max_tokens
        return Range(min(known.low, most), min(known.likely, most), min(known.high, most))

    def guess_reply(self, texts: Sequence[str]) -> Range:
        """Guess the tokens of a reply from similar texts; without any, as shares of the limit."""
        if not texts:
            return Range(*(share * self.config.teacher.max_tokens for share in REPLY_SHARE))
        typical = sum(map(self.count.count, texts)) / len(texts) + CHAT_TOKENS
        return Range(*(share * typical for share in REPLY_MULTIPLE))

    def plan(self, stage: int, domain: str, purpose: str, tries: Range, prompt: Range, reply: Range) -> PlannedRequests:
        """Plan `tries` requests of this many prompt and reply tokens each, with the attempts and seconds they take."""
        settings = self.config.teacher
        prompts, replies = prompt * tries, reply * tries
        cost = None
        if settings.prices is not None:
            cost = Range(*(settings.prices.compute_cost_usd(getattr(prompts, name), getattr(replies, name)) for name in BOUNDS))
        seconds, backend = NOTHING, BACKENDS[settings.backend]
        if backend.tokens_per_s is not None:
            seconds = replies * (1 / backend.tokens_per_s)
        elif backend.is_remote:
            each = Range(
                *(
                    0.5 + tokens / speed
                    for tokens, speed in zip((reply.low, reply.likely, reply.high), REPLY_TOKENS_PER_S, strict=True)
                )
            )
            seconds = each * tries * (1 / settings.max_concurrency)
        requests = tries * self.learned.get_attempts(purpose)
        return PlannedRequests(stage, domain, purpose, requests, prompts, replies, cost, seconds)

    def describe(self) -> dict[str, Any]:
        """What the estimate is based on, for ``assumptions``."""
        learned = self.learned.to_json() if self.learned.replies else None
        return {"tokenizer": self.count.name, "chat_template": self.count.template_name, "learned": learned}


def plan_evaluation(estimator: Estimator, data: RunData) -> list[PlannedRequests]:
    """Plan the teacher's own measurement (``evaluation.teacher``): one request per test row."""
    config, found = estimator.config, []
    if not config.evaluation.teacher:
        return []
    by_domain: dict[str, list[Example]] = {}
    for example in choose_examples(data.test, config.evaluation.max_examples, config.seed):
        by_domain.setdefault(example.domain, []).append(example)
    for domain, rows in by_domain.items():
        each = Range(len(rows), len(rows), len(rows))
        found.append(plan_answers(estimator, data, rows, "evaluate", 0, domain, each))
    return found


def plan_answers(
    estimator: Estimator, data: RunData, rows: Sequence[Example], purpose: str, stage: int, domain: str, tries: Range
) -> PlannedRequests:
    """Plan `tries` questions to the teacher like those of some rows (`limbeck.teacher.purposes.answer`)."""
    shown = take_sample(rows)
    template = load_template("answer", estimator.config.teacher.templates.get("answer"))
    prompts = [[{"role": "user", "content": write_answer_prompt(template, data.task, example)}] for example in shown]
    guess = estimator.guess_reply([data.task.answer_prefix + example.answer for example in shown])
    if data.task.has_label_answers:
        guess = LABEL_REPLY
    prompt, reply = estimator.foresee_prompt(purpose, prompts), estimator.foresee_reply(purpose, domain, guess)
    return estimator.plan(stage, domain, purpose, tries, prompt, reply)


def take_sample(examples: Sequence[Example]) -> Sequence[Example]:
    """At most `SAMPLE` of the examples, evenly spread."""
    return examples[:: max(1, len(examples) // SAMPLE)][:SAMPLE]


def measure_question(config: Sections, data: RunData) -> float:
    """Mean tokens of a student's prompt; a classifier reads only the question."""
    sample = data.train[:: max(1, len(data.train) // 200)]
    if not KINDS[config.student.kind].writes_text:
        return sum(estimate_tokens(e.question) for e in sample) / len(sample)
    prompt = sum(estimate_tokens(e.question + data.task.instruction) for e in sample) / len(sample) + CHAT_TOKENS
    return prompt + (
        estimate_tokens(data.task.describe_labels(data.task.answer)) if config.student.lists_labels and data.task.labels else 0
    )


def count_measured(config: Sections, rows: Sequence[Example]) -> int:
    """How many of the rows are measured."""
    return min(len(rows), config.evaluation.max_examples or len(rows))


def estimate_seconds(config: Sections, trained_tokens: float, generated_tokens: float) -> Range:
    """Seconds that the student needs for these tokens on this machine; the range is a third to three times the likely value."""
    device = "gpu" if shutil.which("nvidia-smi") else "cpu"
    cores = 1.0 if device == "gpu" else (os.cpu_count() or 2) / 2
    speed = cores / guess_billions(config.student.model)
    likely = trained_tokens / (TRAIN_TOKENS_PER_S[device] * speed) + generated_tokens / (GENERATE_TOKENS_PER_S[device] * speed)
    return Range(likely / 3, likely, likely * 3)


def guess_billions(model: str) -> float:
    """Guess a model's parameters in billions from the size in its name or its weights; 1 if neither tells."""
    if model.removeprefix(PREFIX) in PACKAGED:
        return PACKAGED[model.removeprefix(PREFIX)].billions
    named = re.search(r"(\d+(?:\.\d+)?)\s*([bm])(?![a-z])", Path(model).name, re.IGNORECASE)
    if named:
        return float(named[1]) * (1e-3 if named[2].lower() == "m" else 1.0)
    weights = sum(path.stat().st_size for path in Path(model).glob("*.safetensors")) if Path(model).is_dir() else 0
    return weights / 4e9 if weights else 1.0
