"""The final student of GOLD: fresh, noise-robust, judged by held-out generated examples and never by the test set."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from limbeck.data.example import Example
from limbeck.hashing import hash_text
from limbeck.methods.context import Job
from limbeck.methods.settings import GoldSettings
from limbeck.run_folder.folder import StageFolder
from limbeck.student.model import Student, save_student
from limbeck.system.files import read_json, write_json


def train_final(job: Job, settings: GoldSettings, training_set: Sequence[Example]) -> StageFolder:
    """Train the final student in ``final/``; nothing where it is there and was trained on just these examples.

    For every candidate of alpha a fresh student is trained; the epoch, and then the alpha, with the best held-out accuracy is
    taken, of equals the first. `choice.json` holds all those accuracies (GOLD §2.4 of the notes; the released code has no
    held-out data and reports the test set after every epoch).
    """
    folder = StageFolder(job.folder.path / "final")
    ids = [example.id for example in training_set]
    if (folder.path / "choice.json").exists() and read_json(folder.path / "choice.json")["training_set"] == ids:
        return folder
    shutil.rmtree(folder.path, ignore_errors=True)
    rows, held_out = split_held_out(training_set, settings.held_out, job.seed)
    best: tuple[float, Student] | None = None
    accuracies: dict[str, list[float]] = {}
    alphas = settings.alphas or (job.training.alpha,)
    for alpha in alphas:
        history = accuracies.setdefault(str(alpha), [])

        def judge(student: Student, history: list[float] = history) -> float:
            predictions = job.measure(student, held_out, f"judging by {len(held_out)} held-out examples")
            history.append(sum(one.is_correct for one in predictions) / len(predictions))
            return history[-1]

        student = job.fit(
            rows,
            place=("final",),
            training=job.training.model_copy(update={"alpha": alpha}),
            judge=judge if held_out else None,
            patience=settings.patience,
        )
        value = max(history, default=0.0)
        if best is None or value > best[0]:
            best = value, student
            chosen = alpha
    assert best is not None  # noqa: S101 (there is at least one alpha)
    save_student(best[1], folder.student, job.task, has_rationale=job.encoder.has_rationale)
    write_json(
        folder.path / "choice.json",
        {
            "alpha": chosen,
            "held_out": [example.id for example in held_out],
            "held_out_accuracy": accuracies,
            "training_set": ids,
        },
    )
    return folder


def split_held_out(examples: Sequence[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """``(for training, held out)``: of every domain ⌊share·n⌋ examples are held out, a seeded choice; the order is kept."""
    by_domain: dict[str, list[Example]] = {}
    for example in examples:
        by_domain.setdefault(example.domain, []).append(example)
    away = set()
    for group in by_domain.values():
        drawn = sorted(group, key=lambda example: hash_text(f"held-out/{seed}/{example.id}"))
        away |= {example.id for example in drawn[: int(share * len(group))]}
    return [e for e in examples if e.id not in away], [e for e in examples if e.id in away]
