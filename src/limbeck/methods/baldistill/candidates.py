"""The order in which a stage chooses candidates: hardest first, doubtful scores held back, diverse ones in front."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from limbeck.data.example import Example
from limbeck.data.score import Score
from limbeck.methods.baldistill.state import BalDistillState
from limbeck.run_folder.stage import StageFolder
from limbeck.selection.diverse import DIVERSITIES
from limbeck.selection.pick import choose_held_back, count_flags, order_by_score, order_randomly
from limbeck.selection.quotas import GLOBAL
from limbeck.student.tables import SCORES


def order_candidates(state: BalDistillState, quotas: Mapping[str, int]) -> dict[str, list[Example]]:
    """Order the candidates of each domain (or of the whole pool, under `GLOBAL`), best first.

    Stage 0 and ``selection: random`` order at random. Otherwise the last student scores the candidates. Domains that are taken
    whole are not scored. In a large domain only a random `max_candidates_per_domain` are scored, but at least its quota.
    """
    pool, stage, last, settings = state.pool, state.stage, state.last, state.settings
    by_group = (
        {GLOBAL: [e for domain in pool.domains for e in pool.candidates(domain)]}
        if GLOBAL in quotas
        else {domain: pool.candidates(domain) for domain in pool.domains}
    )
    queues = {group: order_randomly(found, state.context.seed, stage, group) for group, found in by_group.items()}
    if last is None or settings.selection == "random":
        return queues
    scored: list[Example] = []
    for group, queue in queues.items():
        if 0 < quotas[group] < len(queue):
            scored += bound_candidates(queue, settings.max_candidates_per_domain, quotas[group])
    return order_scored(state, queues, score_once(state, scored, last), quotas, last)


def bound_candidates(queue: Sequence[Example], limit: int | None, quota: int) -> list[Example]:
    """The first `limit` candidates of each domain in the queue (all if None), but at least `quota` in total."""
    if limit is None:
        return list(queue)
    seen: Counter[str] = Counter()
    chosen: list[Example] = []
    rest: list[Example] = []
    for example in queue:
        seen[example.domain] += 1
        (chosen if seen[example.domain] <= limit else rest).append(example)
    return chosen + rest[: max(0, quota - len(chosen))]


def score_once(state: BalDistillState, candidates: Sequence[Example], last: StageFolder) -> list[Score]:
    """Score the candidates with the last student; a resumed run reads the scores."""
    file, settings = state.folder.scores, state.settings
    if not file.exists():
        file.write(
            state.context.engine.score(
                last.student, candidates, settings.selection, max_new_tokens=settings.score_max_new_tokens
            )
        )
    return file.read()


def order_scored(
    state: BalDistillState,
    queues: Mapping[str, Sequence[Example]],
    rows: Sequence[Score],
    quotas: Mapping[str, int],
    last: StageFolder,
) -> dict[str, list[Example]]:
    """Order each queue with the candidates to choose first in front, and leave out those that a guard drops.

    If `diversity` is set, the ``quota · diversity_pool`` hardest candidates come first, in the order that `DIVERSITIES` gives,
    so that a replacement for a rejected candidate also differs from those before it. Then come the others, hardest first,
    then those without a score, and then those that a guard puts last.

    The stage's selection file contains the number of doubtful scores and these fronts. A resumed run reads the fronts, because
    recomputed vectors may differ in their last digits.

    Args:
        state: of the run.
        queues: all candidates of each group.
        rows: scores; candidates of domains that are taken whole have none.
        quotas: of each group.
        last: folder of the last stage that has a student.
    """
    settings, file = state.settings, state.folder.selection
    is_ratio = SCORES[settings.selection].is_ratio
    held_back, dropped = choose_held_back(rows, settings.guards if is_ratio else {})
    scores = {row.id: row.score for row in rows}
    ordered = {group: order_by_score(queue, scores, last=held_back, dropped=dropped) for group, queue in queues.items()}
    if not file.exists():
        fronts = {}
        if settings.diversity != "none":
            scored = {name for name, score in scores.items() if score is not None} - held_back
            hardest = {
                group: [e for e in queue if e.id in scored][: quotas[group] * settings.diversity_pool]
                for group, queue in ordered.items()
            }
            fronts = spread(state, hardest, quotas, last)
        counts = count_flags(rows, dropped) if is_ratio else {}
        file.write({"selection": settings.selection, "domains": counts, "fronts": fronts})
    fronts = file.read()["fronts"]
    return {group: move_to_front(queue, fronts.get(group, ())) for group, queue in ordered.items()}


def spread(
    state: BalDistillState, hardest: Mapping[str, Sequence[Example]], quotas: Mapping[str, int], last: StageFolder
) -> dict[str, list[str]]:
    """Order the ids of each group's hardest candidates, diverse ones first; groups without any are left out."""
    flat = [example for candidates in hardest.values() for example in candidates]
    if not flat:
        return {}
    state.context.on_progress(f"comparing {len(flat)} candidates", 0, 0)
    vectors = embed(state, flat, last)
    fronts, start = {}, 0
    for group, candidates in hardest.items():
        if candidates:
            part = vectors[start : start + len(candidates)]
            order = DIVERSITIES[state.settings.diversity](part, quotas[group])
            fronts[group] = [candidates[place].id for place in order]
        start += len(candidates)
    return fronts


def embed(state: BalDistillState, examples: Sequence[Example], last: StageFolder) -> np.ndarray:
    """Embed the examples, shape (examples, dimensions): their questions with ``minilm``, or with the last ``student``."""
    engine = state.context.engine
    if state.settings.diversity_by == "minilm":
        return engine.embed_texts([example.question for example in examples])
    return engine.embed_examples(last.student, examples)


def move_to_front(queue: Sequence[Example], ids: Sequence[str]) -> list[Example]:
    """Move the examples with these ids to the front of the queue, in the order of the ids."""
    turns = {name: turn for turn, name in enumerate(ids)}
    return sorted(queue, key=lambda example: turns.get(example.id, len(turns)))
