"""Training on the same rows: limbeck's `compute_loss`, which projects to the vocabulary only at labelled positions, against
TRL's own loss; and attention written out against torch's fused kernel."""

from __future__ import annotations

import statistics
import time
from typing import Any
from unittest.mock import patch

import torch
from record import write_result
from trl import SFTTrainer

from limbeck.data.example import Example, make_example_id
from limbeck.data.procedural.problems import DOMAINS, draw_distinct
from limbeck.data.task import Task
from limbeck.student import fine_tune as module
from limbeck.student.encode import Encoded, Encoder
from limbeck.student.model import quiet_libraries
from limbeck.student.settings import StudentSettings, TrainingSettings

REPEATS = 3
ROWS = 24


class LibraryTrainer(SFTTrainer):
    """TRL's unchanged trainer, with the attribute that limbeck sets on its own."""

    loss_name = "cross_entropy"


def main() -> None:
    """Write ``benchmarks/results/training.json``."""
    write_result("training", measure())


def measure() -> dict[str, Any]:
    """Time the sides in turn."""
    settings = TrainingSettings(epochs=1, batch_size=4)
    ours, theirs, fused = [], [], []
    for _ in range(REPEATS):
        ours.append(time_training(settings, module.CompletionTrainer))
        theirs.append(time_training(settings, LibraryTrainer))
        with patch.object(module, "WRITTEN_OUT_MAX_TOKENS", 0):
            fused.append(time_training(settings, module.CompletionTrainer))
    rows = make_rows(module.load_for_training(StudentSettings(), settings).tokenizer)
    tokens = sum(len(row.ids) for row in rows)
    return {
        "what": "one epoch of LoRA training, seconds",
        "alternative": "TRL SFTTrainer.compute_loss, same rows, settings and seed",
        "rows": ROWS,
        "tokens": tokens,
        "completion_tokens": sum(len(row.ids) - row.prompt_length for row in rows),
        "limbeck_s": ours,
        "alternative_s": theirs,
        "limbeck_tokens_per_s": tokens / statistics.median(ours),
        "ratio": statistics.median(theirs) / statistics.median(ours),
        "fused_attention_s": fused,
        "ratio_to_fused_attention": statistics.median(fused) / statistics.median(ours),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def make_rows(tokenizer, count: int = ROWS, questions_per_row: int = 1) -> list[Encoded]:  # noqa: ANN001
    """Solved problems, cycling through all domains; with several questions in a row, the last one is solved."""
    encoder = Encoder(tokenizer, Task(answer="text"))
    streams = {domain: draw_distinct(domain, 3, count * questions_per_row) for domain in DOMAINS}
    rows = []
    for place in range(count):
        domain = list(DOMAINS)[place % len(DOMAINS)]
        questions = [next(streams[domain]).question for _ in range(questions_per_row)]
        question = " ".join(questions)
        fields = {"question": question}
        solution = DOMAINS[domain].solve(questions[-1], None)
        example = Example(make_example_id(domain, fields), domain, fields, question, solution.answer, "text")
        rows.append(encoder.encode(example.but(rationale=solution.rationale)))
    return rows


def time_training(settings: TrainingSettings, trainer: type[SFTTrainer]) -> float:
    """Seconds of `fine_tune` with this trainer class, without loading."""
    student = module.load_for_training(StudentSettings(), settings)
    rows = make_rows(student.tokenizer)
    with patch.object(module, "CompletionTrainer", trainer):
        start = time.perf_counter()
        module.fine_tune(student, rows, settings, seed=1)
        return time.perf_counter() - start


if __name__ == "__main__":
    with quiet_libraries():
        main()
