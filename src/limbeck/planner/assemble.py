"""Assembles a plan from a method's shares and requests. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from limbeck.inputs.data import RunData
from limbeck.inputs.sections import Sections
from limbeck.planner.estimate import Estimator, estimate_seconds, plan_evaluation
from limbeck.run_folder.plan import NOTHING, Plan, PlannedRequests, PlanTotals, Range
from limbeck.run_folder.rows import Rows
from limbeck.selection.quotas import Share
from limbeck.teacher.settings import TeacherSettings


def assemble_plan(
    estimator: Estimator,
    data: RunData,
    method: str,
    stages: Sequence[Mapping[str, Share]],
    rows: Sequence[PlannedRequests] = (),
    *,
    domains: Mapping[str, int] | None = None,
    step: str = "stage",
    missing: int | None = None,
    trained_tokens: float = 0.0,
    generated_tokens: float = 0.0,
    notes: Sequence[str] = (),
    warn: Callable[[PlanTotals], Sequence[str]] = lambda totals: (),
    assumptions: Mapping[str, Any] | None = None,
) -> Plan:
    """Assemble the plan of a run: the method's requests and totals, the teacher's own measurement, and warnings about caps.

    Args:
        estimator: of the run.
        data: of the run.
        method: its name.
        stages: the share of each domain in each stage or round.
        rows: the requests to the teacher.
        domains: size of each domain; None uses those of the data.
        step: what a stage is called.
        missing: examples that can't be obtained; None sums those of the shares.
        trained_tokens, generated_tokens: tokens that students read in training, and that they write or read elsewhere.
        notes: what the plan can't predict.
        warn: returns warnings about what the user may not want.
        assumptions: what the numbers are based on, in addition to the estimator's own.
    """
    config = estimator.config
    rows = [*rows, *plan_evaluation(estimator, data)]
    counts = {
        name: sum(getattr(share, name) for shares in stages for share in shares.values())
        for name in ("quota", "real", "synthesize", "duplicate", "missing")
    }
    requests, tokens, cost = sum_requests(rows, config.teacher)
    totals = PlanTotals(
        counts["quota"] - counts["missing"],
        counts["real"],
        counts["synthesize"],
        counts["duplicate"],
        counts["missing"] if missing is None else missing,
        requests,
        tokens,
        cost,
        sum((row.seconds for row in rows), NOTHING) + estimate_seconds(config, trained_tokens, generated_tokens),
    )
    return Plan(
        method,
        step,
        dict(data.counts) if domains is None else domains,
        stages,
        Rows(rows),
        totals,
        [*data.notes, *notes],
        [*warn(totals), *list_cap_warnings(config, totals), *estimator.learned.warnings],
        {**(assumptions or {}), **estimator.describe()},
    )


def sum_requests(rows: Sequence[PlannedRequests], teacher: TeacherSettings) -> tuple[Range, Range, Range | None]:
    """``(requests, tokens, cost in USD)`` of all rows; the cost is None if the teacher has no prices."""
    requests, tokens, cost = NOTHING, NOTHING, NOTHING
    for row in rows:
        requests, tokens = requests + row.requests, tokens + row.prompt_tokens + row.completion_tokens
        cost += row.cost_usd or NOTHING
    return requests, tokens, cost if teacher.prices is not None else None


def list_cap_warnings(config: Sections, totals: PlanTotals) -> list[str]:
    """Warn about caps below what is likely to be spent."""
    warnings = []
    for name, cap, planned in (
        ("requests", config.budget.max_requests, totals.requests),
        ("tokens", config.budget.max_tokens, totals.tokens),
        ("cost_usd", config.budget.max_cost_usd, totals.cost_usd),
    ):
        if cap is not None and planned is not None and planned.likely > cap:
            warnings.append(
                f"budget.max_{name} = {cap:g} is below the likely {planned.likely:.6g}; raise it, or the run will end early"
            )
    return warnings
