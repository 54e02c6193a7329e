"""One run from config to student: data → guards → baseline → method → final student, metrics and model card."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from limbeck.config.changes import check_same_run
from limbeck.config.config import Config
from limbeck.errors import BudgetExhausted, ConfigError, NothingKept
from limbeck.evaluation.metrics import Prediction
from limbeck.evaluation.statistics import describe_run_gain
from limbeck.inputs.data import RunData, prepare
from limbeck.methods.baldistill.loop import run_baldistill
from limbeck.methods.baldistill.plan import compare_with_plan, make_plan
from limbeck.methods.context import Distillation, Job
from limbeck.methods.gold.loop import run_gold
from limbeck.methods.settings import GoldSettings
from limbeck.planner.history import learn_if_there
from limbeck.planner.tokens import load_counter
from limbeck.progress import Progress
from limbeck.reports.card import write_card
from limbeck.run_folder.folder import RunFolder
from limbeck.run_folder.status import read_diversity
from limbeck.runner.measure import join_metrics, measure_once, measure_teacher_once, measure_untouched_once
from limbeck.runner.probe import is_free
from limbeck.selection.quotas import GLOBAL
from limbeck.student.context_length import check_places
from limbeck.student.encode import make_encoder
from limbeck.student.model import load_tokenizer, save_student
from limbeck.system.files import read_json, write_json, write_jsonl, write_text
from limbeck.system.versions import find_commit, find_versions
from limbeck.teacher.client.budget import Budget
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.client.teacher import Teacher
from limbeck.teacher.request import TeacherRequest


@dataclass(frozen=True)
class RunResult:
    """What a run gave.

    Attributes:
        metrics: as in ``metrics.json``, or None where there is no test set.
        student: folder of the final student, or None where none was trained (``stages: 0``).
        ended_by: the cap that ended the run early, or None.
        diversity: how varied the synthesized examples are (`limbeck.data.diversity.summarize`), or None where there are none.
    """

    folder: Path
    metrics: Mapping[str, Any] | None
    student: Path | None
    ended_by: BudgetExhausted | None
    diversity: Mapping[str, Any] | None = None


def run(config: Config, out: Path, progress: Progress | None = None, data: RunData | None = None) -> RunResult:
    """Run a config in a folder, or go on where the same config stopped there.

    Args:
        config: what to run.
        out: the run folder, new, empty, or made by this config.
        progress: told what is being done.
        data: what `prepare` gave for this config and folder, where that was called already.

    Raises:
        ConfigError: the config can't be run, or the folder was made by another one.
        DataError, TeacherError, NothingKept, StorageError: see `limbeck.errors`.
    """
    progress = progress or Progress()
    check_places(config.student, config.training.max_length)
    data = data or prepare(config, out)
    for note in data.notes:
        progress.note(note)
    with RunFolder.open(out) as folder:
        claim_folder(folder, config, data)
        ledger, began = Ledger(folder.path / "ledger.sqlite"), time.monotonic()
        before = folder.state
        try:
            unknown = ledger.mark_unknown()
            if unknown:
                progress.note(
                    f"{unknown} request(s) were in flight when the last process ended: counted as spent, asked again once"
                )
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


def _add_seconds(folder: RunFolder, before: Mapping[str, Any], seconds: float) -> None:
    """Add what this process took to ``run.json``'s ``seconds``, but for measuring the untouched student."""
    baseline_s = folder.state.get("baseline_s", 0.0) - before.get("baseline_s", 0.0)
    folder.update_state(seconds=before.get("seconds", 0.0) + seconds - baseline_s)


class _Reporter:
    """Tells the progress and ``run.json`` what is being done, and remembers the stage it is done in."""

    def __init__(self, folder: RunFolder, progress: Progress, budget: Budget) -> None:
        self._folder, self._progress, self._budget = folder, progress, budget
        self._stage: int | None = None
        self._said: tuple[int | None, str] | None = None

    def begin_stage(self, stage: int | None) -> None:
        self._stage = stage

    def say(self, text: str, done: int, total: int) -> None:
        if (self._stage, text) != self._said:
            self._said = self._stage, text
            self._folder.update_state(status="running", stage=self._stage, step=text)
        self._progress.step(self._stage, text, done, total)

    def report_spend(self, request: TeacherRequest | None) -> None:
        spent, domain = self._budget.spent, request.about.domain if request else None
        self._progress.spend(domain, spent.requests, spent.tokens, spent.cost_usd)

    def report_teacher(self, facts: Mapping[str, Any]) -> None:
        self._folder.update_state(teacher=dict(facts))


def _run_in(folder: RunFolder, config: Config, data: RunData, ledger: Ledger, progress: Progress) -> RunResult:
    budget = Budget(config.budget, ledger.sum_spend())
    reporter = _Reporter(folder, progress, budget)
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
        result = _distil(folder, config, data, teacher, reporter, progress)
    spent = budget.spent
    folder.update_state(
        spent={"requests": spent.requests, "tokens": spent.tokens, "cost_usd": spent.cost_usd}, models=ledger.count_models()
    )
    progress.note(compare_with_plan(planned, spent.requests, spent.tokens, spent.cost_usd))
    return result


def plan_once(folder: RunFolder, config: Config, data: RunData) -> dict[str, Any]:
    """The totals of the plan, made before the run asks anything; a resumed run keeps the one it began with."""
    path = folder.path / "plan.json"
    if not path.exists():
        count = load_counter(config.teacher)
        write_json(path, make_plan(config, data, learn_if_there(folder.path, config, count), count))  # of a probe
    totals: dict[str, Any] = read_json(path)["totals"]
    folder.update_state(planned=totals)
    return totals


def _distil(
    folder: RunFolder, config: Config, data: RunData, teacher: Teacher, reporter: _Reporter, progress: Progress
) -> RunResult:
    encoder = make_encoder(
        config.student,
        load_tokenizer(config.student),
        data.task,
        has_rationale=config.method.has_rationale,
        is_separate=config.method.is_separate,
    )
    job = Job(
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
        student=config.student,
        training=config.training,
        evaluation=config.evaluation,
        encoder=encoder,
        folder=folder,
        say=reporter.say,
        begin_stage=reporter.begin_stage,
        note=progress.note,
    )
    baseline = measure_untouched_once(job, folder.path / "baseline", data.test)
    if isinstance(config.method, GoldSettings):
        distillation = run_gold(job, config.method)
    else:
        distillation = run_baldistill(job, config.method)
    reporter.begin_stage(None)
    if config.evaluation.teacher and data.test:
        measure_teacher_once(job, folder.path / "teacher", data.test)
    if distillation.is_cut_short and distillation.last_stage is None and teacher.budget.exhausted is not None:
        raise teacher.budget.exhausted  # before a first example was kept, so there is nothing to train on
    return finish(job, config, data, baseline, distillation, progress)


def claim_folder(folder: RunFolder, config: Config, data: RunData) -> None:
    """Write ``config.yaml`` and ``run.json`` into a new folder, or check that an old one belongs to this config.

    Raises:
        ConfigError: the folder was made by another config, or other data; the message names the keys.
    """
    plain = config.model_dump(mode="json")
    state = folder.state
    if state:
        check_same_run(folder.path, folder.config, state, config, data.hashes)
    elif not is_free(folder.path):
        raise ConfigError(f"{folder.path} holds files but no run; choose an empty or new folder as --out")
    write_text(folder.path / "config.yaml", yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))
    folder.update_state(
        status="running",
        name=config.name,
        seed=config.seed,
        started_at=state.get("started_at", time.time()),
        data=dict(data.hashes),
        domains=dict(data.counts),
        stages=config.method.stages,
        versions=find_versions(),
        commit=find_commit(),
        error=None,
        teacher=None,
        overlap=dict(data.overlap),
    )
    if data.left_out:
        write_jsonl(folder.path / "left_out.jsonl", data.left_out)


def describe_bought(job: Job, distillation: Distillation) -> str:
    """What the spend has bought and what is missing, by domain, of what the plan foresaw."""
    kept, spent = distillation.training_set, job.teacher.budget.spent
    money = f" and {spent.cost_usd:.4f} USD" if spent.cost_usd else ""
    wanted: Counter[str] = Counter()
    for stage in read_json(job.folder.path / "plan.json")["stages"]:
        wanted.update({domain: share["quota"] for domain, share in stage["domains"].items()})
    by_domain = Counter(example.domain for example in kept) if GLOBAL not in wanted else Counter({GLOBAL: len(kept)})
    missing = sorted((wanted - by_domain).items(), key=lambda entry: (-entry[1], entry[0]))
    named = ", ".join(f"{domain} {count}" for domain, count in missing[:8])
    more = f" and {len(missing) - 8} more domains" if len(missing) > 8 else ""
    return (
        f"{spent.requests:,} requests, {spent.tokens:,} tokens{money} bought {len(kept)} of {job.max_examples} examples, on "
        f"which the student is trained; missing by domain: {named or 'none'}{more}."
    )


def finish(
    job: Job,
    config: Config,
    data: RunData,
    baseline: list[Prediction] | None,
    distillation: Distillation,
    progress: Progress,
) -> RunResult:
    """Write the final student, training set, metrics and model card."""
    folder, last = job.folder, distillation.last_stage
    student = None if last is None else folder.path / "student"
    if last is not None and student is not None and not folder.is_student_final(distillation.training_set):
        job.say("writing the final student", 0, 0)
        save_student(job.load(last), student, data.task, has_rationale=job.encoder.has_rationale)
    # After the student, and only then: rows of the training set say which one `student/` is.
    rows = [row for example in distillation.training_set for row in job.encoder.to_conversations(example)]
    write_jsonl(folder.path / "train.jsonl", rows)
    final = (
        baseline
        if last is None
        else measure_once(job, last.path / "test", data.test, lambda: job.load(last), "measuring the student")
    )
    metrics = None
    if baseline is not None and final is not None:
        metrics = join_metrics(job, baseline, final)
        write_json(folder.path / "metrics.json", metrics)
        if last is not None and (text := describe_run_gain(metrics["gain"], len(final))):
            progress.note(text)
    for domain, count in distillation.missing.items():
        progress.note(f"{domain}: {count} wanted example(s) could not be had")
    diversity = read_diversity(folder.path)
    if diversity is not None:
        progress.note(diversity["text"])
    exhausted = job.teacher.budget.exhausted if distillation.is_cut_short else None
    ended_by = exhausted and exhausted.explain(describe_bought(job, distillation))
    write_text(folder.path / "README.md", write_card(config, data.task, distillation, metrics))
    folder.update_state(
        status="budget" if ended_by else "done",
        stage=None,
        step=None,
        teacher=None,
        finished_at=time.time(),
        examples=len(distillation.training_set),
        missing=distillation.missing,
    )
    return RunResult(folder.path, metrics, student, ended_by, diversity and diversity["summary"])
