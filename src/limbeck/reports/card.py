"""The model card of a run: what the student is, what it was trained on, and how good it is where."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from limbeck.config.config import Config
from limbeck.data.task import Task
from limbeck.methods.context import Distillation


def escape(text: str) -> str:
    """Text of a user or a teacher in Markdown: on one line, and nothing in it a mark, a cell's end or a tag."""
    return re.sub(r"([\\`*\[\]<>|])", r"\\\1", " ".join(text.split()))


def write_card(config: Config, task: Task, distillation: Distillation, metrics: Mapping[str, Any] | None) -> str:
    """The card as Markdown."""
    kinds = {"real": 0, "synthesized": 0, "duplicates": 0}
    for example in distillation.training_set:
        kinds["duplicates" if example.provenance.copy else example.provenance.kind] += 1
    lines = [
        f"# {escape(config.name)}",
        "",
        f"A student distilled with limbeck from `{config.teacher.model}` ({config.teacher.backend}"
        + (", a simulated teacher)" if config.teacher.backend == "tutor" else ")")
        + f" into `{config.student.model}`.",
        "",
        f"- Task: {escape(task.instruction)}",
        f"- Method: {config.method.describe()}, seed {config.seed}",
        f"- Training set: {len(distillation.training_set)} examples ({', '.join(f'{n} {k}' for k, n in kinds.items())})",
    ]
    if metrics is not None:
        lines += ["", "| domain | n | before | after |", "|---|---|---|---|"]
        for domain, entry in metrics["domains"].items():
            before = metrics["baseline"]["domains"][domain]["accuracy"]
            lines.append(f"| {escape(domain)} | {entry['count']} | {before:.3f} | {entry['accuracy']:.3f} |")
        before = metrics["baseline"]["accuracy_macro"]
        lines.append(f"| **macro** | {metrics['examples']} | {before:.3f} | {metrics['accuracy_macro']:.3f} |")
    return "\n".join([*lines, ""])
