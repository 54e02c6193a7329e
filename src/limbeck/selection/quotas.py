"""Per-stage quotas (BalDistill §2.2 of the notes; the paper's N and A policies).

Notation of the paper: N examples in l domains, n_d of them in domain d; budget B; K stages, stage i from 0. The paper
truncates its quotas and loses a few examples of the budget per stage; here stage i gets ⌊B(i+1)/K⌋ − ⌊Bi/K⌋ examples and
the largest remainders decide, ties by domain name, so all quotas of all stages sum to B exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from limbeck.tables import Table

GLOBAL = "*"
"""The one key of a quota that is not split by domain (``quota: none``)."""

ERROR_FLOOR = Fraction(1, 4)
"""Of an equal share, what ``quota: error`` leaves every domain however good its student is."""

Shares = Mapping[str, Fraction]

ErrorCounts = Mapping[str, tuple[int, int]]
"""``(wrong, measured)`` rows of each domain under the last student; domains may be missing."""

NO_ERRORS: ErrorCounts = {}


def compute_stage_size(budget: int, stages: int, stage: int) -> int:
    """How many examples stage `stage` (from 0) gets: ⌊B(i+1)/K⌋ − ⌊Bi/K⌋."""
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

    The base of i is not visible in the paper; its released code counts from 0, which is ``offset`` o = 0. With o = 1 the
    last stage is fully uniform.
    """
    weight = Fraction(min(stage + offset, stages), stages)
    uniform = compute_uniform_shares(counts)
    return {d: share * (1 - weight) + uniform[d] * weight for d, share in compute_natural_shares(counts).items()}


def smooth_errors(counts: Mapping[str, int], errors: ErrorCounts) -> dict[str, Fraction]:
    """The error of each domain, 0 to 1, higher = harder: (w_d + p) / (m_d + 1) with p the error over all measured rows.

    One row of the overall error is added to the w_d wrong of m_d measured rows, so that a domain of few rows is drawn towards
    the others, and one that was not measured has just p. Where nothing was measured all are 1.
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
    """natural·(K−i−o)/K + error·(i+o)/K (``quota: error``; ours): as the adaptive policy, towards errors instead of uniform.

    error_d = f/l + (1 − f)·ẽ_d / Σẽ with ẽ of `smooth_errors` and the floor f = `ERROR_FLOOR`; 1/l for all where there is no
    error at all. Stage 0 has no student and is natural, whatever the offset. Without errors (a plan) all are taken as equal,
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
    """Whole numbers that sum to `total`: the largest remainders are rounded up, ties by domain name."""
    exact = {domain: share * total for domain, share in shares.items()}
    quotas = {domain: int(value) for domain, value in exact.items()}
    by_remainder = sorted(exact, key=lambda domain: (quotas[domain] - exact[domain], domain))
    for domain in by_remainder[: total - sum(quotas.values())]:
        quotas[domain] += 1
    return quotas


class QuotaPolicy(Protocol):
    """The function of a quota."""

    def __call__(
        self, counts: Mapping[str, int], stages: int, stage: int, offset: int, errors: ErrorCounts = NO_ERRORS
    ) -> Shares:
        """The share of each domain in stage i of K, summing to 1, from n_d, the adaptive offset o and the last errors."""
        ...


@dataclass(frozen=True)
class QuotaType:
    """A policy by which a stage's examples are shared out.

    Attributes:
        compute_shares: the share of each domain.
        is_balanced: whether every domain gets a share in every stage, so that the budget must reach for all of them.
        needs_errors: whether it follows the last student's errors.
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
"""What ``method.quota`` may name."""


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
    """The quota of each domain in one stage, or of `GLOBAL` alone for ``none``; sums to `compute_stage_size`."""
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
    """How many examples of each domain must be synthesized over all stages: what its quotas exceed its candidates by.

    `left` says how many of the n_d in `counts` can be chosen at all; None: all of them.
    """
    need = dict.fromkeys(counts, 0)
    for shares in foresee_stages(policy, counts, left or counts, budget=budget, stages=stages, offset=offset):
        for domain, share in shares.items():
            if share.synthesize:
                need[domain] += share.synthesize
    return need


@dataclass(frozen=True)
class Share:
    """What one domain is to give in one stage: `real` + `synthesize` + `duplicate` + `missing` = `quota`.

    `role` is ``tail`` where the quota exceeds what the domain has left, else ``head``.
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
    """The shares of all stages where every candidate that is taken is kept; largest domain first, ties by name.

    Under ``error`` all domains are taken to be equally hard, since no student has been measured yet.

    Args:
        policy: a key of `QUOTAS`.
        counts: n_d of the original pool.
        left: how many of them can be chosen.
        budget, stages, offset: as in `compute_quotas`.
        tail: what completes a domain: ``synthesize``, ``duplicate`` or ``none``.
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
                # There is nothing to repeat of a domain that gave nothing.
                duplicate=lack if tail == "duplicate" and left[domain] else 0,
                missing=0 if tail == "synthesize" or (tail == "duplicate" and left[domain]) else lack,
            )
        foreseen.append(shares)
    return foreseen


def compute_tail_domains(counts: Mapping[str, int], budget: int, held_out: Iterable[str] = ()) -> frozenset[str]:
    """The tail of the metrics: domains with n_d < B / l in the original pool, the same for every arm.

    Args:
        counts: n_d of the l domains of the pool.
        budget: B.
        held_out: domains of held-out rows; of one that the pool lacks n_d is 0.
    """
    rare = {domain for domain, count in counts.items() if count * len(counts) < budget}
    return frozenset(rare | (set(held_out) - set(counts)))
