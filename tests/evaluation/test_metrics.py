"""Specification of `limbeck.evaluation.metrics`: accuracy and F1 by domain, head and tail, with intervals."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.evaluation.metrics import (
    Prediction,
    aggregate,
    compute_gain,
    compute_interval,
    compute_label_f1,
    compute_metrics,
    summarize_values,
)
from limbeck.evaluation.rouge import compute_rouge_l
from limbeck.selection.subset import choose_rows

# By hand: a has 2 of 4 right, b 1 of 1, c 1 of 5.
VALUES = np.array([1, 1, 0, 0, 1, 0, 0, 0, 1, 0], dtype=float)
DOMAINS = ["a", "a", "a", "a", "b", "c", "c", "c", "c", "c"]

rows_of_values = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0.0, 1.0])), min_size=1, max_size=25)


def predict(identity: str, domain: str, is_correct: bool, **changes: Any) -> Prediction:  # noqa: ANN401
    values: dict[str, Any] = {
        "id": identity,
        "domain": domain,
        "answer": "1",
        "answer_type": "number",
        "prediction": "1" if is_correct else "2",
        "is_correct": is_correct,
        "f1": None,
        "text": "so",
        "is_truncated": False,
    }
    return Prediction(**{**values, **changes})


def make_predictions() -> list[Prediction]:
    return [predict(f"row{n}", domain, bool(value)) for n, (domain, value) in enumerate(zip(DOMAINS, VALUES, strict=True))]


# Accuracy


def test_aggregates_by_hand() -> None:
    """Micro weights domains by their rows; macro, head and tail weight them equally; worst is the lowest domain."""
    summary = summarize_values(VALUES, DOMAINS, {"b"}, name="accuracy")
    assert summary["accuracy_micro"] == pytest.approx(0.4)  # 4 of 10
    assert summary["accuracy_macro"] == pytest.approx(17 / 30)  # (1/2 + 1 + 1/5) / 3
    assert summary["accuracy_head"] == pytest.approx(0.35)  # (1/2 + 1/5) / 2
    assert summary["accuracy_tail"] == pytest.approx(1.0)
    assert summary["accuracy_worst"] == pytest.approx(0.2)
    assert {name: (entry["accuracy"], entry["count"]) for name, entry in summary["domains"].items()} == {
        "a": (0.5, 4),
        "b": (1.0, 1),
        "c": (0.2, 5),
    }


@pytest.mark.parametrize(("tail", "empty", "full"), [(set(), "tail", "head"), ({"a", "b", "c"}, "head", "tail")])
def test_empty_head_or_tail(tail: set[str], empty: str, full: str) -> None:
    """Without head (or tail) domains, that accuracy and its interval are None and the other equals macro."""
    summary = summarize_values(VALUES, DOMAINS, tail, name="accuracy")
    assert summary[f"accuracy_{empty}"] is None
    assert summary[f"accuracy_{empty}_ci95"] is None
    assert summary[f"accuracy_{full}"] == pytest.approx(17 / 30)


def test_tail_domains_without_test_rows() -> None:
    """A tail domain without test rows changes nothing."""
    assert summarize_values(VALUES, DOMAINS, {"b", "unseen"}, name="x") == summarize_values(VALUES, DOMAINS, {"b"}, name="x")


def test_aggregate_of_samples() -> None:
    """Means of several bootstrap samples are aggregated sample by sample."""
    means = {"a": np.array([0.0, 1.0]), "b": np.array([1.0, 0.5])}
    result = aggregate(means, {"a": 1, "b": 3}, {"b"})
    rounded = {name: None if value is None else value.tolist() for name, value in result.items()}
    assert rounded == {
        "micro": [0.75, 0.625],
        "macro": [0.5, 0.75],
        "head": [0.0, 1.0],
        "tail": [1.0, 0.5],
        "worst": [0.0, 0.5],
    }


@given(rows_of_values, st.sets(st.sampled_from("abc")))
@settings(max_examples=40, deadline=None)
def test_accuracy_bounds(rows: list[tuple[str, float]], tail: set[str]) -> None:
    """Worst is at most macro, intervals are ordered and between 0 and 1, and with equal-sized domains micro equals macro."""
    domains, values = [domain for domain, _ in rows], np.array([value for _, value in rows])
    summary = summarize_values(values, domains, tail, name="x")
    assert summary["x_worst"] <= summary["x_macro"] + 1e-12
    intervals = [value for key, value in summary.items() if key.endswith("_ci95") and value is not None]
    for low, high in [*intervals, *(entry["x_ci95"] for entry in summary["domains"].values())]:
        assert -1e-12 <= low <= high <= 1 + 1e-12
    if len(set(Counter(domains).values())) == 1:
        assert summary["x_micro"] == pytest.approx(summary["x_macro"])


# Intervals


def test_quantiles() -> None:
    """An interval spans the 2.5% to the 97.5% quantile of the bootstrap samples."""
    assert compute_interval(np.arange(1001) / 1000) == pytest.approx([0.025, 0.975])


def test_bootstrap_is_within_domains() -> None:
    """Domains that are all right or all wrong have no variance, so their macro and micro intervals have no width."""
    values, domains = np.array([1.0] * 5 + [0.0] * 15), ["right"] * 5 + ["wrong"] * 15
    summary = summarize_values(values, domains, {"wrong"}, name="x")
    assert summary["x_macro_ci95"] == pytest.approx([0.5, 0.5], abs=1e-12)
    assert summary["x_micro_ci95"] == pytest.approx([0.25, 0.25], abs=1e-12)
    assert summary["domains"]["right"]["x_ci95"] == [1.0, 1.0]
    assert summary["x_tail_ci95"] == [0.0, 0.0]


def test_interval_of_one_domain() -> None:
    """The interval of 50 right of 100 is about 0.5 ± 1.96 · 0.05."""
    summary = summarize_values(np.array([1.0, 0.0] * 50), ["a"] * 100, set(), name="x")
    assert summary["x_micro_ci95"] == pytest.approx([0.402, 0.598], abs=0.02)


def test_interval_of_macro() -> None:
    """The macro interval of two such domains is narrower by a factor of the square root of two."""
    summary = summarize_values(np.array([1.0, 0.0] * 100), ["a"] * 100 + ["b"] * 100, set(), name="x")
    assert summary["x_macro_ci95"] == pytest.approx([0.431, 0.569], abs=0.015)


def test_bootstrap_seed() -> None:
    """The same seed gives the same intervals, and the point estimates never depend on it."""
    values, domains = np.array([1.0, 0.0, 1.0] * 9), ["a"] * 27
    first, again, other = (summarize_values(values, domains, set(), name="x", seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert first["x_macro"] == other["x_macro"]


# F1 over labels


@pytest.mark.parametrize(
    ("gold", "predicted", "macro", "micro"),
    [
        (["a", "a", "b", "c"], ["a", "a", "b", "c"], 1.0, 1.0),
        # a: 1 hit of 2 gold and 1 predicted, 2/3; b: 1 hit of 1 and 2, 2/3; c: 0; in total 2 hits of 4 gold and 3 predicted
        (["a", "a", "b", "c"], ["a", "b", "b", None], 4 / 9, 4 / 7),
        # z is never gold: a: 1, b: 0; in total 1 hit of 2 and 2
        (["a", "b"], ["a", "z"], 0.5, 0.5),
        (["a", "b"], [None, None], 0.0, 0.0),
        # a: 3 hits of 3 gold and 4 predicted, 6/7; b: 0
        (["a", "a", "a", "b"], ["a", "a", "a", "a"], 3 / 7, 0.75),
        (["a", "b"], ["b", "a"], 0.0, 0.0),
    ],
)
def test_label_f1(gold: list[str], predicted: list[str | None], macro: float, micro: float) -> None:
    """Macro-F1 averages over gold labels, micro-F1 counts all hits; no prediction is a false negative, not a false positive."""
    assert compute_label_f1(gold, predicted) == pytest.approx({"f1_macro": macro, "f1_micro": micro})


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_micro_f1_is_accuracy(pairs: list[tuple[str, str]]) -> None:
    """If every row is answered, micro-F1 equals accuracy."""
    f1 = compute_label_f1([gold for gold, _ in pairs], [got for _, got in pairs])
    assert f1["f1_micro"] == pytest.approx(sum(gold == got for gold, got in pairs) / len(pairs))


# All metrics of a student


def test_metrics_of_numbers() -> None:
    """Metrics of number rows contain accuracies, intervals, domains and counts, but no F1."""
    rows = make_predictions()
    rows[3] = predict("row3", "a", False, prediction=None, is_truncated=True)
    rows[9] = predict("row9", "c", False, is_truncated=True)
    metrics = compute_metrics(rows, {"b"})
    names = ("micro", "macro", "head", "tail", "worst")
    assert set(metrics) == {
        "examples",
        "unanswered",
        "truncated",
        "domains",
        *(f"accuracy_{name}" for name in names),
        *(f"accuracy_{name}_ci95" for name in names),
    }
    assert (metrics["examples"], metrics["unanswered"], metrics["truncated"]) == (10, 1, 2)
    assert metrics["accuracy_macro"] == pytest.approx(17 / 30)
    assert set(metrics["domains"]["a"]) == {"accuracy", "accuracy_ci95", "count"}


def test_metrics_of_texts() -> None:
    """The token F1 of text answers is aggregated like accuracy."""
    rows = [
        predict("1", "a", True, answer_type="text", f1=1.0),
        predict("2", "a", False, answer_type="text", f1=0.5),
        predict("3", "b", False, answer_type="text", f1=0.2),
    ]
    metrics = compute_metrics(rows, {"b"})
    assert metrics["f1_micro"] == pytest.approx(1.7 / 3)
    assert metrics["f1_macro"] == pytest.approx(0.475)
    assert metrics["f1_head"] == pytest.approx(0.75)
    assert metrics["f1_tail"] == pytest.approx(0.2)
    assert metrics["f1_worst"] == pytest.approx(0.2)
    assert metrics["domains"]["a"]["f1"] == pytest.approx(0.75)
    assert metrics["domains"]["a"]["accuracy"] == pytest.approx(0.5)


def test_metrics_of_formulations() -> None:
    """The ROUGE-L of text and formulation answers is aggregated like F1, over the rows that have one."""
    rows = [
        predict("1", "a", True, answer_type="formulation", rouge_l=1.0),
        predict("2", "a", False, answer_type="formulation", rouge_l=0.5),
        predict("3", "b", False, answer_type="text", f1=0.1, rouge_l=0.2),
        predict("4", "c", True),
    ]
    metrics = compute_metrics(rows, {"b"})
    assert metrics["rouge_l_micro"] == pytest.approx(1.7 / 3)
    assert metrics["rouge_l_macro"] == pytest.approx(0.475)
    assert (metrics["rouge_l_head"], metrics["rouge_l_tail"], metrics["rouge_l_worst"]) == pytest.approx((0.75, 0.2, 0.2))
    low, high = metrics["rouge_l_micro_ci95"]  # in the samples, a sums to 1, 1.5 or 2, and b is always 0.2
    assert (low, high) == pytest.approx((1.2 / 3, 2.2 / 3))
    assert metrics["domains"]["a"]["rouge_l"] == pytest.approx(0.75)
    assert metrics["domains"]["a"]["rouge_l_ci95"] == pytest.approx([0.5, 1.0])
    assert metrics["domains"]["a"]["count"] == 2
    assert set(metrics["domains"]["c"]) == {"accuracy", "accuracy_ci95", "count"}
    assert metrics["f1_micro"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("prediction", "gold", "score"),
    [
        ("the cat sat", "cat sat down", 2 / 3),  # common subsequence: cat sat
        ("sat cat", "cat sat", 1 / 2),  # one word of two
        ("maximize 3 x", "Maximize 3 * x subject to x <= 5", 3 / 5),  # precision 3/3, recall 3/7
        ("x <= 5", "x >= 5", 1.0),  # operators are not words
        ("cats", "cat", 0.0),  # no stemmer
        (None, "cat", 0.0),
        ("", "cat", 0.0),
        ("*", "*", 0.0),
    ],
)
def test_rouge_l_by_hand(prediction: str | None, gold: str, score: float) -> None:
    """ROUGE-L is the harmonic mean of precision and recall of the longest common subsequence of words."""
    assert compute_rouge_l(prediction, gold) == pytest.approx(score)


def test_metrics_of_labels() -> None:
    """Label answers get macro- and micro-F1 over the labels, with intervals around them."""
    gold, predicted = ["a", "a", "b", "c"] * 5, ["a", "b", "b", None] * 5
    rows = [
        predict(f"{n}", want, want == got, answer_type="label", answer=want, prediction=got)
        for n, (want, got) in enumerate(zip(gold, predicted, strict=True))
    ]
    metrics = compute_metrics(rows, set())
    assert metrics["f1_macro"] == pytest.approx(4 / 9)
    assert metrics["f1_micro"] == pytest.approx(4 / 7)
    for name, value in (("f1_macro", 4 / 9), ("f1_micro", 4 / 7)):
        low, high = metrics[f"{name}_ci95"]
        assert 0 <= low < value < high <= 1


def test_intervals_of_certain_labels() -> None:
    """If each label is always or never predicted correctly, the F1 intervals have no width."""
    rows = [
        predict(f"{n}", want, want == got, answer_type="label", answer=want, prediction=got)
        for n, (want, got) in enumerate([("a", "a"), ("b", "z"), ("c", None)] * 4)
    ]
    metrics = compute_metrics(rows, set())
    # a: 1, b: 0, c: 0; in total 4 hits of 12 gold and 8 predicted
    assert metrics["f1_macro_ci95"] == pytest.approx([1 / 3, 1 / 3])
    assert metrics["f1_micro_ci95"] == pytest.approx([0.4, 0.4])
    assert metrics["f1_micro"] == pytest.approx(0.4)


def test_interval_without_a_rare_label() -> None:
    """A bootstrap sample without any row of a rare label averages over the labels it contains."""
    rows = [predict(f"{n}", "d", True, answer_type="label", answer=label, prediction=label) for n, label in enumerate("aaab")]
    assert compute_metrics(rows, set())["f1_macro_ci95"] == [1.0, 1.0]


def test_metrics_are_json() -> None:
    """Metrics can be written as JSON and read back unchanged, including nulls."""
    rows = [*make_predictions(), predict("t", "d", True, answer_type="text", f1=1.0)]
    metrics = compute_metrics(rows, set())
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_prediction_json_form() -> None:
    """A prediction is written with everything needed to recompute the metrics."""
    assert predict("7", "a", True, f1=0.5).to_json() == {
        "id": "7",
        "domain": "a",
        "answer": "1",
        "answer_type": "number",
        "prediction": "1",
        "is_correct": True,
        "f1": 0.5,
        "text": "so",
        "is_truncated": False,
        "rouge_l": None,
    }


def test_predictions_of_older_files() -> None:
    """A prediction written before ROUGE-L existed is read as one without it."""
    row = predict("7", "a", True, f1=0.5).to_json()
    del row["rouge_l"]
    assert Prediction(**row) == predict("7", "a", True, f1=0.5)


# Gain over a baseline


def test_paired_gain_by_hand() -> None:
    """The gain is the mean of after − before, paired by id regardless of row order."""
    before = [predict("1", "a", True), predict("2", "a", False), predict("3", "b", False), predict("4", "b", True)]
    after = [predict("4", "b", False), predict("2", "a", True), predict("1", "a", True), predict("3", "b", False)]
    gain = compute_gain(before, after, {"b"})
    assert gain["domains"]["a"]["accuracy"] == pytest.approx(0.5)  # one of two won
    assert gain["domains"]["b"]["accuracy"] == pytest.approx(-0.5)  # one of two lost
    assert gain["accuracy_macro"] == pytest.approx(0.0)
    assert (gain["accuracy_head"], gain["accuracy_tail"], gain["accuracy_worst"]) == pytest.approx((0.5, -0.5, -0.5))


def test_pairing_takes_out_what_both_share() -> None:
    """If both students are right on the same rows, the gain is 0 and its interval has no width."""
    gain = compute_gain(make_predictions(), make_predictions()[::-1], set())
    assert gain["accuracy_micro"] == 0.0
    assert gain["accuracy_micro_ci95"] == [0.0, 0.0]


@pytest.mark.parametrize(
    "after",
    [
        [predict("1", "a", True)],
        [predict("1", "a", True), predict("3", "a", True)],
        [predict("1", "a", True), predict("2", "a", True), predict("2", "a", True)],
    ],
    ids=["fewer", "others", "repeated"],
)
def test_gain_of_different_rows(after: list[Prediction]) -> None:
    """A gain between different sets of rows is an error."""
    before = [predict("1", "a", True), predict("2", "a", True)]
    with pytest.raises(ValueError, match="are not the same rows"):
        compute_gain(before, after, set())


# The rows that are evaluated


def test_domains_take_turns() -> None:
    """Domains take turns, so small ones are used up completely before large ones get more."""
    domains = ["a"] * 5 + ["b"] * 2 + ["c"]
    for max_examples, counts in ((5, {"a": 2, "b": 2, "c": 1}), (6, {"a": 3, "b": 2, "c": 1}), (3, {"a": 1, "b": 1, "c": 1})):
        chosen = choose_rows(domains, max_examples, str)
        assert Counter(domains[index] for index in chosen) == counts
    assert choose_rows(domains, 0, str) == []


@pytest.mark.parametrize("max_examples", [None, 3, 100])
def test_all_rows(max_examples: int | None) -> None:
    """Without a limit, or with one that is at least the number of rows, all rows are chosen in order."""
    assert choose_rows(["b", "a", "b"], max_examples, lambda index: str(-index)) == [0, 1, 2]


def test_order_decides() -> None:
    """Within a domain the rows with the lowest sort keys are chosen."""
    assert choose_rows(["a", "a", "a", "b", "b"], 3, lambda index: "ecdba"[index]) == [1, 2, 4]


@given(st.lists(st.sampled_from("abcd"), max_size=30), st.integers(0, 30), st.randoms(use_true_random=False))
@settings(max_examples=80, deadline=None)
def test_choice_is_balanced(domains: list[str], max_examples: int, rng: random.Random) -> None:
    """As many rows are chosen as the limit allows; a domain gets two fewer than another only if it has no more."""
    keys = [f"{rng.random():.6f}" for _ in domains]
    chosen = choose_rows(domains, max_examples, keys.__getitem__)
    assert len(chosen) == min(max_examples, len(domains))
    assert chosen == sorted(set(chosen))
    taken, there = Counter(domains[index] for index in chosen), Counter(domains)
    for domain in there:
        assert taken[domain] == there[domain] or taken[domain] >= max(taken.values(), default=0) - 1


@given(st.permutations(list(enumerate("aaabbcccc"))), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_choice_ignores_the_order_of_the_file(rows: list[tuple[int, str]], max_examples: int) -> None:
    """The same rows are chosen whatever their order in the file."""
    keys = [7, 3, 1, 8, 2, 6, 0, 5, 4]
    chosen = choose_rows([domain for _, domain in rows], max_examples, lambda index: str(keys[rows[index][0]]))
    straight = choose_rows(list("aaabbcccc"), max_examples, lambda index: str(keys[index]))
    assert sorted(rows[index][0] for index in chosen) == straight
