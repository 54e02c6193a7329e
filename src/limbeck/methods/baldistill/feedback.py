"""What the last student guides besides the order of candidates: quotas (``quota: error``) and seed examples (``feedback``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from limbeck.data.example import Example
from limbeck.data.pool import Pool
from limbeck.methods.context import Job
from limbeck.run_folder.folder import StageFolder
from limbeck.selection.band import choose_band
from limbeck.selection.pick import order_randomly
from limbeck.student.model import Student
from limbeck.student.scores import SCORES
from limbeck.system.files import read_json_lines, write_jsonl

HELD_OUT_PER_DOMAIN = 16
BAND = (0.50, 0.75)  # of GOLD (§2.3 of its notes)


def count_errors(job: Job, pool: Pool, stage: int, last: StageFolder | None) -> dict[str, tuple[int, int]]:
    """``(wrong, measured)`` rows of each domain under the last student; empty where there is none.

    Rows of dev, as the last stage measured them; without dev those of `measure_candidates`. The test set has no part.
    """
    if last is None:
        return {}
    rows = read_json_lines(last.path / "predictions.jsonl") if job.dev else measure_candidates(job, pool, stage, last)
    measured = Counter(row["domain"] for row in rows)
    wrong = Counter(row["domain"] for row in rows if not row["is_correct"])
    return {domain: (wrong[domain], count) for domain, count in measured.items()}


def measure_candidates(job: Job, pool: Pool, stage: int, last: StageFolder) -> list[dict[str, Any]]:
    """The last student's predictions on candidates that no stage has taken: 16 a domain at most, a seeded choice.

    It never saw them. Domains all of whose examples are taken have none and so count as hard as the average. Written to the
    stage's ``held_out.jsonl``, from which a resumed run reads them.
    """
    path = job.folder.stage(stage).path / "held_out.jsonl"
    if not path.exists():
        chosen = [
            example
            for domain in pool.domains
            for example in order_randomly(pool.candidates(domain), job.seed, stage, domain, "held-out")[:HELD_OUT_PER_DOMAIN]
        ]
        what = f"measuring on {len(chosen)} candidates"
        write_jsonl(path, job.measure(job.load(last), chosen, what) if chosen else [])
    return read_json_lines(path)


def choose_feedback(
    job: Job, feedback: str, known: Mapping[str, Sequence[Example]], stage: int, last: StageFolder | None
) -> dict[str, list[Example]]:
    """The examples of each domain that its synthesis prompts show before others; none under ``random`` and without a student.

    Of n known examples of a domain as many are chosen as GOLD's band holds (about a quarter, none of two or fewer): under
    ``energy`` the band of the ranks by the last student's energy, under ``error`` what that student answers wrongly, then the
    rest, largest loss first; of inventions only those on which votes agreed, since a student that contradicts a wrong one is
    right. So the kinds of feedback differ in *which* are shown and in nothing else.

    Args:
        job: has the student.
        feedback: ``random``, ``error`` or ``energy``.
        known: examples of each domain that lacks some.
        stage: stage that asks.
        last: of the last student.
    """
    if feedback == "random" or last is None or job.teacher.budget.exhausted is not None:
        return {}
    rows = score_known(job, feedback, known, stage, last)
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
    """Whether the answer of an example is known to be right: it is real, or the teacher's votes came to it again."""
    return example.provenance.kind == "real" or "agreement" in example.meta


def score_known(
    job: Job, feedback: str, known: Mapping[str, Sequence[Example]], stage: int, last: StageFolder
) -> dict[str, dict[str, Any]]:
    """Energy and loss of each example under the last student, and under ``error`` whether it answers rightly; by id.

    Written to the stage's ``feedback.jsonl``, from which a resumed run reads them, so that it shows the same. Each domain is
    scored by itself: what a batch is padded to moves the last digits, and which domains lack examples may change on resuming.
    """
    path = job.folder.stage(stage).path / "feedback.jsonl"
    rows = read_json_lines(path) if path.exists() else []
    done = {row["id"] for row in rows}
    student: Student | None = None
    for examples in known.values():
        if done.issuperset(example.id for example in examples):
            continue
        student = student or job.load(last)
        job.say(f"scoring {len(examples)} seed examples", 0, 0)
        scores = SCORES["energy"](student, examples, job.encoder, max_new_tokens=1, batch_size=job.evaluation.batch_size)
        predictions = job.measure(student, examples, f"measuring {len(examples)} seed examples") if feedback == "error" else []
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
        write_jsonl(path, rows)
    return {row["id"]: row for row in rows}
