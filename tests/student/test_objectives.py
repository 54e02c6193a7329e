"""Separate objectives: a step's loss is L_answer + λ·L_rationale, each a mean over its own tokens, for any batch split."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.support import make_example

from limbeck.data.task import Task
from limbeck.student import fine_tune as fine_tune_module
from limbeck.student.encode import Encoded, make_encoder
from limbeck.student.fine_tune import fine_tune, load_for_training
from limbeck.student.forward import compute_token_scores
from limbeck.student.losses import LOG_ZERO
from limbeck.student.model import Student
from limbeck.student.settings import LoraSettings, StudentSettings, TrainingSettings

TASK = Task(answer="number")
LORA = LoraSettings(rank=2, alpha=4, dropout=0.0)
# One step of two accumulated batches; with warm-up its learning rate would be 0.
STEP = TrainingSettings(
    epochs=1, batch_size=2, gradient_accumulation=2, learning_rate=1e-2, precision="float32", lora=None, warmup_ratio=0.0
)
TRAINERS = {"causal": "CompletionTrainer", "seq2seq": "SumLossTrainer"}
Load = Callable[..., tuple[Student, list[Encoded]]]
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def load(tiny_folder: Path, t5_folder: Path) -> Load:
    """Loads a fresh student of a kind, with four rows whose rationales and answers differ widely in length."""

    def load_kind(
        kind: str, training: TrainingSettings = STEP, *, is_separate: bool = True, dtype: str = "float32"
    ) -> tuple[Student, list[Encoded]]:
        folder = tiny_folder if kind == "causal" else t5_folder
        settings = StudentSettings(model=str(folder), kind=kind, dtype=dtype)  # type: ignore[arg-type]
        student = load_for_training(settings, training)
        encoder = make_encoder(settings, student.tokenizer, TASK, has_rationale=False, is_separate=is_separate)
        return student, [
            encoder.encode(make_example(f"Calculate {n} + 1.", "1" * (1 + 3 * n), rationale="One more. " * (1 + n * n)))
            for n in range(4)
        ]

    return load_kind


def compute_mean_loss(student: Student, rows: list[Encoded], training: TrainingSettings) -> float:
    """The mean over all tokens of the rows of −ln p, or of α·(−ln p) + β·9.21·(1 − p)."""
    nll = [float(value) for scores in compute_token_scores(student, rows) for value in scores.nll]
    if training.loss == "cross_entropy":
        return sum(nll) / len(nll)
    symmetric = [training.alpha * one - training.beta * LOG_ZERO * (1 - math.exp(-one)) for one in nll]
    return sum(symmetric) / len(symmetric)


def train(load: Load, kind: str, training: TrainingSettings, *, is_separate: bool = True) -> dict[str, torch.Tensor]:
    """The trained weights of a fresh student."""
    student, rows = load(kind, training, is_separate=is_separate)
    trained = fine_tune(student, rows, training, seed=1)
    return {name: weights.detach().clone() for name, weights in trained.model.named_parameters()}


def find_gap(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    return max(float((first[name] - second[name]).abs().max()) for name in first)


@pytest.mark.parametrize("kind", TRAINERS)
@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
@pytest.mark.parametrize(("loss", "weight"), [("cross_entropy", 1.0), ("cross_entropy", 0.3), ("symmetric_cross_entropy", 2.0)])
def test_the_loss_of_a_step_is_the_weighted_sum_of_two_means(
    load: Load, monkeypatch: pytest.MonkeyPatch, kind: str, lora: LoraSettings | None, loss: str, weight: float
) -> None:
    """The losses of a step's batches sum to the mean over answer tokens plus λ times that over rationale tokens."""
    losses: list[float] = []
    sizes: list[tuple[int, int]] = []
    trainer = getattr(fine_tune_module, TRAINERS[kind])

    class Recording(trainer):  # type: ignore[misc, valid-type]
        def compute_loss(self, model: object, inputs: dict[str, dict[str, torch.Tensor]], **options: object) -> torch.Tensor:
            found: torch.Tensor = super().compute_loss(model, inputs, **options)
            losses.append(float(found.detach()))
            sizes.append((len(inputs["labels"]), len(inputs["rationale"]["labels"])))
            return found

    monkeypatch.setattr(fine_tune_module, TRAINERS[kind], Recording)
    training = STEP.model_copy(update={"lora": lora, "loss": loss, "rationale_weight": weight})
    student, rows = load(kind, training)
    answers = compute_mean_loss(student, rows, training)
    rationales = compute_mean_loss(student, [row.rationale for row in rows if row.rationale], training)
    assert answers != pytest.approx(rationales, rel=1e-3)
    fine_tune(student, rows, training, seed=1)
    assert sizes == [(2, 2), (2, 2)], "a batch has both rows of its examples"
    assert sum(losses) == pytest.approx(answers + weight * rationales, rel=1e-5)


@pytest.mark.parametrize("kind", TRAINERS)
@pytest.mark.parametrize("some", [False, True], ids=["all have rationales", "one has"])
def test_accumulated_gradients_equal_those_of_one_large_batch(
    load: Load, monkeypatch: pytest.MonkeyPatch, kind: str, some: bool
) -> None:
    """Accumulated batches of one or two give the gradients of one batch of four, even if token counts or rationales differ."""
    trainer = getattr(fine_tune_module, TRAINERS[kind])
    found: list[dict[str, torch.Tensor]] = []

    class Recording(trainer):  # type: ignore[misc, valid-type]
        def training_step(self, model: torch.nn.Module, *arguments: object) -> torch.Tensor:
            loss: torch.Tensor = super().training_step(model, *arguments)
            found[-1] = {name: part.grad.clone() for name, part in model.named_parameters() if part.grad is not None}
            return loss

    monkeypatch.setattr(fine_tune_module, TRAINERS[kind], Recording)
    for size in (4, 2, 1):
        training = STEP.model_copy(update={"batch_size": size, "gradient_accumulation": 4 // size})
        student, rows = load(kind, training, dtype="float64")
        found.append({})
        fine_tune(student, [rows[0], *(replace(row, rationale=None) for row in rows[1:])] if some else rows, training, seed=1)
    largest = max(float(part.abs().max()) for part in found[0].values())
    assert largest > 1e-2
    # The weights are float64, so only the loss rounds to float32 (unit 6e-8): measured gaps are below 2e-8. In float32
    # throughout, this random T5 with gradients above 100 leaves gaps of 1e-5.
    assert find_gap(found[0], found[1]) < 1e-6 * largest
    assert find_gap(found[0], found[2]) < 1e-6 * largest


@pytest.mark.parametrize("kind", TRAINERS)
def test_weight_zero_learns_answers_alone(load: Load, kind: str) -> None:
    """λ = 0 trains bit for bit the same weights as a student without rationales; another λ trains different ones."""
    several = STEP.model_copy(update={"epochs": 3, "batch_size": 1})
    bare = train(load, kind, several, is_separate=False)
    zero = train(load, kind, several.model_copy(update={"rationale_weight": 0.0}))
    assert find_gap(bare, zero) == 0
    one, half = (train(load, kind, several.model_copy(update={"rationale_weight": weight})) for weight in (1.0, 0.5))
    assert find_gap(bare, one) > 1e-3
    assert find_gap(one, half) > 1e-3


def test_training_lowers_both_losses(load: Load) -> None:
    """A student that learns both objectives improves at each."""
    training = STEP.model_copy(update={"epochs": 8, "lora": LORA, "gradient_accumulation": 1})
    student, rows = load("causal", training)
    parts = [rows, [row.rationale for row in rows if row.rationale]]
    before = [compute_mean_loss(student, part, training) for part in parts]
    trained = fine_tune(student, rows, training, seed=1)
    after = [compute_mean_loss(trained, part, training) for part in parts]
    assert after[0] < 0.8 * before[0]
    assert after[1] < 0.8 * before[1]
