"""GOLD's final student: fresh, robust to noise, and chosen on held-out generated examples, never on the test set."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from limbeck.data.example import Example
from limbeck.hashing import hash_text
from limbeck.methods.context import MethodContext
from limbeck.methods.gold.settings import GoldSettings
from limbeck.run_folder.stage import StageFolder


def train_final(context: MethodContext, settings: GoldSettings, training_set: Sequence[Example]) -> StageFolder:
    """Train the final student, unless it exists and was trained on exactly these examples.

    Each candidate alpha trains a fresh student. The epoch, and then the alpha, with the best held-out accuracy wins; ties go
    to the first. The folder's choice file contains all these accuracies (GOLD §3.3; the released code has no held-out data
    and reports the test set after every epoch).
    """
    folder = context.folder.final
    ids = [example.id for example in training_set]
    if folder.choice.exists() and folder.choice.read()["training_set"] == ids:
        return folder
    folder.clear()
    rows, held_out = split_held_out(training_set, settings.held_out, context.seed)
    accuracies: dict[float, list[float]] = {}
    for alpha in settings.alphas or (context.training.alpha,):
        accuracies[alpha] = context.train(
            folder.candidates / str(alpha),
            rows,
            place=("final",),
            training=context.training.model_copy(update={"alpha": alpha}),
            held_out=held_out,
            patience=settings.patience,
        )
    best = max(accuracies, key=lambda alpha: max(accuracies[alpha], default=0.0))  # ties go to the first
    (folder.candidates / str(best)).rename(folder.student)
    shutil.rmtree(folder.candidates)
    folder.choice.write(
        {
            "alpha": best,
            "held_out": [example.id for example in held_out],
            "held_out_accuracy": {str(alpha): history for alpha, history in accuracies.items()},
            "training_set": ids,
        }
    )
    return folder


def split_held_out(examples: Sequence[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Split into ``(for training, held out)``: ⌊share·n⌋ of each domain are held out, a seeded choice; the order is kept."""
    by_domain: dict[str, list[Example]] = {}
    for example in examples:
        by_domain.setdefault(example.domain, []).append(example)
    away = set()
    for group in by_domain.values():
        drawn = sorted(group, key=lambda example: hash_text(f"held-out/{seed}/{example.id}"))
        away |= {example.id for example in drawn[: int(share * len(group))]}
    return [e for e in examples if e.id not in away], [e for e in examples if e.id in away]
