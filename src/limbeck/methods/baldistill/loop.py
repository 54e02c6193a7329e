"""BalDistill: multi-stage balanced sequence-level distillation.

Zhou, Zhu, Xu, Liu, Wang, Koutra, Ai, Huang: "Multi-Stage Balanced Distillation: Addressing Long-Tail Challenges in
Sequence-Level Knowledge Distillation", Findings of EMNLP 2024, arXiv 2406.13114.

Mechanism: a budget of B teacher-annotated examples is spent in K stages. Each stage gives every domain a quota (§3,
policies N and A). A domain that has more real examples left than its quota is *head* and gives those with the highest
IFD under the last stage's student; the others are *tail*: all they have is taken and the teacher synthesizes the rest.
The teacher writes a rationale for each chosen example, with the gold answer in its prompt. A fresh student is trained on
everything kept so far.

Deviations, each a setting or stated where it happens: quotas sum to B exactly (`selection.quotas`); rejected examples are
replaced (``on_mismatch: consume`` is the released code); completions alone are learnt (the released code trains on the
prompt too); IFD uses the training prompt (`student.ifd`). ``pooling: premixed`` follows the released code instead of the
text: all synthetic examples a domain will need are made before stage 0 and compete with the real ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from limbeck.data.example import Example
from limbeck.data.pool import Pool
from limbeck.methods.baldistill.candidates import order_scored
from limbeck.methods.baldistill.collect import collect, read_batch, synthesize_in_advance, write_batch
from limbeck.methods.baldistill.feedback import count_errors
from limbeck.methods.context import Distillation, Job, add_counts
from limbeck.methods.settings import BalDistillSettings
from limbeck.methods.watch import make_guard, watch_diversity
from limbeck.run_folder.folder import StageFolder
from limbeck.selection.pick import order_randomly
from limbeck.selection.quotas import GLOBAL, compute_quotas
from limbeck.student.scores import SCORES
from limbeck.system.files import write_jsonl


def run_baldistill(job: Job, settings: BalDistillSettings) -> Distillation:
    """The whole method. Finished stages and steps are read from the run folder instead of done again.

    Raises:
        NothingKept: the first examples that were wanted could not be had; the message has the share of each reason.
        TeacherError: the teacher failed every request.
    """
    pool = Pool(job.examples)
    pool.remove(job.unavailable)
    known = make_guard(job, settings.near_duplicates, settings.near_duplicate_cosine)
    result = Distillation()
    if settings.pooling == "premixed" and settings.tail == "synthesize":
        pool.add(synthesize_in_advance(job, settings, pool, known))
    for stage in range(settings.stages):
        job.begin_stage(stage)
        folder = job.folder.stage(stage)
        if folder.is_collected:
            batch = read_batch(folder, known)
        else:
            errors = count_errors(job, pool, stage, result.last_stage) if settings.quota == "error" else {}
            quotas = compute_quotas(
                settings.quota,
                pool.counts,
                budget=job.max_examples,
                stages=settings.stages,
                stage=stage,
                offset=settings.adaptive_offset,
                errors=errors,
            )
            queues = order_candidates(job, settings, pool, quotas, stage, result.last_stage)
            batch = collect(job, settings, pool, queues, quotas, stage, result.training_set, known, result.last_stage)
            write_batch(folder, stage, quotas, pool, batch, is_cut_short=job.teacher.budget.exhausted is not None)
        pool.remove([e.id for e in batch.kept] + [r.example_id for r in batch.rejected if r.example_id])
        result.training_set += batch.kept
        result.missing = add_counts(result.missing, batch.missing)
        watch_diversity(job, known, folder, result.training_set)

        if batch.kept:
            is_fresh = settings.student_init == "fresh" or result.last_stage is None
            job.train(folder, result.training_set, place=(stage,), start_from=None if is_fresh else result.last_stage)
            job.measure_stage(stage)
            result.last_stage = folder
        result.is_cut_short = folder.is_cut_short
        if result.is_cut_short:
            break
        folder.mark_done()
    return result


def order_candidates(
    job: Job, settings: BalDistillSettings, pool: Pool, quotas: Mapping[str, int], stage: int, last: StageFolder | None
) -> dict[str, list[Example]]:
    """The candidates of each domain (or of the whole pool, under `GLOBAL`), best first.

    Stage 0 and ``selection: random`` order at random. Else the last student scores the candidates, and domains that are
    taken whole are not scored; of a large domain only a random `max_candidates_per_domain` (at least its quota) are. Guards and
    diversity then have their say (`methods.choose`).
    """
    by_group = (
        {GLOBAL: [e for domain in pool.domains for e in pool.candidates(domain)]}
        if GLOBAL in quotas
        else {domain: pool.candidates(domain) for domain in pool.domains}
    )
    queues = {group: order_randomly(found, job.seed, stage, group) for group, found in by_group.items()}
    if last is None or settings.selection == "random":
        return queues
    scored: list[Example] = []
    for group, queue in queues.items():
        if 0 < quotas[group] < len(queue):
            scored += bound_candidates(queue, settings.max_candidates_per_domain, quotas[group])
    rows = job.folder.stage(stage).read_scores()
    if rows is None:
        what = f"scoring {len(scored)} candidates by {settings.selection}"
        scores = SCORES[settings.selection](
            job.load(last),
            scored,
            job.encoder,
            max_new_tokens=settings.score_max_new_tokens,
            batch_size=job.evaluation.batch_size,
            on_batch=lambda done, total: job.say(what, done, total),
        )
        rows = [asdict(score) for score in scores]
        write_jsonl(job.folder.stage(stage).path / "scores.jsonl", rows)
    return order_scored(job, settings, queues, rows, quotas, stage, last)


def bound_candidates(queue: Sequence[Example], limit: int | None, quota: int) -> list[Example]:
    """The first `limit` of each domain in the queue (all where it is None), and at least `quota` in all."""
    if limit is None:
        return list(queue)
    seen: Counter[str] = Counter()
    chosen: list[Example] = []
    rest: list[Example] = []
    for example in queue:
        seen[example.domain] += 1
        (chosen if seen[example.domain] <= limit else rest).append(example)
    return chosen + rest[: max(0, quota - len(chosen))]
