"""GOLD: data-free distillation, guided by what the student does not know.

Gholami, Akbari, Hu, Masrani, Wang, Zhang: "GOLD: Generalized Knowledge Distillation via Out-of-Distribution-Guided
Language Data Generation", Findings of NAACL 2024, arXiv 2403.19754.

Mechanism: the teacher gets a task description and a few human examples, and generates examples in batches. In each round
the student is trained on what was generated so far. The teacher then writes probes that should differ from it, and the
student's energy ranks them. Probes in the middle-high band are neither known already nor likely noise, so the following
prompts show them. At the end a fresh student is trained on everything, including the probes, with a loss that limits the
damage of a wrong label.

Deviations; each is a setting or is stated where it happens:

- The band is computed from the valid probes (``compat``: the fixed window of the released code).
- Padding does not count in the energy (``compat``: it does).
- Feedback is shown in the conversation like a human example.
- Batches are balanced over labels by request; the released code draws labels at random.
- Rejected replies are replaced (``compat``: they are not).
- The final student is chosen on held-out *generated* examples; the released code looks at the test set after every epoch.
- Seq2seq tasks follow the classification schedule; their own in the released code is an accident of nested conditions.
"""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.data.example import Example
from limbeck.methods.context import Distillation, MethodContext, add_counts
from limbeck.methods.gold.final import train_final
from limbeck.methods.gold.generation import GoldState, count_groups, read_round, write_round
from limbeck.methods.gold.settings import GoldSettings
from limbeck.methods.watch import make_guard, watch_diversity
from limbeck.run_folder.stage import StageFolder
from limbeck.selection.rounds import Round, make_rounds


def run_gold(context: MethodContext, settings: GoldSettings) -> Distillation:
    """Run GOLD. Finished rounds are read from the run folder instead of repeated.

    Raises:
        NothingKept: the teacher does not follow the expected form; the message has the most frequent reasons.
        TeacherError: the teacher failed every request.
    """
    state = GoldState(context, settings, make_guard(context, settings))
    result = Distillation()
    last: StageFolder | None = None
    for plan in make_rounds(
        rounds=settings.rounds,
        batches_per_round=settings.batches_per_round,
        batch_size=settings.batch_size,
        probe_size=settings.probes,
        feedback_rate=settings.feedback_rate,
        is_compat=settings.compat,
    ):
        if len(result.training_set) >= context.max_examples:
            break
        context.begin_stage(plan.index)
        folder = context.folder.round(plan.index)
        if folder.is_done:
            read_round(folder, state)
        else:
            run_counted_round(state, plan, folder, last)
        watch_diversity(context, state.known, folder, state.kept)
        result.training_set, result.missing = state.kept, add_counts(result.missing, state.missing)
        result.is_cut_short = context.teacher.budget.exhausted is not None
        if result.is_cut_short:
            break
        folder.mark_done()
        if last is not None and folder.student.exists():
            last.drop_student()  # the next round continues from this round's student
        last = folder if folder.student.exists() else last
    if len(result.training_set) >= context.max_examples:
        result.missing = {}  # later rounds made up for what earlier ones lacked
    if result.training_set:
        context.begin_stage(None)
        result.last_stage = train_final(context, settings, result.training_set)
    return result


def run_counted_round(state: GoldState, plan: Round, folder: StageFolder, last: StageFolder | None) -> None:
    """`run_round`; one that fails leaves its counts and rejects, which the error refers to and a probe reads."""
    try:
        run_round(state, plan, folder, last)
    except BaseException:
        folder.write_counts(count_groups(state), state.facts.rejected)
        raise


def run_round(state: GoldState, plan: Round, folder: StageFolder, last: StageFolder | None) -> None:
    """One round: generate, update the student, probe, feed back (GOLD §3, Figure 2)."""
    settings = state.settings
    known_to_student = list(state.kept)
    state.begin(plan.index)
    state.generate(plan.lead, "lead")
    if settings.feedback != "none" and not state.is_over:
        if not settings.compat:
            known_to_student = state.kept
        if settings.feedback in ("error", "energy"):
            update_student(state, folder, known_to_student, last)
        state.probe(plan.probe_size)
        state.choose_feedback(folder)
    state.generate(plan.rest, "rest")
    state.end()
    write_round(folder, state)


def update_student(state: GoldState, folder: StageFolder, training_set: Sequence[Example], last: StageFolder | None) -> None:
    """Train the round's student on everything kept so far, with plain cross-entropy."""
    context, settings = state.context, state.settings
    changes: dict[str, object] = {
        "epochs": settings.update_epochs,
        "loss": "cross_entropy",
        "schedule": "constant",
        "warmup_ratio": 0.0,
    }
    if settings.compat:
        changes |= {"learning_rate": 5e-5, "batch_size": 8, "epochs": 1, "lora": None}
    if training_set:
        context.train_once(
            folder,
            training_set,
            place=("round", state.facts.index),
            training=context.training.model_copy(update=changes),
            start_from=last if settings.student_init == "continue" else None,
        )
