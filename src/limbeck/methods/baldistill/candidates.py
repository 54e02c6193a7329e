"""The order in which scored candidates are chosen: hardest first, doubtful scores held back, and unlike ones in front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from limbeck.data.example import Example
from limbeck.methods.context import Job
from limbeck.methods.settings import BalDistillSettings
from limbeck.run_folder.folder import StageFolder
from limbeck.selection.diverse import DIVERSITIES
from limbeck.selection.pick import count_flags, find_held_back, order_by_score
from limbeck.student.embed import embed_examples, embed_texts
from limbeck.system.files import read_json, write_json

SELECTION = "selection.json"


def order_scored(
    job: Job,
    settings: BalDistillSettings,
    queues: Mapping[str, Sequence[Example]],
    rows: Sequence[Mapping[str, Any]],
    quotas: Mapping[str, int],
    stage: int,
    last: StageFolder,
) -> dict[str, list[Example]]:
    """Each queue with the candidates to choose first in front; those that a guard drops are left out of it.

    Where `diversity` is set, the ``quota · diversity_pool`` hardest candidates come first, all of them in the order that
    `DIVERSITIES` gives, so that one that stands in for a rejected candidate is unlike those before it as well. Then come the
    others, hardest first, those without a score, and those that a guard puts last.

    The stage's ``selection.json`` holds, under ``ifd``, how many scores are doubtful, and these fronts, which a resumed run
    reads, since vectors made anew may differ in their last digits.

    Args:
        job: has the student.
        settings: of the method.
        queues: all candidates of each group.
        rows: of the stage's ``scores.jsonl``; candidates of domains that are taken whole have none.
        quotas: of each group.
        stage: the one that chooses.
        last: of the last student.
    """
    is_ifd = settings.selection == "ifd"
    held_back, dropped = find_held_back(rows, settings.guards if is_ifd else {})
    scores = {row["id"]: row["score"] for row in rows}
    ordered = {group: order_by_score(queue, scores, last=held_back, dropped=dropped) for group, queue in queues.items()}
    path = job.folder.stage(stage).path / SELECTION
    if not path.exists():
        fronts = {}
        if settings.diversity != "none":
            scored = {name for name, score in scores.items() if score is not None} - held_back
            hardest = {
                group: [e for e in queue if e.id in scored][: quotas[group] * settings.diversity_pool]
                for group, queue in ordered.items()
            }
            fronts = spread(job, settings, hardest, quotas, last)
        counts = count_flags(rows, dropped) if is_ifd else {}
        write_json(path, {"selection": settings.selection, "domains": counts, "fronts": fronts})
    fronts = read_json(path)["fronts"]
    return {group: move_to_front(queue, fronts.get(group, ())) for group, queue in ordered.items()}


def spread(
    job: Job,
    settings: BalDistillSettings,
    hardest: Mapping[str, Sequence[Example]],
    quotas: Mapping[str, int],
    last: StageFolder,
) -> dict[str, list[str]]:
    """The ids of each group's hardest candidates, unlike ones first; groups that have none are left out."""
    flat = [example for candidates in hardest.values() for example in candidates]
    if not flat:
        return {}
    job.say(f"looking for unlike ones among {len(flat)} candidates", 0, 0)
    vectors = embed(job, settings.diversity_by, flat, last)
    fronts, start = {}, 0
    for group, candidates in hardest.items():
        if candidates:
            part = vectors[start : start + len(candidates)]
            fronts[group] = [candidates[place].id for place in DIVERSITIES[settings.diversity](part, quotas[group])]
        start += len(candidates)
    return fronts


def embed(job: Job, by: str, examples: Sequence[Example], last: StageFolder) -> np.ndarray:
    """Vectors of the examples, shape (examples, dimensions): of their questions by ``minilm``, or of the last ``student``."""
    if by == "minilm":
        return embed_texts([example.question for example in examples], batch_size=job.evaluation.batch_size)
    return embed_examples(job.load(last), examples, job.encoder, batch_size=job.evaluation.batch_size)


def move_to_front(queue: Sequence[Example], ids: Sequence[str]) -> list[Example]:
    """The queue with the examples of these ids first, in the order of the ids."""
    turns = {name: turn for turn, name in enumerate(ids)}
    return sorted(queue, key=lambda example: turns.get(example.id, len(turns)))
