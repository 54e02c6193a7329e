"""Ends a run: writes the final student, training set, metrics and model card."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.errors import BudgetExhausted
from limbeck.evaluation.metrics import Prediction
from limbeck.evaluation.statistics import describe_run_gain
from limbeck.inputs.data import RunData
from limbeck.methods.context import Distillation, MethodContext
from limbeck.progress import Progress
from limbeck.reports.card import write_card
from limbeck.run_folder.metrics import Metrics
from limbeck.run_folder.status import read_diversity
from limbeck.runner.measure import join_metrics, measure_student_once
from limbeck.selection.quotas import GLOBAL


@dataclass(frozen=True)
class RunResult:
    """The result of a run.

    Attributes:
        folder: the run folder; `limbeck.read_run` reads everything in it.
        metrics: of the final student on the test rows, or None without test rows.
        student: the folder of the final student, or None if none was trained (``stages: 0``).
        ended_by: the cap that ended the run early, or None.
        diversity: how varied the synthesized examples are, or None if there are none.
    """

    folder: Path
    metrics: Metrics | None
    student: Path | None
    ended_by: BudgetExhausted | None
    diversity: Mapping[str, Any] | None = None


def finish(
    context: MethodContext,
    data: RunData,
    baseline: Sequence[Prediction] | None,
    distillation: Distillation,
    progress: Progress,
) -> RunResult:
    """Write the final student, training set, metrics and model card."""
    folder, last = context.folder, distillation.last_stage
    if last is not None and not folder.is_student_final(distillation.training_set):
        context.on_progress("writing the final student", 0, 0)
        context.engine.save(last.student, folder.student)
    # Written after the student: the rows tell which training set the final student was trained on.
    folder.training_rows.write([row for example in distillation.training_set for row in context.engine.to_rows(example)])
    final = baseline if last is None else measure_student_once(context, last, data.test)
    metrics = None
    if baseline is not None and final is not None:
        metrics = join_metrics(context, baseline, final)
        folder.metrics.write(metrics)
        if last is not None and (text := describe_run_gain(metrics["gain"], len(final))):
            progress.note(text)
    for domain, count in distillation.missing.items():
        progress.note(f"{domain}: {count} planned example(s) could not be obtained")
    diversity = read_diversity(folder)
    if diversity is not None:
        progress.note(diversity["text"])
    exhausted = context.teacher.budget.exhausted if distillation.is_cut_short else None
    ended_by = exhausted and exhausted.explain(describe_bought(context, distillation))
    folder.write_card(write_card(folder))
    folder.update_state(
        status="budget" if ended_by else "done",
        stage=None,
        step=None,
        teacher=None,
        finished_at=time.time(),
        examples=len(distillation.training_set),
        missing=distillation.missing,
    )
    student = None if last is None else folder.student
    return RunResult(
        folder.path, None if metrics is None else Metrics(metrics), student, ended_by, diversity and diversity["summary"]
    )


def describe_bought(context: MethodContext, distillation: Distillation) -> str:
    """Describe what the spend bought, and what each domain still lacks of its planned examples."""
    kept, spent = distillation.training_set, context.teacher.budget.spent
    money = f" and {spent.cost_usd:.4f} USD" if spent.cost_usd else ""
    wanted: Counter[str] = Counter()
    for shares in context.folder.plan.read().stages:
        wanted.update({domain: share.quota for domain, share in shares.items()})
    by_domain = Counter(example.domain for example in kept) if GLOBAL not in wanted else Counter({GLOBAL: len(kept)})
    missing = sorted((wanted - by_domain).items(), key=lambda entry: (-entry[1], entry[0]))
    named = ", ".join(f"{domain} {count}" for domain, count in missing[:8])
    more = f" and {len(missing) - 8} more domains" if len(missing) > 8 else ""
    return (
        f"{spent.requests:,} requests, {spent.tokens:,} tokens{money} bought {len(kept)} of {context.max_examples} examples "
        f"(the student is trained on these); missing by domain: {named or 'none'}{more}."
    )
