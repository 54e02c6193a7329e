"""BalDistill: multi-stage balanced sequence-level distillation.

Zhou, Zhu, Xu, Liu, Wang, Koutra, Ai, Huang: "Multi-Stage Balanced Distillation: Addressing Long-Tail Challenges in
Sequence-Level Knowledge Distillation", Findings of EMNLP 2024, arXiv 2406.13114.

Mechanism: a budget of B teacher-annotated examples is spent in K stages. Each stage gives every domain a quota (§3,
policies N and A). A domain with enough real examples left for its quota is a *head* domain: the examples with the highest
IFD under the last stage's student are chosen. The others are *tail* domains: all their examples are taken, and the teacher
synthesizes the rest. The teacher writes a rationale for each chosen example, with the gold answer in its prompt. A fresh
student is trained on everything kept so far.

Deviations; each is a setting or is stated where it happens:

- Quotas sum to B exactly (`selection.quotas`).
- Rejected examples are replaced (``on_mismatch: consume`` follows the released code).
- Students learn only completions; the released code also trains on the prompt.
- IFD uses the training prompt (`student.ifd`).
- ``pooling: premixed`` follows the released code instead of the paper's text: all synthetic examples that a domain will need
  are made before stage 0 and compete with the real ones.
"""

from __future__ import annotations

from limbeck.data.pool import Pool
from limbeck.methods.baldistill.candidates import order_candidates
from limbeck.methods.baldistill.collect import collect, read_batch, synthesize_in_advance, write_batch
from limbeck.methods.baldistill.feedback import count_errors
from limbeck.methods.baldistill.settings import BalDistillSettings
from limbeck.methods.baldistill.state import BalDistillState
from limbeck.methods.context import Distillation, MethodContext
from limbeck.methods.watch import make_guard, watch_diversity
from limbeck.selection.quotas import QUOTAS, compute_quotas


def run_baldistill(context: MethodContext, settings: BalDistillSettings) -> Distillation:
    """Run BalDistill. Finished stages and steps are read from the run folder instead of repeated.

    Raises:
        NothingKept: none of the first wanted examples was kept; the message has the share of each reject reason.
        TeacherError: the teacher failed every request.
    """
    pool = Pool(context.examples)
    pool.remove(context.unavailable)
    state = BalDistillState(context, settings, pool, make_guard(context, settings))
    if settings.pooling == "premixed" and settings.tail == "synthesize":
        pool.add(synthesize_in_advance(state))
    for stage in range(settings.stages):
        state.stage = stage
        context.begin_stage(stage)
        folder = state.folder
        if folder.is_collected:
            batch = read_batch(state)
        else:
            quotas = compute_stage_quotas(state)
            queues = order_candidates(state, quotas)
            batch = collect(state, queues, quotas)
            write_batch(state, quotas, batch)
        state.take(batch)
        watch_diversity(context, state.known, folder, state.training_set)
        if batch.kept:
            start_from = state.last if settings.student_init == "continue" else None
            context.train_once(folder, state.training_set, place=(stage,), start_from=start_from)
            context.measure_stage(folder)
            state.result.last_stage = folder
        state.result.is_cut_short = folder.is_cut_short
        if state.result.is_cut_short:
            break
        folder.mark_done()
    return state.result


def compute_stage_quotas(state: BalDistillState) -> dict[str, int]:
    """Compute how many examples of each domain the stage wants."""
    settings = state.settings
    return compute_quotas(
        settings.quota,
        state.pool.counts,
        budget=state.context.max_examples,
        stages=settings.stages,
        stage=state.stage,
        offset=settings.adaptive_offset,
        errors=count_errors(state) if QUOTAS[settings.quota].needs_errors else {},
    )
