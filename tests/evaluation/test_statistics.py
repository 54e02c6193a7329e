"""Student's t compared with tables; Holm and paired differences computed by hand."""

from __future__ import annotations

import math

import pytest

from limbeck.evaluation.statistics import (
    compare_pairs,
    compare_with_untouched,
    compute_paired_test,
    compute_t_interval,
    compute_t_p_value,
    compute_t_quantile,
    correct_holm,
    describe_gain,
    describe_noise,
    describe_run_gain,
    summarize_seeds,
)


@pytest.mark.parametrize(
    ("degrees", "quantile"), [(1, 12.706), (2, 4.303), (4, 2.776), (7, 2.365), (9, 2.262), (30, 2.042), (120, 1.980)]
)
def test_t_quantiles_are_those_of_the_tables(degrees: int, quantile: float) -> None:
    """95% of Student's t distribution lies within the tabulated quantile, and the quantile's p-value is 0.05."""
    assert compute_t_quantile(degrees) == pytest.approx(quantile, abs=5e-4)
    assert compute_t_p_value(quantile, degrees) == pytest.approx(0.05, abs=1e-4)
    assert compute_t_p_value(-quantile, degrees) == compute_t_p_value(quantile, degrees)


def test_the_interval_of_a_mean_by_hand() -> None:
    """For 1, 2, 3 the mean is 2, the standard error 1/√3 and the quantile 4.3027."""
    half = 4.302653 / math.sqrt(3)
    assert compute_t_interval([1, 2, 3]) == pytest.approx([2 - half, 2 + half], abs=1e-5)
    assert compute_t_interval([1]) is None


def test_a_paired_test_by_hand() -> None:
    """Differences 0.1, 0.2, 0.3, 0.2 have mean 0.2, deviation √(0.02/3), and t = 4.8990 with 3 degrees of freedom."""
    test = compute_paired_test([0.5, 0.7, 0.9, 0.6], [0.4, 0.5, 0.6, 0.4])
    half = 3.182446 * math.sqrt(0.02 / 3) / 2
    assert test.difference == pytest.approx(0.2)
    assert test.ci95 == pytest.approx([0.2 - half, 0.2 + half], abs=1e-6)
    assert test.p == pytest.approx(0.016276, abs=1e-5)


def test_differences_without_spread_prove_nothing() -> None:
    """One pair, or the same non-zero difference for every seed, gives no interval; no difference at all has p-value 1."""
    assert compute_paired_test([0.5], [0.4]).p is None
    same = compute_paired_test([0.5, 0.7], [0.4, 0.6])
    assert (round(same.difference, 12), same.ci95, same.p) == (0.1, None, None)
    assert compute_paired_test([0.5, 0.7], [0.5, 0.7]).p == 1.0
    with pytest.raises(ValueError, match="can't pair 1 values with 2"):
        compute_paired_test([0.5], [0.5, 0.7])


def test_holm_by_hand() -> None:
    """Sorted p-values are multiplied by 4, 3, 2, 1, never decrease and are at most 1; a missing one counts as a test."""
    assert correct_holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert correct_holm([0.5, 0.6]) == [1.0, 1.0]
    assert correct_holm([0.02, None]) == [0.04, None]
    assert correct_holm([]) == []


def test_pairs_use_the_seeds_that_both_have() -> None:
    """Arms are paired by seed; a metric that an arm lacks is not tested; Holm corrects within each metric."""
    arms = {
        "a": {1: {"accuracy_macro": 0.5, "accuracy_tail": None}, 2: {"accuracy_macro": 0.7, "accuracy_tail": None}},
        "b": {1: {"accuracy_macro": 0.4}, 2: {"accuracy_macro": 0.5}, 3: {"accuracy_macro": 0.9}},
        "c": {2: {"accuracy_macro": 0.5}},
    }
    rows = compare_pairs(arms)
    assert [(row["a"], row["b"], row["metric"], row["seeds"]) for row in rows] == [
        ("a", "b", "accuracy_macro", [1, 2]),
        ("a", "c", "accuracy_macro", [2]),
        ("b", "c", "accuracy_macro", [2]),
    ]
    assert rows[0]["difference"] == pytest.approx(0.15)
    assert rows[0]["p_holm"] == pytest.approx(min(1, 3 * rows[0]["p"]))
    assert not any(row["is_resolved"] for row in rows)


def test_an_arm_without_runs_makes_no_other_look_better() -> None:
    """Pairs that can't be tested because an arm has no seeds still count in Holm's correction."""
    arms = {
        name: {seed: {"accuracy_macro": value} for seed, value in enumerate(values)}
        for name, values in (("a", (0.5, 0.6, 0.7)), ("b", (0.4, 0.52, 0.58)), ("c", ()))
    }
    (row,) = compare_pairs(arms)
    assert (row["a"], row["b"]) == ("a", "b")
    assert row["p_holm"] == pytest.approx(min(1, 3 * row["p"]))


def test_noise_is_said() -> None:
    """A difference gets a warning if its interval contains 0, it has one seed, or it fails Holm's correction."""
    pair = {
        "a": "x",
        "b": "y",
        "metric": "accuracy_macro",
        "seeds": [1, 2, 3],
        "difference": 0.1,
        "ci95": [-0.1, 0.3],
        "p": 0.2,
        "p_holm": 0.2,
        "is_resolved": False,
    }
    assert "x − y: accuracy_macro +0.100 is within noise: its 95% interval [-0.100, +0.300] contains 0" in str(
        describe_noise(pair)
    )
    assert "after correcting for all comparisons" in str(
        describe_noise(pair | {"ci95": [0.01, 0.19], "p": 0.03, "p_holm": 0.09})
    )
    assert "a single seed" in str(describe_noise(pair | {"seeds": [1], "ci95": None, "p": None, "p_holm": None}))
    assert "same for all 3 seeds" in str(describe_noise(pair | {"ci95": None, "p": None, "p_holm": None}))
    assert describe_noise(pair | {"is_resolved": True}) is None


def test_a_summary_has_a_value_a_seed() -> None:
    """A summary has mean, interval and values in seed order; a metric that a seed lacks is None."""
    summary = summarize_seeds({2: {"x": 3.0, "y": None}, 1: {"x": 1.0, "y": 1.0}})
    assert summary["seeds"] == [1, 2]
    assert summary["x"]["mean"] == 2.0
    assert summary["x"]["values"] == [1.0, 3.0]
    assert summary["x"]["ci95"] == pytest.approx([2 - 12.7062, 2 + 12.7062], abs=1e-3)
    assert summary["y"] is None


def test_what_is_learnt_is_tested_against_the_untouched_student() -> None:
    """Only arms that train are tested by seed against the untouched student, with Holm's correction over these tests."""
    untouched = {1: {"accuracy_macro": 0.2}, 2: {"accuracy_macro": 0.3}, 3: {"accuracy_macro": 0.4}}
    gains = {
        "clear": (0.3, 0.31, 0.29),
        "noise": (0.1, -0.1, 0.03),
        "worse": (-0.1, -0.11, -0.09),
        "zero-shot": (0.0, 0.0, 0.0),
    }
    arms = {
        name: {
            seed: {"accuracy_macro": untouched[seed]["accuracy_macro"] + gain, "examples": 0 if name == "zero-shot" else 9}
            for seed, gain in enumerate(gained, start=1)
        }
        for name, gained in gains.items()
    }
    clear, noise, worse = compare_with_untouched(arms, dict.fromkeys(arms, untouched))
    assert (clear["a"], clear["b"], clear["seeds"]) == ("clear", "untouched", [1, 2, 3])
    assert clear["difference"] == pytest.approx(0.3)
    # t = 0.3 / (0.01 / √3) = 51.96 with two degrees of freedom: p = 0.00037, the smallest of three, so Holm triples it.
    assert clear["p_holm"] == pytest.approx(3 * clear["p"])
    assert noise["p_holm"] == noise["p"]
    assert [row["is_resolved"] for row in (clear, noise, worse)] == [True, False, True]
    assert describe_gain(clear) is None
    assert describe_gain(noise) == (
        "noise − untouched: accuracy_macro +0.010 is within noise: its 95% interval [-0.242, +0.262] contains 0. This shows "
        "no effect of training with noise"
    )
    assert describe_gain(worse) == "worse is worse than the untouched student: accuracy_macro -0.100"


def test_one_seed_shows_no_gain() -> None:
    """With one seed a gain may be noise, and the warning says so."""
    (row,) = compare_with_untouched({"a": {1: {"accuracy_macro": 0.9, "examples": 9}}}, {"a": {1: {"accuracy_macro": 0.1}}})
    assert "comes from a single seed" in str(describe_gain(row))


@pytest.mark.parametrize(
    ("interval", "is_said"), [([-0.01, 0.2], True), ([0.0, 0.2], True), ([0.01, 0.2], False), ([-0.2, -0.1], False)]
)
def test_a_run_says_whether_its_gain_can_be_seen(interval: list[float], is_said: bool) -> None:
    """A run reports a gain as not significant exactly if its paired interval over test rows contains 0."""
    said = describe_run_gain({"accuracy_macro": 0.05, "accuracy_macro_ci95": interval}, 1200)
    assert (said is not None) == is_said
    if said is not None:
        assert said.startswith("the gain over the untouched student, accuracy_macro +0.050, is not significant: its 95% ")
        assert f"[{interval[0]:+.3f}, +0.200] on 1,200 test rows contains 0" in said
