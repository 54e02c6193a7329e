"""Uses the last student to set quotas (``quota: error``) and to choose the examples in synthesis prompts (``feedback``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from limbeck.data.example import Example
from limbeck.evaluation.metrics import Prediction
from limbeck.methods.baldistill.state import BalDistillState
from limbeck.run_folder.stage import StageFolder
from limbeck.selection.band import choose_band
from limbeck.selection.pick import order_randomly

HELD_OUT_PER_DOMAIN = 16
BAND = (0.50, 0.75)  # GOLD's


def count_errors(state: BalDistillState) -> dict[str, tuple[int, int]]:
    """``(wrong, measured)`` rows of each domain under the last student; empty if there is none.

    The rows are the dev rows, as the last stage measured them, or without dev rows those of `measure_candidates`. The test set
    is never used.
    """
    last = state.last
    if last is None:
        return {}
    rows = last.predictions.read() if state.context.dev else measure_candidates(state, last)
    measured = Counter(row.domain for row in rows)
    wrong = Counter(row.domain for row in rows if not row.is_correct)
    return {domain: (wrong[domain], count) for domain, count in measured.items()}


def measure_candidates(state: BalDistillState, last: StageFolder) -> list[Prediction]:
    """The last student's predictions on candidates that no stage has taken: at most 16 per domain, a seeded choice.

    The student never saw them. Domains whose examples are all taken have none, and count as hard as the average. A resumed run
    reads the predictions.
    """
    context, pool, file = state.context, state.pool, state.folder.held_out
    if not file.exists():
        chosen = [
            example
            for domain in pool.domains
            for example in order_randomly(pool.candidates(domain), context.seed, state.stage, domain, "held-out")[
                :HELD_OUT_PER_DOMAIN
            ]
        ]
        file.write(context.answer(last, chosen, f"measuring on {len(chosen)} candidates") if chosen else [])
    return file.read()


def choose_feedback(state: BalDistillState, known: Mapping[str, Sequence[Example]]) -> dict[str, list[Example]]:
    """Choose the examples that each domain's synthesis prompts show first; none with ``random`` or without a student.

    Of a domain's n known examples, as many are chosen as GOLD's band contains (about a quarter; none if n ≤ 2). ``energy``
    chooses the band of the ranks by the last student's energy. ``error`` chooses what that student answers wrongly, then the
    rest, largest loss first; it uses only inventions that votes agreed on, because a student that contradicts a wrong one is
    right. So the kinds of feedback differ only in *which* examples they show.

    Args:
        state: of the run.
        known: examples of each domain that lacks some.
    """
    feedback, last = state.settings.feedback, state.last
    if feedback == "random" or last is None or state.is_spent:
        return {}
    rows = score_known(state, known, last)
    chosen = {}
    for domain, examples in known.items():
        scored = {example.id: rows[example.id] for example in examples}
        names = choose_band({name: row["energy"] for name, row in scored.items()}, *BAND)
        if feedback == "error":
            sure = {example.id for example in examples if is_sure(example)}
            names = sorted(sure, key=lambda name: (scored[name]["is_correct"], -scored[name]["nll"], name))[: len(names)]
        by_id = {example.id: example for example in examples}
        chosen[domain] = [by_id[name] for name in names]
    return chosen


def is_sure(example: Example) -> bool:
    """Whether an example's answer is known to be right: the example is real, or the teacher's votes agreed on the answer."""
    return example.provenance.kind == "real" or "agreement" in example.meta


def score_known(state: BalDistillState, known: Mapping[str, Sequence[Example]], last: StageFolder) -> dict[str, dict[str, Any]]:
    """Each example's energy and loss under the last student and, with ``error``, whether it answers correctly; by id.

    A resumed run reads them, so that its prompts show the same examples. Each domain is scored separately: the padding of a
    batch changes the last digits, and which domains lack examples may change on resuming.
    """
    context, file = state.context, state.folder.seed_scores
    rows = file.read() if file.exists() else []
    done = {row["id"] for row in rows}
    for examples in known.values():
        if done.issuperset(example.id for example in examples):
            continue
        scores = context.engine.score(last.student, examples, "energy")
        needs_answers = state.settings.feedback == "error"
        predictions = context.answer(last, examples, f"measuring {len(examples)} seed examples") if needs_answers else []
        is_correct = {prediction.id: prediction.is_correct for prediction in predictions}
        rows += [
            {
                "id": one.id,
                "domain": one.domain,
                "energy": one.parts["energy"],
                "nll": one.parts["nll"],
                "is_correct": is_correct.get(one.id),
            }
            for one in scores
        ]
        file.write(rows)
    return {row["id"]: row for row in rows}
