"""Per-stage quotas (BalDistill §3, arXiv 2406.13114; the paper's N and A policies).

Notation of the paper: N examples in l domains, n_d of them in domain d; budget B; K stages, stage i from 0. The paper
truncates its quotas, which loses a few examples of the budget per stage. Here stage i gets ⌊B(i+1)/K⌋ − ⌊Bi/K⌋ examples,
and quotas are rounded by largest remainder, ties by domain name, so the quotas of all stages sum to exactly B.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from limbeck.tables import Table

GLOBAL = "*"
"""The only key of a quota that is not split by domain (``quota: none``)."""

ERROR_FLOOR = Fraction(1, 4)
"""The part of an equal share that ``quota: error`` gives every domain, however low its error is."""

Shares = Mapping[str, Fraction]

ErrorCounts = Mapping[str, tuple[int, int]]
"""``(wrong, measured)`` rows of the last student in each domain; domains may be missing."""

NO_ERRORS: ErrorCounts = {}


def compute_stage_size(budget: int, stages: int, stage: int) -> int:
    """The number of examples for stage `stage` (from 0): ⌊B(i+1)/K⌋ − ⌊Bi/K⌋."""
    return budget * (stage + 1) // stages - budget * stage // stages


def compute_natural_shares(counts: Mapping[str, int]) -> dict[str, Fraction]:
    """n_d / N of each domain; exact, sums to 1."""
    total = sum(counts.values())
    return {domain: Fraction(count, total) for domain, count in counts.items()}


def compute_uniform_shares(counts: Mapping[str, int]) -> dict[str, Fraction]:
    """1 / l for each domain (the naive policy, BalDistill-N)."""
    return {domain: Fraction(1, len(counts)) for domain in counts}


def compute_adaptive_shares(counts: Mapping[str, int], stages: int, stage: int, offset: int) -> dict[str, Fraction]:
    """natural·(K−i−o)/K + uniform·(i+o)/K (the adaptive policy, BalDistill-A).

    The paper does not say where i starts. Its released code counts from 0, which is ``offset`` o = 0. With o = 1 the last
    stage is fully uniform.
    """
    weight = Fraction(min(stage + offset, stages), stages)
    uniform = compute_uniform_shares(counts)
    return {d: share * (1 - weight) + uniform[d] * weight for d, share in compute_natural_shares(counts).items()}


def smooth_errors(counts: Mapping[str, int], errors: ErrorCounts) -> dict[str, Fraction]:
    """The error of each domain, 0 to 1, higher = harder: (w_d + p) / (m_d + 1), where p is the error over all measured rows.

    Each domain has w_d wrong of m_d measured rows; one row with the overall error p is added. This pulls domains with few rows
    towards the others, and an unmeasured domain gets p. If nothing was measured, all errors are 1.
    """
    measured = sum(errors[domain][1] for domain in counts if domain in errors)
    if not measured:
        return dict.fromkeys(counts, Fraction(1))
    prior = Fraction(sum(errors[domain][0] for domain in counts if domain in errors), measured)
    found = {domain: errors.get(domain, (0, 0)) for domain in counts}
    return {domain: (wrong + prior) / (rows + 1) for domain, (wrong, rows) in found.items()}


def compute_error_shares(
    counts: Mapping[str, int], stages: int, stage: int, offset: int, errors: ErrorCounts = NO_ERRORS
) -> dict[str, Fraction]:
    """natural·(K−i−o)/K + error·(i+o)/K (``quota: error``; ours): like the adaptive policy, but towards errors, not uniform.

    error_d = f/l + (1 − f)·ẽ_d / Σẽ, with ẽ from `smooth_errors` and the floor f = `ERROR_FLOOR`; if all errors are 0, it is
    1/l. Stage 0 has no student and is natural, whatever the offset. If no errors are known (in a plan), all are assumed equal,
    which is the adaptive policy from stage 1 on.
    """
    natural = compute_natural_shares(counts)
    if stage == 0:
        return natural
    weight = Fraction(min(stage + offset, stages), stages)
    smoothed = smooth_errors(counts, errors)
    total = sum(smoothed.values(), Fraction(0))
    shares = {d: e / total for d, e in smoothed.items()} if total else compute_uniform_shares(counts)
    floor = ERROR_FLOOR / len(counts)
    return {d: natural[d] * (1 - weight) + (floor + (1 - ERROR_FLOOR) * shares[d]) * weight for d in counts}


def round_shares(shares: Shares, total: int) -> dict[str, int]:
    """Round to integers that sum to `total`: the largest remainders are rounded up, ties by domain name."""
    exact = {domain: share * total for domain, share in shares.items()}
    quotas = {domain: int(value) for domain, value in exact.items()}
    by_remainder = sorted(exact, key=lambda domain: (quotas[domain] - exact[domain], domain))
    for domain in by_remainder[: total - sum(quotas.values())]:
        quotas[domain] += 1
    return quotas


class QuotaPolicy(Protocol):
    """Computes the shares of a quota."""

    def __call__(
        self, counts: Mapping[str, int], stages: int, stage: int, offset: int, errors: ErrorCounts = NO_ERRORS
    ) -> Shares:
        """The share of each domain in stage i of K, from n_d, the adaptive offset o and the last errors; shares sum to 1."""
        ...


@dataclass(frozen=True)
class QuotaType:
    """A policy for splitting a stage's examples among the domains.

    Attributes:
        compute_shares: computes the share of each domain.
        is_balanced: whether every domain gets a share in every stage, so the budget must be large enough for all of them.
        needs_errors: whether it uses the last student's errors.
    """

    compute_shares: QuotaPolicy
    is_balanced: bool = False
    needs_errors: bool = False


QUOTAS: Table[QuotaType] = Table(
    "quotas",
    "quota",
    {
        "none": QuotaType(lambda counts, stages, stage, offset, errors=NO_ERRORS: {GLOBAL: Fraction(1)}),
        "natural": QuotaType(lambda counts, stages, stage, offset, errors=NO_ERRORS: compute_natural_shares(counts)),
        "uniform": QuotaType(
            lambda counts, stages, stage, offset, errors=NO_ERRORS: compute_uniform_shares(counts), is_balanced=True
        ),
        "adaptive": QuotaType(
            lambda counts, stages, stage, offset, errors=NO_ERRORS: compute_adaptive_shares(counts, stages, stage, offset),
            is_balanced=True,
        ),
        "error": QuotaType(compute_error_shares, needs_errors=True),
    },
)
"""The values of ``method.quota``."""


def compute_quotas(
    policy: str,
    counts: Mapping[str, int],
    *,
    budget: int,
    stages: int,
    stage: int,
    offset: int = 0,
    errors: ErrorCounts = NO_ERRORS,
) -> dict[str, int]:
    """The quota of each domain in one stage (only `GLOBAL` for ``none``); the quotas sum to `compute_stage_size`."""
    shares = QUOTAS[policy].compute_shares(counts, stages, stage, offset, errors)
    return round_shares(shares, compute_stage_size(budget, stages, stage))


def compute_synthetic_need(
    policy: str,
    counts: Mapping[str, int],
    *,
    budget: int,
    stages: int,
    offset: int = 0,
    left: Mapping[str, int] | None = None,
) -> dict[str, int]:
    """How many examples of each domain must be synthesized over all stages, because its quotas exceed its candidates.

    `left` is how many of the n_d examples in `counts` can be chosen; None means all of them.
    """
    need = dict.fromkeys(counts, 0)
    for shares in foresee_stages(policy, counts, left or counts, budget=budget, stages=stages, offset=offset):
        for domain, share in shares.items():
            if share.synthesize:
                need[domain] += share.synthesize
    return need


@dataclass(frozen=True)
class Share:
    """The plan for one domain in one stage: `real` + `synthesize` + `duplicate` + `missing` = `quota`.

    `role` is ``tail`` if the quota exceeds the domain's remaining candidates, else ``head``.
    """

    role: str
    quota: int
    real: int
    synthesize: int = 0
    duplicate: int = 0
    missing: int = 0


def foresee_stages(
    policy: str,
    counts: Mapping[str, int],
    left: Mapping[str, int],
    *,
    budget: int,
    stages: int,
    offset: int = 0,
    tail: str = "synthesize",
) -> list[dict[str, Share]]:
    """Foresee the shares of all stages if no candidate is rejected; largest domain first, ties by name.

    For ``error`` all domains are assumed equally hard, because no student has been measured yet.

    Args:
        policy: a key of `QUOTAS`.
        counts: n_d of the original pool.
        left: how many of them can be chosen.
        budget, stages, offset: see `compute_quotas`.
        tail: how to fill a quota when the candidates run out: ``synthesize``, ``duplicate`` or ``none``.
    """
    if policy == "none":
        counts, left, tail = {GLOBAL: sum(counts.values())}, {GLOBAL: sum(left.values())}, "none"
    rest = dict(left)
    foreseen: list[dict[str, Share]] = []
    for stage in range(stages):
        quotas = compute_quotas(policy, counts, budget=budget, stages=stages, stage=stage, offset=offset)
        shares = {}
        for domain in sorted(counts, key=lambda name: (-counts[name], name)):
            quota = quotas[domain]
            real = min(quota, rest[domain])
            lack = quota - real
            rest[domain] -= real
            shares[domain] = Share(
                role="tail" if lack else "head",
                quota=quota,
                real=real,
                synthesize=lack if tail == "synthesize" else 0,
                # A domain without candidates has nothing to repeat.
                duplicate=lack if tail == "duplicate" and left[domain] else 0,
                missing=0 if tail == "synthesize" or (tail == "duplicate" and left[domain]) else lack,
            )
        foreseen.append(shares)
    return foreseen


def compute_tail_domains(counts: Mapping[str, int], budget: int, held_out: Iterable[str] = ()) -> frozenset[str]:
    """The tail domains of the metrics: those with n_d < B / l in the original pool, the same for every arm.

    Args:
        counts: n_d of the l domains of the pool.
        budget: B.
        held_out: domains of held-out rows; those missing from the pool have n_d = 0.
    """
    rare = {domain for domain, count in counts.items() if count * len(counts) < budget}
    return frozenset(rare | (set(held_out) - set(counts)))
