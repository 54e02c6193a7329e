"""Per-stage quotas (BalDistill §2.2 of the notes; the paper's N and A policies).

Notation of the paper: N examples in l domains, n_d of them in domain d; budget B; K stages, stage i from 0. The paper
truncates its quotas and loses a few examples of the budget per stage; here stage i gets ⌊B(i+1)/K⌋ − ⌊Bi/K⌋ examples and
the largest remainders decide, ties by domain name, so all quotas of all stages sum to B exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

GLOBAL = "*"
"""The one key of a quota that is not split by domain (``quota: none``)."""

Shares = Mapping[str, Fraction]


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


def round_shares(shares: Shares, total: int) -> dict[str, int]:
    """Whole numbers that sum to `total`: the largest remainders are rounded up, ties by domain name."""
    exact = {domain: share * total for domain, share in shares.items()}
    quotas = {domain: int(value) for domain, value in exact.items()}
    by_remainder = sorted(exact, key=lambda domain: (quotas[domain] - exact[domain], domain))
    for domain in by_remainder[: total - sum(quotas.values())]:
        quotas[domain] += 1
    return quotas


QuotaPolicy = Callable[[Mapping[str, int], int, int, int], Shares]

QUOTAS: Mapping[str, QuotaPolicy] = {
    "none": lambda counts, stages, stage, offset: {GLOBAL: Fraction(1)},
    "natural": lambda counts, stages, stage, offset: compute_natural_shares(counts),
    "uniform": lambda counts, stages, stage, offset: compute_uniform_shares(counts),
    "adaptive": compute_adaptive_shares,
}
"""Shares of one stage: ``(counts n_d, stages K, stage i, adaptive offset o) -> share of each domain``, summing to 1."""


def compute_quotas(
    policy: str, counts: Mapping[str, int], *, budget: int, stages: int, stage: int, offset: int = 0
) -> dict[str, int]:
    """The quota of each domain in one stage, or of `GLOBAL` alone for ``none``; sums to `compute_stage_size`."""
    shares = QUOTAS[policy](counts, stages, stage, offset)
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
                role="tail" if lack else "head", quota=quota, real=real, synthesize=lack if tail == "synthesize" else 0,
                # There is nothing to repeat of a domain that gave nothing.
                duplicate=lack if tail == "duplicate" and left[domain] else 0,
                missing=0 if tail == "synthesize" or (tail == "duplicate" and left[domain]) else lack,
            )  # fmt: skip
        foreseen.append(shares)
    return foreseen


def find_tail_domains(counts: Mapping[str, int], budget: int) -> set[str]:
    """The tail of the metrics: domains with n_d < B / l in the original pool, the same for every arm."""
    return {domain for domain, count in counts.items() if count * len(counts) < budget}
