"""Accuracy, F1 and ROUGE-L by domain, head, tail and worst, with 95% bootstrap intervals. Numpy only.

Intervals resample rows *within* domains: the sizes of the domains are part of the test set's design, not chance. Head and
tail are the same for all arms of a comparison: tail = domains with fewer examples in the original pool than an even share of
the budget (n_d < B/l, for budget B and l domains).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from limbeck.answers.types import ANSWERS
from limbeck.data.example import Example
from limbeck.data.task import Task
from limbeck.evaluation.rouge import compute_rouge_l
from limbeck.selection.subset import rows_by_domain

Floats = NDArray[np.float64]
BOOTSTRAP_SAMPLES = 2_000


@dataclass(frozen=True)
class Prediction:
    """A student's answer to one test row.

    Attributes:
        id, domain, answer, answer_type: copied from the row; `answer` is the gold answer.
        prediction: the final answer read from `text`, or None if there is none.
        is_correct: whether it equals the gold answer.
        f1: SQuAD token F1 for text answers, else None.
        text: everything the student wrote.
        is_truncated: whether the token limit ended it.
        rouge_l: ROUGE-L of text and formulation answers, else None.
    """

    id: str
    domain: str
    answer: str
    answer_type: str
    prediction: str | None
    is_correct: bool
    f1: float | None
    text: str
    is_truncated: bool
    rouge_l: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return a plain dictionary in the order of the attributes."""
        return asdict(self)


def aggregate(
    domain_means: Mapping[str, Floats], counts: Mapping[str, int], tail: AbstractSet[str]
) -> dict[str, Floats | None]:
    """Aggregate per-domain means into micro, macro, head, tail and worst.

    Args:
        domain_means: mean of each domain, as arrays of the same shape (one entry, or one per bootstrap sample).
        counts: number of rows of each domain, which weight micro.
        tail: names of the tail domains; the others are head.

    Returns:
        ``micro, macro, head, tail, worst``, each of that shape; head or tail is None if it has no domains.
    """
    names = list(domain_means)
    stacked = np.stack([domain_means[name] for name in names])
    weights = np.array([counts[name] for name in names], dtype=float)
    is_tail = np.array([name in tail for name in names])
    return {
        "micro": np.tensordot(weights / weights.sum(), stacked, axes=1),
        "macro": stacked.mean(axis=0),
        "head": stacked[~is_tail].mean(axis=0) if (~is_tail).any() else None,
        "tail": stacked[is_tail].mean(axis=0) if is_tail.any() else None,
        "worst": stacked.min(axis=0),
    }


def summarize_values(
    values: Floats, domains: Sequence[str], tail: AbstractSet[str], *, name: str, seed: int = 0
) -> dict[str, Any]:
    """Summarize per-row values by domain and over domains, with 95% bootstrap intervals.

    Args:
        values: one number per row, shape (rows,): 0/1 correctness, an F1 or ROUGE-L, or a difference of two of those.
        domains: domain of each row.
        tail: names of the tail domains.
        name: name of the metric.
        seed: bootstrap seed.

    Returns:
        ``{name}_micro`` … ``{name}_worst`` with ``*_ci95``, and ``domains`` with ``{name}``, its interval and ``count``.
    """
    rows = rows_by_domain(domains)
    draw = np.random.default_rng(seed)
    means = {domain: np.array([values[index].mean()]) for domain, index in rows.items()}
    samples = {
        domain: values[index][draw.integers(0, len(index), (BOOTSTRAP_SAMPLES, len(index)))].mean(axis=1)
        for domain, index in rows.items()
    }
    counts = {domain: len(index) for domain, index in rows.items()}
    point, spread = aggregate(means, counts, tail), aggregate(samples, counts, tail)
    summary: dict[str, Any] = {}
    for key, value in point.items():
        around = spread[key]
        summary[f"{name}_{key}"] = None if value is None else float(value[0])
        summary[f"{name}_{key}_ci95"] = None if around is None else compute_interval(around)
    summary["domains"] = {
        domain: {name: float(means[domain][0]), f"{name}_ci95": compute_interval(samples[domain]), "count": counts[domain]}
        for domain in rows
    }
    return summary


def compute_interval(samples: Floats) -> list[float]:
    """Return the 2.5% and 97.5% quantiles of bootstrap samples."""
    return [float(bound) for bound in np.quantile(samples, (0.025, 0.975))]


def compute_label_f1(gold: Sequence[str], predicted: Sequence[str | None]) -> dict[str, float]:
    """Compute macro- and micro-F1 over the labels that occur in `gold`.

    A row without a prediction is a false negative for its label and a false positive for none. A label that is predicted
    but never gold lowers micro-F1 and is not a class of its own in macro-F1.
    """
    names = sorted(set(gold))
    hits = dict.fromkeys(names, 0)
    for want, got in zip(gold, predicted, strict=True):
        hits[want] += want == got
    alarms = sum(got is not None for got in predicted)
    per_label = [
        2 * hits[name] / (sum(want == name for want in gold) + sum(got == name for got in predicted)) for name in names
    ]
    return {"f1_macro": float(np.mean(per_label)), "f1_micro": 2 * sum(hits.values()) / (len(gold) + alarms)}


def _label_f1_with_intervals(predictions: Sequence[Prediction], seed: int) -> dict[str, Any]:
    names = {name: place for place, name in enumerate(sorted({row.answer for row in predictions}))}
    other, none = len(names), len(names) + 1
    gold = np.array([names[row.answer] for row in predictions])
    got = np.array([none if row.prediction is None else names.get(row.prediction, other) for row in predictions])
    draw = np.random.default_rng(seed)
    rows = list(rows_by_domain([row.domain for row in predictions]).values())
    samples: dict[str, list[float]] = {"f1_macro": [], "f1_micro": []}
    for _ in range(BOOTSTRAP_SAMPLES // 2):
        pick = np.concatenate([index[draw.integers(0, len(index), len(index))] for index in rows])
        hit = np.bincount(gold[pick][gold[pick] == got[pick]], minlength=other)
        wanted, given = np.bincount(gold[pick], minlength=other), np.bincount(got[pick], minlength=none + 1)
        present = wanted > 0
        samples["f1_macro"].append(float((2 * hit[present] / (wanted + given[:other])[present]).mean()))
        samples["f1_micro"].append(float(2 * hit.sum() / (len(pick) + given[:none].sum())))
    point = compute_label_f1([row.answer for row in predictions], [row.prediction for row in predictions])
    return {**point, **{f"{name}_ci95": compute_interval(np.array(values)) for name, values in samples.items()}}


def compute_metrics(predictions: Sequence[Prediction], tail: AbstractSet[str], *, seed: int = 0) -> dict[str, Any]:
    """Compute all metrics of one student on one test set.

    Accuracy is always computed. The SQuAD F1 of text rows and the ROUGE-L of text and formulation rows are aggregated in the
    same way. Label rows get macro- and micro-F1 over labels, unless there are text rows too, whose F1 has the same name.
    """
    domains = [row.domain for row in predictions]
    correct = np.array([row.is_correct for row in predictions], dtype=float)
    metrics = {"examples": len(predictions), **summarize_values(correct, domains, tail, name="accuracy", seed=seed)}
    metrics["unanswered"] = sum(row.prediction is None for row in predictions)
    metrics["truncated"] = sum(row.is_truncated for row in predictions)
    for name in ("f1", "rouge_l"):
        scored = [(row.domain, score) for row in predictions if (score := getattr(row, name)) is not None]
        if scored:
            values = np.array([score for _, score in scored], dtype=float)
            summary = summarize_values(values, [domain for domain, _ in scored], tail, name=name, seed=seed)
            for domain, entry in summary.pop("domains").items():
                metrics["domains"][domain].update({key: entry[key] for key in (name, f"{name}_ci95")})
            metrics.update(summary)
    labelled = [row for row in predictions if ANSWERS[row.answer_type].is_label]
    if labelled and "f1_micro" not in metrics:  # with text rows too, the name means their F1
        metrics.update(_label_f1_with_intervals(labelled, seed))
    return metrics


def compute_gain(
    before: Sequence[Prediction], after: Sequence[Prediction], tail: AbstractSet[str], *, seed: int = 0
) -> dict[str, Any]:
    """Compute the paired difference in accuracy, after − before, with intervals, in the form of `summarize_values`.

    Raises:
        ValueError: the two don't contain the same rows.
    """
    first = {row.id: row.is_correct for row in before}
    if set(first) != {row.id for row in after} or len(before) != len(after):
        raise ValueError(f"the {len(before)} rows before and the {len(after)} rows after are not the same rows")
    difference = np.array([float(row.is_correct) - float(first[row.id]) for row in after])
    return summarize_values(difference, [row.domain for row in after], tail, name="accuracy", seed=seed)


def make_prediction(task: Task, example: Example, answer: str | None, text: str, *, is_truncated: bool) -> Prediction:
    """Compare an answer with the gold answer, by the same rule for students and teachers.

    Args:
        task: decides whether two answers are equal.
        example: the labelled row.
        answer: the answer read from `text`, or None.
        text: everything that was written.
        is_truncated: whether the token limit ended it.
    """
    kind = ANSWERS[example.answer_type]
    return Prediction(
        id=example.id,
        domain=example.domain,
        answer=example.answer,
        answer_type=example.answer_type,
        prediction=answer,
        is_correct=task.is_correct(answer, example),
        f1=None if kind.measure_f1 is None else kind.measure_f1(answer, example.answer),
        text=text,
        is_truncated=is_truncated,
        rouge_l=compute_rouge_l(text if answer is None else answer, example.answer) if kind.has_rouge else None,
    )
