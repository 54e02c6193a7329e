"""Specification of `limbeck.selection.quotas`: how many examples a domain gets in each stage."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import DATA

from limbeck.selection.quotas import (
    ERROR_FLOOR,
    GLOBAL,
    QUOTAS,
    compute_adaptive_shares,
    compute_error_shares,
    compute_natural_shares,
    compute_quotas,
    compute_stage_size,
    compute_synthetic_need,
    compute_tail_domains,
    compute_uniform_shares,
    round_shares,
    smooth_errors,
)

MATH = {
    "Algebra": 1744,
    "Intermediate Algebra": 763,
    "Prealgebra": 561,
    "Geometry": 349,
    "Number Theory": 290,
    "Counting & Probability": 231,
    "Precalculus": 187,
}
SMALL = {"a": 6, "b": 3, "c": 1}

domain_counts = st.dictionaries(st.text(max_size=3), st.integers(1, 3000), min_size=1, max_size=12)
budgets, stage_counts, offsets = st.integers(0, 4000), st.integers(1, 8), st.integers(0, 2)


def need(policy: str, counts: dict[str, int], budget: int, offset: int = 0) -> int:
    return sum(compute_synthetic_need(policy, counts, budget=budget, stages=5, offset=offset).values())


# Stages


@pytest.mark.parametrize(
    ("budget", "stages", "sizes"),
    [
        (10, 5, [2, 2, 2, 2, 2]),
        (7, 3, [2, 2, 3]),
        (2, 4, [0, 1, 0, 1]),
        (0, 3, [0, 0, 0]),
        (2100, 1, [2100]),
        (11, 4, [2, 3, 3, 3]),
    ],
)
def test_stage_sizes(budget: int, stages: int, sizes: list[int]) -> None:
    """Stage i of K gets the budget up to (i+1)/K, rounded down, minus what earlier stages got."""
    assert [compute_stage_size(budget, stages, stage) for stage in range(stages)] == sizes


# Shares


def test_natural_shares() -> None:
    """The natural policy gives each domain its share of the pool."""
    assert compute_natural_shares(SMALL) == {"a": Fraction(3, 5), "b": Fraction(3, 10), "c": Fraction(1, 10)}


def test_uniform_shares() -> None:
    """The uniform policy gives all domains the same share."""
    assert compute_uniform_shares(SMALL) == {"a": Fraction(1, 3), "b": Fraction(1, 3), "c": Fraction(1, 3)}


@pytest.mark.parametrize(
    ("stage", "offset", "shares"),
    [
        (0, 0, (Fraction(3, 5), Fraction(3, 10), Fraction(1, 10))),
        (1, 0, (Fraction(41, 75), Fraction(23, 75), Fraction(11, 75))),  # 4/5 natural + 1/5 uniform
        (4, 0, (Fraction(29, 75), Fraction(49, 150), Fraction(43, 150))),  # 1/5 natural + 4/5 uniform
        (0, 1, (Fraction(41, 75), Fraction(23, 75), Fraction(11, 75))),
        (4, 1, (Fraction(1, 3), Fraction(1, 3), Fraction(1, 3))),
    ],
)
def test_adaptive_shares(stage: int, offset: int, shares: tuple[Fraction, ...]) -> None:
    """The adaptive policy moves from natural to uniform by 1/K per stage; offset 1 puts it one stage ahead."""
    assert tuple(compute_adaptive_shares(SMALL, 5, stage, offset).values()) == shares


def test_adaptive_policy_is_60_percent_natural() -> None:
    """Over all five stages the adaptive policy with offset 0 is a mix of 60% natural and 40% uniform."""
    mean = {
        domain: sum((compute_adaptive_shares(SMALL, 5, stage, 0)[domain] for stage in range(5)), Fraction(0)) / 5
        for domain in SMALL
    }
    # 3/5·(6, 3, 1)/10 + 2/5·1/3
    assert mean == {"a": Fraction(37, 75), "b": Fraction(47, 150), "c": Fraction(29, 150)}


def test_adaptive_policy_with_offset_is_60_percent_uniform() -> None:
    """Over all five stages the adaptive policy with offset 1 is a mix of 40% natural and 60% uniform."""
    mean = sum((compute_adaptive_shares(SMALL, 5, stage, 1)["c"] for stage in range(5)), Fraction(0)) / 5
    assert mean == Fraction(6, 25)  # 2/5·1/10 + 3/5·1/3


@pytest.mark.parametrize("policy", ["none", "natural", "uniform", "adaptive", "error"])
@given(counts=domain_counts, stages=stage_counts, offset=offsets, data=st.data())
@settings(max_examples=60, deadline=None)
def test_shares_sum_to_one(policy: str, counts: dict[str, int], stages: int, offset: int, data: st.DataObject) -> None:
    """The shares of every policy are exact fractions that sum to 1, none of them negative."""
    shares = QUOTAS[policy].compute_shares(counts, stages, data.draw(st.integers(0, stages - 1)), offset)
    assert sum(shares.values()) == 1
    assert min(shares.values()) >= 0


# Errors

WRONG = {"a": (1, 10), "b": (5, 10), "c": (9, 10)}


@st.composite
def pools_with_errors(draw: st.DrawFn) -> tuple[dict[str, int], dict[str, tuple[int, int]]]:
    """A pool, and the wrong and measured rows of some of its domains."""
    counts = draw(domain_counts)
    errors = {}
    for domain in draw(st.lists(st.sampled_from(sorted(counts)), unique=True)):
        measured = draw(st.integers(0, 30))
        errors[domain] = (draw(st.integers(0, measured)), measured)
    return counts, errors


def test_smoothed_errors_by_hand() -> None:
    """One row with the overall error, 15 of 30, is added to each domain; a domain without rows gets just that."""
    assert smooth_errors(SMALL, WRONG) == {"a": Fraction(3, 22), "b": Fraction(1, 2), "c": Fraction(19, 22)}
    assert smooth_errors({**SMALL, "new": 2}, WRONG)["new"] == Fraction(1, 2)
    assert set(smooth_errors(SMALL, {}).values()) == {Fraction(1)}


def test_error_shares_by_hand() -> None:
    """A quarter is shared evenly and the rest by smoothed error; the stage decides the mix with the natural shares."""
    # 1/12 + 3/4 · (3, 11, 19)/33 = (5, 11, 17)/33
    assert tuple(compute_error_shares(SMALL, 2, 1, 1, WRONG).values()) == (Fraction(5, 33), Fraction(1, 3), Fraction(17, 33))
    assert tuple(compute_error_shares(SMALL, 2, 1, 0, WRONG).values()) == (
        Fraction(62, 165),
        Fraction(19, 60),
        Fraction(203, 660),
    )
    assert compute_quotas("error", SMALL, budget=20, stages=2, stage=1, errors=WRONG) == {"a": 4, "b": 3, "c": 3}
    assert compute_quotas("error", SMALL, budget=20, stages=2, stage=1, offset=1, errors=WRONG) == {"a": 2, "b": 3, "c": 5}


@given(pool=pools_with_errors(), offset=offsets)
@settings(max_examples=60, deadline=None)
def test_stage_0_knows_no_errors(pool: tuple[dict[str, int], dict[str, tuple[int, int]]], offset: int) -> None:
    """Stage 0 is natural whatever the offset and the errors; later stages without errors equal the adaptive policy."""
    counts, errors = pool
    assert compute_error_shares(counts, 3, 0, offset, errors) == compute_natural_shares(counts)
    assert compute_error_shares(counts, 3, 2, offset) == compute_adaptive_shares(counts, 3, 2, offset)
    perfect = {domain: (0, measured) for domain, (_, measured) in errors.items()}
    assert compute_error_shares(counts, 3, 2, offset, perfect) == compute_adaptive_shares(counts, 3, 2, offset)


@given(pool=pools_with_errors(), stages=stage_counts, offset=offsets, budget=budgets, data=st.data())
@settings(max_examples=100, deadline=None)
def test_error_quotas_keep_budget_and_floor(
    pool: tuple[dict[str, int], dict[str, tuple[int, int]]], stages: int, offset: int, budget: int, data: st.DataObject
) -> None:
    """Shares sum to 1, quotas to the stage's size, and each domain gets a quarter of an even share of the error part."""
    counts, errors = pool
    stage = data.draw(st.integers(0, stages - 1))
    shares = compute_error_shares(counts, stages, stage, offset, errors)
    natural = compute_natural_shares(counts)
    weight = Fraction(min(stage + offset, stages), stages) if stage else Fraction(0)
    assert sum(shares.values()) == 1
    assert all(share >= natural[d] * (1 - weight) + weight * ERROR_FLOOR / len(counts) for d, share in shares.items())
    quotas = compute_quotas("error", counts, budget=budget, stages=stages, stage=stage, offset=offset, errors=errors)
    size = compute_stage_size(budget, stages, stage)
    assert sum(quotas.values()) == size
    assert all(abs(quotas[domain] - share * size) < 1 for domain, share in shares.items())


@given(pool=pools_with_errors(), data=st.data())
@settings(max_examples=100, deadline=None)
def test_more_errors_give_no_smaller_share(
    pool: tuple[dict[str, int], dict[str, tuple[int, int]]], data: st.DataObject
) -> None:
    """One more wrong row never lowers a domain's share; of two domains with equal rows the worse never gets less."""
    counts, errors = pool
    open_domains = sorted(domain for domain, (wrong, measured) in errors.items() if wrong < measured)
    if not open_domains:
        return
    domain = data.draw(st.sampled_from(open_domains))
    wrong, measured = errors[domain]
    worse = {**errors, domain: (wrong + 1, measured)}
    before, after = (compute_error_shares(counts, 4, 2, 0, which)[domain] for which in (errors, worse))
    assert after >= before
    even = dict.fromkeys(counts, 7)
    quotas = compute_quotas("error", even, budget=400, stages=4, stage=2, errors=worse)
    for other, (other_wrong, other_measured) in worse.items():
        if other_measured == measured and other_wrong < wrong + 1:
            assert quotas[domain] >= quotas[other]


# Rounding


@pytest.mark.parametrize(
    ("shares", "total", "quotas"),
    [
        ({"a": Fraction(1, 3), "b": Fraction(1, 3), "c": Fraction(1, 3)}, 10, {"a": 4, "b": 3, "c": 3}),  # tie by name
        ({"c": Fraction(1, 3), "b": Fraction(1, 3), "a": Fraction(1, 3)}, 11, {"a": 4, "b": 4, "c": 3}),  # tie by name
        ({"a": Fraction(41, 100), "b": Fraction(59, 100)}, 10, {"a": 4, "b": 6}),  # 4.1 and 5.9
        ({"a": Fraction(1, 2), "b": Fraction(1, 2)}, 1, {"a": 1, "b": 0}),
        ({"a": Fraction(7, 10), "b": Fraction(2, 10), "c": Fraction(1, 10)}, 4, {"a": 3, "b": 1, "c": 0}),  # 2.8, 0.8, 0.4
        ({"a": Fraction(1)}, 0, {"a": 0}),
    ],
)
def test_largest_remainders(shares: dict[str, Fraction], total: int, quotas: dict[str, int]) -> None:
    """The largest remainders are rounded up until the total is reached, ties by domain name."""
    assert round_shares(shares, total) == quotas


# Quotas


def test_quotas_by_hand() -> None:
    """The quotas of each policy match hand-computed ones for a pool of 6, 3 and 1 and stages of 10."""
    assert compute_quotas("natural", SMALL, budget=20, stages=2, stage=1) == {"a": 6, "b": 3, "c": 1}
    assert compute_quotas("uniform", SMALL, budget=20, stages=2, stage=1) == {"a": 4, "b": 3, "c": 3}
    assert compute_quotas("adaptive", SMALL, budget=20, stages=2, stage=0) == {"a": 6, "b": 3, "c": 1}
    # 10·(natural + uniform)/2 = 4.67, 3.17, 2.17
    assert compute_quotas("adaptive", SMALL, budget=20, stages=2, stage=1) == {"a": 5, "b": 3, "c": 2}
    assert compute_quotas("adaptive", SMALL, budget=20, stages=2, stage=1, offset=1) == {"a": 4, "b": 3, "c": 3}
    assert compute_quotas("none", SMALL, budget=20, stages=2, stage=1) == {GLOBAL: 10}


@pytest.mark.parametrize("policy", ["none", "natural", "uniform", "adaptive", "error"])
@given(counts=domain_counts, budget=budgets, stages=stage_counts, offset=offsets)
@settings(max_examples=80, deadline=None)
def test_quotas_sum_to_the_budget(policy: str, counts: dict[str, int], budget: int, stages: int, offset: int) -> None:
    """The quotas of all stages sum to exactly the budget, and each is within one example of its exact share."""
    total = 0
    for stage in range(stages):
        quotas = compute_quotas(policy, counts, budget=budget, stages=stages, stage=stage, offset=offset)
        size = compute_stage_size(budget, stages, stage)
        assert sum(quotas.values()) == size
        for domain, share in QUOTAS[policy].compute_shares(counts, stages, stage, offset).items():
            assert quotas[domain] >= 0
            assert abs(quotas[domain] - share * size) < 1
        total += size
    assert total == budget


@given(counts=domain_counts, budget=budgets)
@settings(max_examples=60, deadline=None)
def test_quotas_ignore_the_order_of_domains(counts: dict[str, int], budget: int) -> None:
    """The quotas do not depend on the order in which the domains are given."""
    turned = dict(reversed(counts.items()))
    first = compute_quotas("adaptive", counts, budget=budget, stages=3, stage=1)
    assert first == compute_quotas("adaptive", turned, budget=budget, stages=3, stage=1)


# Synthesis


def test_synthetic_need_by_hand() -> None:
    """A domain needs synthesized examples for the part of its quotas that exceeds its pool, and none while the pool lasts."""
    assert compute_synthetic_need("uniform", SMALL, budget=10, stages=1) == {"a": 0, "b": 0, "c": 2}
    assert compute_synthetic_need("uniform", SMALL, budget=12, stages=4) == {"a": 0, "b": 1, "c": 3}
    assert compute_synthetic_need("natural", SMALL, budget=10, stages=1) == {"a": 0, "b": 0, "c": 0}
    # each stage of 5 has exact shares 3, 1.5 and 0.5; the tie goes to b by name
    assert compute_synthetic_need("natural", SMALL, budget=10, stages=2) == {"a": 0, "b": 1, "c": 0}
    assert compute_synthetic_need("none", SMALL, budget=1000, stages=2) == {"a": 0, "b": 0, "c": 0}


@pytest.mark.parametrize(("budget", "uniform", "adaptive", "adaptive_from_1"), [(2100, 192, 0, 31), (3500, 943, 281, 502)])
def test_synthetic_need_of_math(budget: int, uniform: int, adaptive: int, adaptive_from_1: int) -> None:
    """The synthetic need of the long-tailed Math data matches the paper's arithmetic within 2."""
    assert need("uniform", MATH, budget) == pytest.approx(uniform, abs=2)
    assert need("adaptive", MATH, budget) == pytest.approx(adaptive, abs=2)
    assert need("adaptive", MATH, budget, offset=1) == pytest.approx(adaptive_from_1, abs=2)


def test_synthetic_need_of_math_by_subject() -> None:
    """With 300 examples per subject, Number Theory lacks 10, Counting & Probability 69 and Precalculus 113."""
    missing = compute_synthetic_need("uniform", MATH, budget=2100, stages=5)
    assert missing == {
        "Algebra": 0,
        "Intermediate Algebra": 0,
        "Prealgebra": 0,
        "Geometry": 0,
        "Number Theory": 10,
        "Counting & Probability": 69,
        "Precalculus": 113,
    }


@pytest.mark.parametrize(
    ("name", "budget", "tolerance", "needs"),
    [
        ("math", 2100, 2.0, (192, 0, 31)),
        ("math", 3500, 2.0, (943, 281, 502)),
        ("r52", 2600, 0.02, (1354, 385, 684)),
        ("r52", 5200, 0.02, (3435, 1274, 1990)),
    ],
)
def test_synthetic_need_of_the_published_data(name: str, budget: int, tolerance: float, needs: tuple[int, int, int]) -> None:
    """On the published counts the synthetic need matches reference values, within 2 for Math and within 2% for R52."""
    path = DATA / "domain_counts.json"
    if not path.is_file():
        pytest.skip(f"the published counts are not part of the repository and {path} is absent; set LIMBECK_DATA")
    counts = json.loads(path.read_text("utf-8"))[name]
    found = (need("uniform", counts, budget), need("adaptive", counts, budget), need("adaptive", counts, budget, offset=1))
    for value, wanted in zip(found, needs, strict=True):
        assert abs(value - wanted) <= (tolerance if tolerance >= 1 else tolerance * wanted)


@pytest.mark.parametrize("policy", ["natural", "uniform", "adaptive"])
@given(counts=domain_counts, budget=budgets, stages=stage_counts, offset=offsets)
@settings(max_examples=60, deadline=None)
def test_synthetic_need_bounds(policy: str, counts: dict[str, int], budget: int, stages: int, offset: int) -> None:
    """The synthetic need is never negative, at most the budget, and at least the budget minus the whole pool."""
    missing = compute_synthetic_need(policy, counts, budget=budget, stages=stages, offset=offset)
    assert set(missing) == set(counts)
    assert min(missing.values()) >= 0
    assert max(0, budget - sum(counts.values())) <= sum(missing.values()) <= budget


# Head and tail of the metrics


def test_tail_domains() -> None:
    """Tail domains have fewer than B/l examples; a domain with exactly B/l is a head domain."""
    assert compute_tail_domains(MATH, 2100) == {"Number Theory", "Counting & Probability", "Precalculus"}
    assert compute_tail_domains(SMALL, 9) == {"c"}
    assert compute_tail_domains(SMALL, 10) == {"b", "c"}
    assert compute_tail_domains(SMALL, 3) == set()
    assert compute_tail_domains(SMALL, 9, ["a", "d"]) == {"c", "d"}
    assert compute_tail_domains(SMALL, 100) == {"a", "b", "c"}
