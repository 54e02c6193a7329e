"""Greedy generation: limbeck's loop, which drops finished rows and splits batches by length, against `model.generate`.

The ratio depends on output lengths, so the stop ids are chosen to end rows at different times, at lengths like those of a
trained student. Both sides must produce the same ids.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import torch
from record import write_result
from transformers import GenerationConfig

from limbeck.data.procedural.problems import DOMAINS, draw_distinct
from limbeck.data.task import Task
from limbeck.student.encode import Encoder
from limbeck.student.generate import generate
from limbeck.student.model import Student, load_student, quiet_libraries
from limbeck.student.settings import StudentSettings

REPEATS = 3
BATCH_SIZE = 32
MAX_NEW_TOKENS = 48
MIXED_PROMPTS = 48


def main() -> None:
    """Write ``benchmarks/results/generation.json``."""
    write_result("generation", measure())


def measure() -> dict[str, Any]:
    """Time both sides on prompts of similar and of different lengths."""
    student = load_student(StudentSettings())
    encoder = Encoder(student.tokenizer, Task(answer="number"))
    questions = [problem.question for domain in DOMAINS for problem in draw_distinct(domain, 3, 8)][:BATCH_SIZE]
    # Every third prompt has one problem more: a test set has many short texts and few long ones.
    joined = [" ".join(questions[(7 * n + k) % len(questions)] for k in range(1 + n // 3)) for n in range(MIXED_PROMPTS)]
    return {
        "what": "greedy generation, seconds",
        "alternative": "transformers model.generate in full batches, same prompts sorted by length, same stop ids",
        "batch_size": BATCH_SIZE,
        "like_lengths": compare(student, encoder, questions),
        "unlike_lengths": compare(student, encoder, joined),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def compare(student: Student, encoder: Encoder, questions: Sequence[str]) -> dict[str, Any]:
    """Time both sides in turn on one set of prompts; a full stop ends the outputs, after different numbers of tokens."""
    prompts = sorted((encoder.encode_prompt(question, "number") for question in questions), key=len, reverse=True)
    stop_ids = encoder.read_stop_ids() | set(student.tokenizer(".", add_special_tokens=False)["input_ids"])
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        outputs = generate(student, prompts, stop_ids=frozenset(stop_ids), max_new_tokens=MAX_NEW_TOKENS, batch_size=BATCH_SIZE)
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        reference: list[list[int]] = []
        for place in range(0, len(prompts), BATCH_SIZE):
            reference += generate_by_library(student, prompts[place : place + BATCH_SIZE], stop_ids)
        theirs.append(time.perf_counter() - start)
        same = [output.ids == ids for output, ids in zip(outputs, reference, strict=True)]
    written, read = [len(output.ids) for output in outputs], [len(prompt) for prompt in prompts]
    return {
        "prompts": len(prompts),
        "prompt_tokens_min_median_max": [min(read), statistics.median(read), max(read)],
        "tokens_generated": sum(written),
        "written_tokens_min_median_max": [min(written), statistics.median(written), max(written)],
        "rows_with_equal_ids": sum(same),
        "limbeck_s": ours,
        "alternative_s": theirs,
        "ratio": statistics.median(theirs) / statistics.median(ours),
    }


def generate_by_library(student: Student, prompts: Sequence[list[int]], stop_ids: frozenset[int]) -> list[list[int]]:
    """The same greedy outputs from `model.generate`."""
    width = max(map(len, prompts))
    pad = student.tokenizer.pad_token_id
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in prompts], device=student.device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts], device=student.device)
    config = GenerationConfig(
        do_sample=False, max_new_tokens=MAX_NEW_TOKENS, eos_token_id=sorted(stop_ids), pad_token_id=pad, use_cache=True
    )
    with torch.inference_mode():
        out = student.model.generate(input_ids=ids, attention_mask=mask, generation_config=config)
    rows = []
    for row in out[:, width:].tolist():
        end = next((place for place, token in enumerate(row) if token in stop_ids), len(row))
        rows.append(row[:end])
    return rows


if __name__ == "__main__":
    with quiet_libraries():
        main()
