"""What the last student guides besides the order of candidates: the quotas of ``quota: error``."""

from __future__ import annotations

from collections import Counter
from typing import Any

from limbeck.data.pool import Pool
from limbeck.methods.job import Job
from limbeck.run_folder import StageFolder
from limbeck.selection.pick import order_randomly
from limbeck.storage import read_json_lines, write_jsonl

HELD_OUT_PER_DOMAIN = 16


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
