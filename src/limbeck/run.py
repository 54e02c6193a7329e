"""One run from config to student: data → guards → baseline → method → final student, metrics and model card."""

from __future__ import annotations

import hashlib
import importlib.metadata
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from limbeck.config import Config, find_differences
from limbeck.data.example import Example
from limbeck.data.overlap import LeakGuard
from limbeck.data.sources import Reading, collect_labels, read_examples
from limbeck.data.task import Task
from limbeck.errors import BudgetExhausted, ConfigError, DataError
from limbeck.evaluation.evaluate import choose_examples
from limbeck.evaluation.metrics import Prediction, compute_gain, compute_metrics
from limbeck.methods.baldistill import Distillation, run_baldistill
from limbeck.methods.job import Job
from limbeck.progress import Progress
from limbeck.run_folder import RunFolder
from limbeck.selection.quotas import find_tail_domains
from limbeck.storage import read_json_lines, write_json, write_jsonl, write_text
from limbeck.student.encode import Encoder
from limbeck.student.model import load_student, load_tokenizer, save_student
from limbeck.teacher.backends import BACKENDS
from limbeck.teacher.budget import Budget
from limbeck.teacher.ledger import Ledger
from limbeck.teacher.teacher import Teacher

PACKAGES = ("limbeck", "torch", "transformers", "trl", "peft", "datasets", "numpy")


@dataclass(frozen=True)
class RunResult:
    """What a run gave.

    Attributes:
        metrics: as in ``metrics.json``, or None where there is no test set.
        student: folder of the final student, or None where none was trained (``stages: 0``).
        ended_by: the cap that ended the run early, or None.
    """

    folder: Path
    metrics: Mapping[str, Any] | None
    student: Path | None
    ended_by: BudgetExhausted | None


def run(config: Config, out: Path, progress: Progress | None = None) -> RunResult:
    """Run a config in a folder, or go on where the same config stopped there.

    Raises:
        ConfigError: the config can't be run, or the folder was made by another one.
        DataError, TeacherError, NothingKept, StorageError: see `limbeck.errors`.
    """
    progress = progress or Progress()
    data = read_data(config)
    check_budget(config, data)
    with RunFolder.open(out) as folder:
        claim_folder(folder, config, data)
        ledger = Ledger(folder.path / "ledger.sqlite")
        try:
            unknown = ledger.mark_unknown()
            if unknown:
                progress.note(
                    f"{unknown} request(s) were in flight when the last process ended: counted as spent, asked again once"
                )
            return _run_in(folder, config, data, ledger, progress)
        except KeyboardInterrupt:
            folder.update_state(status="interrupted")
            raise
        except BaseException as error:
            folder.update_state(status="failed", error=f"{type(error).__name__}: {error}")
            raise
        finally:
            ledger.close()


def _run_in(folder: RunFolder, config: Config, data: RunData, ledger: Ledger, progress: Progress) -> RunResult:
    for note in data.notes:
        progress.note(note)
    stage: list[int | None] = [None]

    def report_spend() -> None:
        spent = teacher.budget.spent
        progress.spend(spent.requests, spent.tokens, spent.cost_usd)

    budget = Budget(config.budget, ledger.sum_spend())
    backend = BACKENDS[config.teacher.backend](config.teacher)
    teacher = Teacher(backend, ledger, budget, config.teacher, on_settled=report_spend)
    report_spend()
    last_said = [""]

    def say(text: str, done: int, total: int) -> None:
        if text != last_said[0]:
            last_said[0] = text
            folder.update_state(status="running", stage=stage[0], step=text)
        progress.step(stage[0], text, done, total)

    def begin_stage(index: int | None) -> None:
        stage[0] = index

    encoder = Encoder(load_tokenizer(config.student), data.task, config.method.annotation != "none", config.student.system)
    tail = frozenset(find_tail_domains(data.counts, config.budget.max_examples))
    job = Job(
        name=config.name, seed=config.seed, task=data.task, examples=data.train, dev=data.dev, tail=tail,
        leaks=data.leaks, is_domain_answer=config.data.domain == "answer", max_examples=config.budget.max_examples,
        teacher=teacher, student=config.student, training=config.training, evaluation=config.evaluation,
        encoder=encoder, folder=folder, say=say, begin_stage=begin_stage,
    )  # fmt: skip
    baseline = measure_once(job, folder.path / "baseline", data.test, None, "measuring the untouched student")
    distillation = run_baldistill(job, config.method)
    begin_stage(None)
    if distillation.is_cut_short and distillation.last_stage is None and budget.exhausted is not None:
        folder.update_state(status="budget", stage=None, step=None)
        raise budget.exhausted  # before a first example was kept, so there is nothing to train on
    return finish(job, config, data, baseline, distillation, progress)


@dataclass(frozen=True)
class RunData:
    """The data of a run after the guards."""

    task: Task
    train: Sequence[Example]
    dev: Sequence[Example]
    test: Sequence[Example]
    leaks: LeakGuard
    counts: Mapping[str, int]
    hashes: Mapping[str, str]
    notes: Sequence[str]


def read_data(config: Config) -> RunData:
    """Read the splits, collapse repeats, and keep what leaks into dev or test out of the pool.

    Raises:
        ConfigError: no ``data.train``.
        DataError: as `read_examples`; or leaks under ``on_leak: error``; or a pool of which nothing is left.
    """
    if config.data.train is None:
        raise ConfigError("data.train is not set: the pool that examples are chosen from")
    task = collect_labels(config.task, config.data)
    train, dev, test = (
        read_examples(path, task, config.data) if path else None
        for path in (config.data.train, config.data.dev, config.data.test)
    )
    if train is None:
        raise DataError(f"{config.data.train}: no rows")
    held_out = [example for reading in (dev, test) if reading for example in reading.examples]
    leaks = LeakGuard(((e.id, e.question) for e in held_out), [e.question for e in train.examples])
    kept: list[Example] = []
    leaking: list[Example] = []
    for example in train.examples:
        row = leaks.find_leak(example.question)
        (kept if row is None else leaking).append(example)
    notes = [
        f"{reading.path.name}: {reading.repeat_count} exact repeats collapsed"
        for reading in (train, dev, test)
        if reading and reading.repeat_count
    ]
    if leaking:
        first = leaking[0].question[:80]
        text = f"{len(leaking)} of {len(train.examples)} training rows are also in dev or test (first: {first!r})"
        if config.data.on_leak == "error" or not kept:
            raise DataError(f"{train.path}: {text}; remove them, or set data.on_leak: drop")
        notes.append(f"{text}; they are left out")
    counts: dict[str, int] = {}
    for example in kept:
        counts[example.domain] = counts.get(example.domain, 0) + 1
    emptied = sorted(set(train.domains) - set(counts))
    if emptied:
        raise DataError(f"{train.path}: domain(s) {emptied} are empty once the rows that leak into dev or test are left out")
    return RunData(
        task, kept, _examples(dev), _examples(test), leaks, counts,
        {r.path.name: hashlib.sha256(r.path.read_bytes()).hexdigest() for r in (train, dev, test) if r}, notes,
    )  # fmt: skip


def _examples(reading: Reading | None) -> Sequence[Example]:
    return reading.examples if reading else ()


def check_budget(config: Config, data: RunData) -> None:
    """Refuse budgets that can't be spent as the method wants.

    Raises:
        ConfigError: fewer examples than stages, or than domains where the quotas balance domains.
    """
    wanted = config.budget.max_examples
    if wanted < config.method.stages:
        raise ConfigError(
            f"budget.max_examples = {wanted} is less than method.stages = {config.method.stages}; a stage would get none"
        )
    if config.method.stages and config.method.quota in ("uniform", "adaptive") and wanted < len(data.counts):
        raise ConfigError(
            f"budget.max_examples = {wanted} is less than the number of domains, {len(data.counts)}: quota "
            f"{config.method.quota!r} can't give each a share. Raise the budget, merge domains, or use quota: natural."
        )


def claim_folder(folder: RunFolder, config: Config, data: RunData) -> None:
    """Write ``config.yaml`` and ``run.json`` into a new folder, or check that an old one belongs to this config.

    Raises:
        ConfigError: the folder was made by another config, or other data; the message names the keys.
    """
    plain = config.model_dump(mode="json")
    state = folder.state
    if state:
        made_by = yaml.safe_load((folder.path / "config.yaml").read_text("utf-8"))
        different = find_differences(made_by, plain)
        if different:
            raise ConfigError(
                f"{folder.path} was made by another config: {', '.join(different)} differ(s). Choose another --out, or "
                "give the old values to go on there."
            )
        if state["data"] != dict(data.hashes):
            changed = sorted(k for k in {*state["data"], *data.hashes} if state["data"].get(k) != data.hashes.get(k))
            raise ConfigError(f"{folder.path} was made with other data: {', '.join(changed)} changed. Choose another --out.")
    elif any(path.name != "lock" for path in folder.path.iterdir()):
        raise ConfigError(f"{folder.path} holds files but no run; choose an empty or new folder as --out")
    write_text(folder.path / "config.yaml", yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))
    folder.update_state(
        status="running", name=config.name, seed=config.seed, started_at=state.get("started_at", time.time()),
        data=dict(data.hashes), domains=dict(data.counts), stages=config.method.stages,
        versions={name: _version(name) for name in PACKAGES}, commit=_commit(), error=None,
    )  # fmt: skip


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of limbeck's own source, where it runs from a checkout."""
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],  # noqa: S607
            capture_output=True, text=True, timeout=5, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def measure_once(
    job: Job, folder: Path, examples: Sequence[Example], student: Path | None, what: str
) -> list[Prediction] | None:
    """Predictions on the test rows, read from `folder` where they are there already; None without test rows."""
    if not examples:
        return None
    path = folder / "predictions.jsonl"
    if path.exists():
        return [Prediction(**row) for row in read_json_lines(path)]
    chosen = choose_examples(examples, job.evaluation.max_examples, job.seed)
    predictions = job.measure(load_student(job.student, student), chosen, f"{what} on {len(chosen)} test rows")
    write_jsonl(path, predictions)
    return predictions


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
    write_jsonl(folder.path / "train.jsonl", [job.encoder.to_conversation(e) for e in distillation.training_set])
    student = None
    if last is not None:
        student = folder.path / "student"
        job.say("writing the final student", 0, 0)
        save_student(job.load(last), student, data.task, has_rationale=job.encoder.has_rationale)
    final = (
        baseline if last is None else measure_once(job, last.path / "test", data.test, last.student, "measuring the student")
    )
    metrics = None
    if baseline is not None and final is not None:
        metrics = {
            **compute_metrics(final, job.tail, seed=job.seed),
            "tail_domains": sorted(job.tail),
            "baseline": compute_metrics(baseline, job.tail, seed=job.seed),
            "gain": compute_gain(baseline, final, job.tail, seed=job.seed),
        }
        write_json(folder.path / "metrics.json", metrics)
    for domain, count in distillation.missing.items():
        progress.note(f"{domain}: {count} wanted example(s) could not be had")
    ended_by = job.teacher.budget.exhausted if distillation.is_cut_short else None
    write_text(folder.path / "README.md", write_card(config, data, distillation, metrics))
    folder.update_state(
        status="budget" if ended_by else "done", stage=None, step=None, finished_at=time.time(),
        examples=len(distillation.training_set), missing=distillation.missing,
    )  # fmt: skip
    return RunResult(folder.path, metrics, student, ended_by)


def write_card(config: Config, data: RunData, distillation: Distillation, metrics: Mapping[str, Any] | None) -> str:
    """The model card: what the student is, what it was trained on, and how good it is where."""
    kinds = {"real": 0, "synthesized": 0, "duplicates": 0}
    for example in distillation.training_set:
        kinds["duplicates" if example.provenance.copy else example.provenance.kind] += 1
    lines = [
        f"# {config.name}",
        "",
        f"A student distilled with limbeck from `{config.teacher.model}` ({config.teacher.backend}"
        + (", a simulated teacher)" if config.teacher.backend == "tutor" else ")")
        + f" into `{config.student.model}`.",
        "",
        f"- Task: {data.task.instruction}",
        f"- Method: {config.method.name}, {config.method.stages} stages, quota {config.method.quota}, selection "
        f"{config.method.selection}, tail {config.method.tail}, seed {config.seed}",
        f"- Training set: {len(distillation.training_set)} examples ({', '.join(f'{n} {k}' for k, n in kinds.items())})",
    ]  # fmt: skip
    if metrics is not None:
        lines += ["", "| domain | n | before | after |", "|---|---|---|---|"]
        for domain, entry in metrics["domains"].items():
            before = metrics["baseline"]["domains"][domain]["accuracy"]
            lines.append(f"| {domain} | {entry['count']} | {before:.3f} | {entry['accuracy']:.3f} |")
        before = metrics["baseline"]["accuracy_macro"]
        lines.append(f"| **macro** | {metrics['examples']} | {before:.3f} | {metrics['accuracy_macro']:.3f} |")
    return "\n".join([*lines, ""])
