"""BalDistill's plan: each domain's share of each stage, and what it costs. Imports no torch.

Quotas and roles are exact if every candidate is kept. Requests, tokens and money are ranges: low assumes that every reply is
kept, high that all attempts and the longest replies are used. Seconds are rough, based on speeds that were measured once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from limbeck.inputs.data import RunData
from limbeck.inputs.sections import Sections
from limbeck.methods.baldistill.requests import foresee_shares, open_pool, plan_requests
from limbeck.methods.baldistill.settings import BalDistillSettings
from limbeck.planner.assemble import assemble_plan
from limbeck.planner.estimate import (
    KEPT,
    REPLY_SHARE,
    Estimator,
    count_measured,
    measure_question,
)
from limbeck.run_folder.plan import Plan, PlanTotals
from limbeck.selection.quotas import QUOTAS, Share
from limbeck.student.tables import SCORES
from limbeck.teacher.request import About

BARE_ANSWER = 4  # tokens
UNKNOWN_ERRORS = (
    "method.quota: error: a student's errors are not known before it is trained; from the second stage on, the plan shows the "
    "quotas for equally hard domains"
)
UNKNOWN_DROPS = (
    "method.above_one or method.truncated: drop: the number of dropped candidates is not known before scoring; method.tail "
    "completes domains that then have too few, which this plan does not include"
)


def make_plan(estimator: Estimator, data: RunData, method: BalDistillSettings) -> Plan:
    """Make the plan of a run."""
    config, pool = estimator.config, open_pool(data)
    stages = foresee_shares(config, method, pool)
    guess = "rationales of the data" if any(example.rationale for example in data.train) else "a share of max_tokens"
    trained, generated = count_student_tokens(config, method, data, stages)
    return assemble_plan(
        estimator,
        data,
        method.name,
        stages,
        plan_requests(estimator, method, data, pool, stages),
        domains={domain: pool.counts[domain] for domain in pool.domains},
        trained_tokens=trained,
        generated_tokens=generated,
        notes=list_unknowns(method),
        warn=lambda totals: list_warnings(config, method, data, stages, totals),
        assumptions={"kept": dict(KEPT), "reply_tokens": guess},
    )


def list_unknowns(method: BalDistillSettings) -> list[str]:
    """Notes on what the plan can't predict."""
    if method.stages < 2:
        return []
    notes = [UNKNOWN_ERRORS] if QUOTAS[method.quota].needs_errors else []
    return [*notes, *([UNKNOWN_DROPS] if "drop" in method.guards.values() else [])]


def count_student_tokens(
    config: Sections, method: BalDistillSettings, data: RunData, stages: Sequence[Mapping[str, Share]]
) -> tuple[float, float]:
    """``(trained, generated)`` tokens: of training; and of scoring and measuring."""
    prompt = measure_question(config, data)
    longest = config.evaluation.max_new_tokens
    rationale = min(REPLY_SHARE[1] * config.teacher.max_tokens, longest)
    written = rationale if method.has_rationale else BARE_ANSWER
    learnt = prompt + written + (prompt + rationale if method.is_separate and config.training.rationale_weight else 0)
    sizes = [sum(share.quota - share.missing for share in shares.values()) for shares in stages]
    seen = sum(sum(sizes[: stage + 1]) for stage in range(len(sizes))) * config.training.epochs
    rows = count_measured(config, data.test) * (2 if stages else 1) + count_measured(config, data.dev) * len(stages)
    # Reading a prompt costs about a fifth of writing as many tokens, since it takes one step.
    generate = rows * (prompt / 5 + min(config.evaluation.max_new_tokens, 1.5 * written + 8))
    if method.selection != "random":
        limit = method.max_candidates_per_domain
        for shares in stages[1:]:
            heads = [data.counts.get(name, len(data.train)) for name, share in shares.items() if share.role == "head"]
            candidates = sum(min(size, limit or size) for size in heads)
            scored = method.score_max_new_tokens if SCORES[method.selection].is_ratio else 0
            generate += candidates * (prompt / 5 + scored)
    return seen * learnt, generate


def list_warnings(
    config: Sections, method: BalDistillSettings, data: RunData, stages: Sequence[Mapping[str, Share]], totals: PlanTotals
) -> list[str]:
    """Warnings, such as stages that can't reach all domains or a teacher that runs out of examples."""
    warnings = []
    smallest = min((sum(share.quota for share in shares.values()) for shares in stages), default=0)
    if stages and method.quota != "none" and smallest < len(data.counts):
        empty = sum(share.quota == 0 for shares in stages for share in shares.values())
        warnings.append(
            f"a stage has {smallest} examples for {len(data.counts)} domains, so {empty} of {len(stages) * len(data.counts)} "
            "quotas are 0; use fewer stages or a larger budget to reach every domain in every stage"
        )
    if method.pooling == "premixed" and totals.synthesize:
        warnings.append(
            f"pooling: premixed synthesizes all {totals.synthesize} examples before stage 0, and they compete with the real "
            "ones; the split by stage shown here is that of pooling: shortfall"
        )
    if totals.missing:
        warnings.append(f"{totals.missing} examples will be missing: the pool is too small and method.tail is {method.tail}")
    needs: dict[str, int] = {}
    for shares in stages:
        for domain, share in shares.items():
            needs[domain] = needs.get(domain, 0) + share.synthesize
    dry = [
        domain
        for domain, need in needs.items()
        if need and not data.backend.can_answer(About("synthesize", 0, domain, (), need - 1))
    ]
    if dry:
        warnings.append(
            f"the {config.teacher.backend} teacher can't synthesize all that {len(dry)} domain(s) lack: {', '.join(dry[:8])}"
        )
    return warnings
