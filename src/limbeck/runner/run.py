"""One run from config to student: data → guards → baseline → method → final student, metrics and model card."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from limbeck.config.changes import check_same_run
from limbeck.config.config import Config, ConfigLike, as_config
from limbeck.engines.table import ENGINES
from limbeck.errors import BudgetExhausted, ConfigError, NothingKept
from limbeck.inputs.data import RunData
from limbeck.methods.context import MethodContext
from limbeck.methods.table import METHODS
from limbeck.planner.history import learn_if_there
from limbeck.planner.tokens import load_counter
from limbeck.progress import Progress
from limbeck.reports.spend import compare_with_plan
from limbeck.run_folder.folder import RunFolder
from limbeck.run_folder.plan import PlanTotals
from limbeck.runner.finish import RunResult, finish
from limbeck.runner.measure import measure_teacher_once, measure_untouched_once
from limbeck.runner.prepare import make_plan, prepare
from limbeck.runner.reporter import Reporter
from limbeck.system.versions import list_versions, read_commit
from limbeck.teacher.client.budget import Budget
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.client.teacher import Teacher


def run(config: ConfigLike, out: str | Path | None = None, *, progress: Progress | None = None) -> RunResult:
    """Run a config, or resume it in its run folder.

    Args:
        config: a config, its YAML file, or its plain values.
        out: the run folder: new, empty, or made with this config; None means ``runs/NAME``.
        progress: receives the progress; None shows nothing.

    Raises:
        ConfigError: the config can't be run, or the folder was made with another one.
        DataError, TeacherError, NothingKept, StorageError: see `limbeck.errors`.
    """
    config, progress = as_config(config), progress or Progress()
    out = Path("runs") / config.name if out is None else Path(out)
    data = prepare(config, out)  # before torch is loaded, so that bad input is reported at once
    progress.step(None, "loading torch and the student", 0, 0)
    engine = ENGINES[config.execution.engine]
    with engine.quiet():
        engine.check(config.student, config.training)
    for note in data.notes:
        progress.note(note)
    with RunFolder.open(out) as folder:
        claim_folder(folder, config, data)
        ledger, began = Ledger(folder.ledger), time.monotonic()
        before = folder.state
        try:
            unknown = ledger.mark_unknown()
            if unknown:
                progress.note(
                    f"{unknown} request(s) were in flight when the last process ended; they count as spent and are asked "
                    "again once"
                )
            with engine.quiet():
                return _run_in(folder, config, data, ledger, progress)
        except KeyboardInterrupt:
            folder.update_state(status="interrupted", teacher=None)
            raise
        except BaseException as error:
            is_budget = isinstance(error, BudgetExhausted | NothingKept)
            folder.update_state(status="budget" if is_budget else "failed", error=f"{type(error).__name__}: {error}")
            raise
        finally:
            ledger.close()
            _add_seconds(folder, before, time.monotonic() - began)


def _add_seconds(folder: RunFolder, before: Mapping[str, float], seconds: float) -> None:
    """Add this process's time to the run's ``seconds``, without the time for measuring the untouched student."""
    baseline_s = folder.state.get("baseline_s", 0.0) - before.get("baseline_s", 0.0)
    folder.update_state(seconds=before.get("seconds", 0.0) + seconds - baseline_s)


def _run_in(folder: RunFolder, config: Config, data: RunData, ledger: Ledger, progress: Progress) -> RunResult:
    budget = Budget(config.budget, ledger.sum_spend())
    reporter = Reporter(folder, progress, budget)
    planned = plan_once(folder, config, data)
    with Teacher(
        data.backend,
        ledger,
        budget,
        config.teacher,
        on_settled=reporter.report_spend,
        on_note=progress.note,
        on_state=reporter.report_teacher,
    ) as teacher:
        reporter.report_spend(None)
        context = make_context(folder, config, data, teacher, reporter, progress)
        result = _distil(context, config, data, reporter, progress)
    spent = budget.spent
    folder.update_state(
        spent={"requests": spent.requests, "tokens": spent.tokens, "cost_usd": spent.cost_usd}, models=ledger.count_models()
    )
    progress.note(compare_with_plan(planned, spent.requests, spent.tokens, spent.cost_usd))
    return result


def plan_once(folder: RunFolder, config: Config, data: RunData) -> PlanTotals:
    """The totals of the run's plan, made before it asks anything; a resumed run keeps its first plan."""
    if not folder.plan.exists():
        count = load_counter(config.teacher)
        learned = learn_if_there(folder.path, config.teacher, config.method.model_dump(mode="json"), count)  # from a probe
        folder.plan.write(make_plan(config, data, learned, count).to_json())
    totals = folder.plan.read().totals
    folder.update_state(planned=totals.to_json())
    return totals


def make_context(
    folder: RunFolder, config: Config, data: RunData, teacher: Teacher, reporter: Reporter, progress: Progress
) -> MethodContext:
    """Make the context that a config's method runs in."""
    engine = ENGINES[config.execution.engine].open(
        config.student,
        config.training,
        config.evaluation,
        data.task,
        has_rationale=config.method.has_rationale,
        is_separate=config.method.is_separate,
        on_progress=reporter.report_step,
    )
    return MethodContext(
        seed=config.seed,
        task=data.task,
        examples=data.train,
        unavailable=data.unavailable,
        dev=data.dev,
        tail=data.tail,
        leaks=data.leaks,
        is_domain_answer=config.data.domain == "answer",
        max_examples=config.budget.max_examples,
        teacher=teacher,
        engine=engine,
        training=config.training,
        evaluation=config.evaluation,
        folder=folder,
        on_progress=reporter.report_step,
        begin_stage=reporter.begin_stage,
        on_note=progress.note,
    )


def _distil(context: MethodContext, config: Config, data: RunData, reporter: Reporter, progress: Progress) -> RunResult:
    for note in context.engine.find_unknown_text([*data.train, *data.dev, *data.test]):
        progress.note(note)
    baseline = measure_untouched_once(context, data.test)
    distillation = METHODS[config.method.name].run(context, config.method)
    for note in context.engine.find_unknown_text(distillation.training_set, only_rationales=True):
        progress.note(note)
    reporter.begin_stage(None)
    if config.evaluation.teacher and data.test:
        measure_teacher_once(context, data.test)
    exhausted = context.teacher.budget.exhausted
    if distillation.is_cut_short and distillation.last_stage is None and exhausted is not None:
        raise exhausted  # no example was kept, so there is nothing to train on
    return finish(context, data, baseline, distillation, progress)


def claim_folder(folder: RunFolder, config: Config, data: RunData) -> None:
    """Write config and state into a new folder, or check that an existing one belongs to this config.

    Raises:
        ConfigError: the folder was made with another config or other data; the message names the keys.
    """
    state = folder.state
    if state:
        check_same_run(folder.path, folder.config, state, config, data.hashes)
    elif not folder.is_free:
        raise ConfigError(f"{folder.path} contains files but no run; choose an empty or new folder as --out")
    folder.write_config(config.model_dump(mode="json"))
    folder.update_state(
        status="running",
        name=config.name,
        seed=config.seed,
        started_at=state.get("started_at", time.time()),
        data=dict(data.hashes),
        domains=dict(data.counts),
        stages=config.method.step_count,
        method=config.method.describe(),
        versions=list_versions(),
        commit=read_commit(),
        error=None,
        teacher=None,
        overlap=dict(data.overlap),
    )
    if data.left_out:
        folder.left_out.write(data.left_out)
