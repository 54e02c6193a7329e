"""`limbeck plan`: what a run will do and cost, before anything is asked or trained. Imports no torch.

Quotas and roles are exact where every candidate is kept. Requests, tokens and money come as low, likely and high, by stage,
domain and purpose: low keeps every reply, high uses up all attempts and the longest replies; what an earlier ledger or a
probe taught narrows them (`limbeck.planner.history`). Seconds are rough: they rest on speeds measured once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from limbeck.config.config import Config
from limbeck.inputs.data import RunData
from limbeck.methods.baldistill.requests import KEPT, foresee_shares, open_pool, plan_requests
from limbeck.methods.gold.plan import make_generation_plan
from limbeck.methods.settings import BalDistillSettings, GoldSettings
from limbeck.planner.estimate import (
    NOTHING,
    REPLY_SHARE,
    Estimator,
    count_measured,
    estimate_seconds,
    find_cap_warnings,
    measure_question,
    sum_requests,
)
from limbeck.planner.history import UNLEARNED, Learned, Range
from limbeck.planner.tokens import TokenCounter, load_counter
from limbeck.selection.quotas import Share
from limbeck.teacher.request import About

BARE_ANSWER = 4  # tokens
UNKNOWN_ERRORS = (
    "method.quota: error: a student's errors are not known before it is trained, so from the second stage on quotas are shown "
    "as if all domains were equally hard"
)

UNKNOWN_DROPS = (
    "method.above_one or method.truncated: drop: how many candidates are dropped is not known before they are scored; what a "
    "domain lacks then is had as method.tail says, and is not in this plan"
)


def make_plan(config: Config, data: RunData, learned: Learned = UNLEARNED, count: TokenCounter | None = None) -> dict[str, Any]:
    """The plan of whichever method the config names, in the form of ``plan --json`` (DESIGN §3).

    Args:
        config: what is planned.
        data: of the run.
        learned: what an earlier ledger taught.
        count: counts tokens; that of the config's teacher where none is given.

    Returns:
        ``stages``, ``requests`` (by stage, domain and purpose) and ``totals``, which are sums of the former two; with
        ``warnings`` and ``assumptions``. Costs are nulls where no prices are given.

    Raises:
        ConfigError: ``teacher.tokenizer`` can't be read.
    """
    estimator = Estimator(config, count or load_counter(config.teacher), learned)
    if isinstance(config.method, GoldSettings):
        return make_generation_plan(estimator, config.method, data)
    return make_pool_plan(estimator, config.method, data)


def make_pool_plan(estimator: Estimator, method: BalDistillSettings, data: RunData) -> dict[str, Any]:
    """BalDistill's plan: every stage's share of every domain, and what it costs."""
    config, pool = estimator.config, open_pool(data)
    stages = foresee_shares(config, method, pool)
    rows = plan_requests(estimator, method, data, pool, stages)
    waiting = sum((row.seconds for row in rows), NOTHING)
    totals: dict[str, Any] = {
        "examples": sum(share.quota - share.missing for shares in stages for share in shares.values()),
        **{
            name: sum(getattr(share, name) for shares in stages for share in shares.values())
            for name in ("real", "synthesize", "duplicate", "missing")
        },
        **sum_requests(rows, config),
        "seconds": asdict(waiting + foresee_student_seconds(config, method, data, stages)),
    }
    guess = "rationales of the data" if any(example.rationale for example in data.train) else "a share of max_tokens"
    return {
        "method": method.name,
        "domains": {domain: pool.counts[domain] for domain in pool.domains},
        "stages": [
            {"stage": index, "domains": {name: asdict(share) for name, share in shares.items()}}
            for index, shares in enumerate(stages)
        ],
        "requests": [row.to_json() for row in rows],
        "totals": totals,
        "notes": [
            *data.notes,
            *([UNKNOWN_ERRORS] if method.quota == "error" and method.stages > 1 else []),
            *([UNKNOWN_DROPS] if "drop" in method.guards.values() and method.stages > 1 else []),
        ],
        "warnings": [
            *find_warnings(config, method, data, stages, totals),
            *find_cap_warnings(config, totals),
            *estimator.learned.warnings,
        ],
        "assumptions": {"kept": dict(KEPT), "reply_tokens": guess, **estimator.describe()},
    }


def foresee_student_seconds(
    config: Config, method: BalDistillSettings, data: RunData, stages: Sequence[Mapping[str, Share]]
) -> Range:
    """Seconds of training, scoring and measuring: tokens over speed, a third to three times of it; very rough."""
    prompt = measure_question(config, data)
    longest = config.evaluation.max_new_tokens
    rationale = min(REPLY_SHARE[1] * config.teacher.max_tokens, longest)
    written = rationale if method.has_rationale else BARE_ANSWER
    learnt = prompt + written + (prompt + rationale if method.is_separate and config.training.rationale_weight else 0)
    sizes = [sum(share.quota - share.missing for share in shares.values()) for shares in stages]
    seen = sum(sum(sizes[: stage + 1]) for stage in range(len(sizes))) * config.training.epochs
    rows = count_measured(config, data.test) * (2 if stages else 1) + count_measured(config, data.dev) * len(stages)
    # Reading a prompt costs about a fifth of writing as many tokens, since it is done in one step.
    generate = rows * (prompt / 5 + min(config.evaluation.max_new_tokens, 1.5 * written + 8))
    if method.selection != "random":
        limit = method.max_candidates_per_domain
        for shares in stages[1:]:
            heads = [data.counts.get(name, len(data.train)) for name, share in shares.items() if share.role == "head"]
            candidates = sum(min(size, limit or size) for size in heads)
            scored = method.score_max_new_tokens if method.selection == "ifd" else 0
            generate += candidates * (prompt / 5 + scored)
    return estimate_seconds(config, seen * learnt, generate)


def find_warnings(
    config: Config, method: BalDistillSettings, data: RunData, stages: Sequence[Mapping[str, Share]], totals: Mapping[str, Any]
) -> list[str]:
    """What the user may not want: stages that can't reach all domains, a teacher that runs dry."""
    warnings = []
    smallest = min((sum(share.quota for share in shares.values()) for shares in stages), default=0)
    if stages and method.quota != "none" and smallest < len(data.counts):
        empty = sum(share.quota == 0 for shares in stages for share in shares.values())
        warnings.append(
            f"a stage has {smallest} examples for {len(data.counts)} domains, so {empty} of {len(stages) * len(data.counts)} "
            "quotas are 0; fewer stages or a larger budget would reach every domain in every stage"
        )
    if method.pooling == "premixed" and totals["synthesize"]:
        warnings.append(
            f"pooling: premixed synthesizes all {totals['synthesize']} before stage 0, and they compete with the real "
            "examples; the split by stage shown here is that of pooling: shortfall"
        )
    if totals["missing"]:
        warnings.append(f"{totals['missing']} examples can't be had: the pool runs short and method.tail is {method.tail}")
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


def compare_with_plan(totals: Mapping[str, Any], requests: int, tokens: int, cost_usd: float) -> str:
    """One line that sets what the teacher was really asked beside what was planned."""
    parts = []
    for name, unit, real in (("requests", "requests", requests), ("tokens", "tokens", tokens), ("cost_usd", "USD", cost_usd)):
        planned, digits = totals[name], 2 if name == "cost_usd" else 0
        if planned["likely"] is not None:
            low, likely, high = (f"{planned[key]:,.{digits}f}" for key in ("low", "likely", "high"))
            parts.append(f"{real:,.{digits}f} {unit} (planned {low} to {high}, likely {likely})")
    return "teacher: " + ", ".join(parts)
