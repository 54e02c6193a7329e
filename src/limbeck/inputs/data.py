"""The data of a run behind its guards: repeats collapsed, leaks kept out of the pool, budgets that can be spent."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from limbeck.config.config import Config
from limbeck.data.example import Example, Rejected
from limbeck.data.overlap import LeakGuard
from limbeck.data.sources import Reading, collect_labels, read_examples
from limbeck.data.splits import count_shared, describe_overlap, join_readings, read_held_out, split_leaking
from limbeck.data.task import Task
from limbeck.errors import ConfigError, DataError
from limbeck.evaluation.metrics import choose_rows
from limbeck.hashing import hash_text
from limbeck.methods.baldistill.checks import check_student
from limbeck.methods.settings import BalDistillSettings, GoldSettings
from limbeck.packaged import find_packaged
from limbeck.selection.quotas import GLOBAL, find_tail_domains
from limbeck.teacher.backends import open_backend
from limbeck.teacher.client.budget import check_prices
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.client.teacher import check_teacher
from limbeck.teacher.request import About, Backend


@dataclass(frozen=True)
class RunData:
    """The data of a run after the guards.

    Attributes:
        train: the original pool; in GOLD the human examples.
        unavailable: ids of those rows of it that the teacher can't annotate; they count in quotas, and are never chosen.
        counts: n_d of each domain of the pool.
        tail: the tail domains of the metrics.
        hashes: of each file, by what it is for.
        notes: what the user should know.
        overlap: exact ``repeats`` collapsed in each file, rows that leak into dev or test (``leaks``: how many into each), and
            ``dev_in_test``.
        left_out: the rows that leak, each with the row that it repeats.
        backend: the teacher's backend, opened.
    """

    task: Task
    train: Sequence[Example]
    unavailable: frozenset[str]
    dev: Sequence[Example]
    test: Sequence[Example]
    leaks: LeakGuard
    counts: Mapping[str, int]
    tail: frozenset[str]
    hashes: Mapping[str, str]
    notes: Sequence[str]
    overlap: Mapping[str, Any]
    left_out: Sequence[Rejected]
    backend: Backend


def prepare(config: Config, out: Path) -> RunData:
    """Read the data, and find out whether the teacher can be asked, before anything is loaded, trained or measured.

    A run folder that holds replies may go on while its teacher is away, so there the teacher is not bothered.

    Raises:
        ConfigError, DataError: as `read_data`; or ``near_duplicates: embedding`` without the encoder's wheel.
        TeacherError: the teacher can't be asked.
    """
    data = read_data(config)
    if config.method.invents and config.method.near_duplicates == "embedding":
        find_packaged("minilm-l6")
    if not config.method.asks_teacher or _has_replies(out / "ledger.sqlite"):
        return data
    remark = check_teacher(data.backend, config.teacher)
    return replace(data, notes=[*data.notes, remark]) if remark else data


def _has_replies(path: Path) -> bool:
    if not path.exists():
        return False
    ledger = Ledger(path, is_read_only=True)
    try:
        return bool(ledger.count_models())
    finally:
        ledger.close()


def read_data(config: Config) -> RunData:
    """Read what the method begins with, and what it is measured on.

    Raises:
        ConfigError: as `check_settings` and `check_method`.
        DataError: the data can't be read, leak into what is measured, or are none; the message has the file.
    """
    check_settings(config)
    if isinstance(config.method, GoldSettings):
        return _read_human(config, config.method)
    return _read_pool(config, config.method)


def check_settings(config: Config) -> None:
    """Refuse settings that contradict each other, before anything is read.

    Raises:
        ConfigError: what the method begins with is not set, or it does not fit the student or its loss.
    """
    data, method = config.data, config.method
    if isinstance(method, GoldSettings):
        if data.human is None:
            raise ConfigError(
                "data.human is not set: GOLD begins with a few labelled examples (three will do), and generates all others"
            )
        if method.alphas and config.training.loss != "symmetric_cross_entropy":
            raise ConfigError(
                f"method.alphas has no effect on training.loss: {config.training.loss}; use symmetric_cross_entropy"
            )
        return
    if data.train is None:
        raise ConfigError("data.train is not set: the pool that examples are chosen from")
    check_student(method, config.student.kind)


def _read_human(config: Config, method: GoldSettings) -> RunData:
    """Read GOLD's human examples and the held-out rows, from which none of them may come.

    Raises:
        ConfigError: prices that the budget needs are not known, or the teacher's settings.
        DataError: as `read_examples`; or a human example that is also in dev or test, which would show the teacher, and so
            the student, what it is measured on.
    """
    task = collect_labels(config.task, config.data, "human")
    human = read_examples(str(config.data.human), task, config.data, "train")
    dev, test, leaks = read_held_out(config.data, config.task, [])
    clean, left_out = split_leaking(human.examples, leaks)
    shared = count_shared(_examples(dev), _examples(test), [])
    notes, overlap = describe_overlap({"human": human, "dev": dev, "test": test}, left_out, shared)
    if method.attributes == "draw" and not config.task.attributes:
        notes.append(
            "task.attributes is empty, so prompts draw none; lists such as {topic: [acting, music]} keep examples apart"
        )
    if left_out:
        leaking = next(example for example in human.examples if example.id == left_out[0].example_id)
        first = f"{leaking.question[:80]!r} is also in dev or test ({left_out[0].detail})"
        if config.data.human_size is None or not clean:
            raise DataError(
                f"{human.source}: the human example {first}. It would be shown to the teacher; take another one, from a "
                "training split."
            )
        notes.append(f"{len(left_out)} of {len(human.examples)} rows of data.human are passed over: the first {first}")
    chosen = choose_rows(
        [example.domain for example in clean],
        config.data.human_size,
        lambda index: hash_text(f"human/{config.seed}/{clean[index].id}"),
    )
    examples = [clean[index] for index in chosen]
    check_prices(config.budget, config.teacher)
    backend = open_backend(config.teacher, task)
    counts = Counter(example.domain for example in examples)
    return RunData(
        task,
        examples,
        frozenset(),
        _examples(dev),
        _examples(test),
        leaks,
        counts,
        frozenset(),
        _hash_files(config, {"human": human, "dev": dev, "test": test}, backend),
        notes,
        overlap,
        left_out,
        backend,
    )


def _read_pool(config: Config, method: BalDistillSettings) -> RunData:
    """Read the splits, collapse repeats, and keep what leaks into dev or test out of the pool.

    Raises:
        ConfigError: as `check_method`.
        DataError: as `read_examples` and `find_unavailable`; or leaks under ``on_leak: error``; or a pool of which nothing is
            left.
    """
    task = collect_labels(config.task, config.data)
    train = read_examples(str(config.data.train), task, config.data, "train")
    dev, test, leaks = read_held_out(config.data, config.task, [e.question for e in train.examples])
    kept, left_out = split_leaking(train.examples, leaks)
    shared = count_shared(_examples(dev), _examples(test), [e.question for e in train.examples])
    notes, overlap = describe_overlap({"train": train, "dev": dev, "test": test}, left_out, shared)
    if left_out:
        first = next(example for example in train.examples if example.id == left_out[0].example_id).question[:80]
        text = f"{len(left_out)} of {len(train.examples)} training rows are also in dev or test (first: {first!r})"
        if config.data.on_leak == "error" or not kept:
            raise DataError(f"{train.source}: {text}; remove them, or set data.on_leak: drop")
        notes.append(f"{text}; they are left out")
    counts: dict[str, int] = {}
    for example in kept:
        counts[example.domain] = counts.get(example.domain, 0) + 1
    emptied = sorted(set(train.domains) - set(counts))
    if emptied:
        raise DataError(f"{train.source}: domain(s) {emptied} are empty once the rows that leak into dev or test are left out")
    if GLOBAL in counts:
        raise DataError(f"{train.source}: a domain is called {GLOBAL!r}, which stands for all domains; rename it")
    check_prices(config.budget, config.teacher)
    backend = open_backend(config.teacher, task)
    check_method(config, method, backend, kept, counts)
    unavailable = find_unavailable(config, method, backend, kept)
    if unavailable:
        text = f"{len(unavailable)} of {len(kept)} training rows can't be annotated by the {config.teacher.backend} teacher"
        notes.append(f"{text}; they count in the quotas and are never chosen")
    hashes = _hash_files(config, {"train": train, "dev": dev, "test": test}, backend)
    tail = find_tail_domains(counts, config.budget.max_examples, [e.domain for e in join_readings(dev, test)])
    return RunData(
        task,
        kept,
        unavailable,
        _examples(dev),
        _examples(test),
        leaks,
        counts,
        tail,
        hashes,
        notes,
        overlap,
        left_out,
        backend,
    )


def check_method(
    config: Config, method: BalDistillSettings, backend: Backend, pool: Sequence[Example], counts: Mapping[str, int]
) -> None:
    """Refuse a method that the budget or the teacher can't carry out.

    Raises:
        ConfigError: the message has the key and the remedy.
    """
    check_budget(config, method, counts)
    check_voter(method, backend, pool)


def fit_to_method(data: RunData, config: Config) -> RunData:
    """What `read_data` gives for a config that differs from the one of `data` in the settings of its method, but for the notes.

    Raises:
        ConfigError: as `check_method`; `check_settings` is for the caller.
        DataError: as `find_unavailable`.
    """
    if isinstance(config.method, GoldSettings):
        return data
    check_method(config, config.method, data.backend, data.train, data.counts)
    return replace(data, unavailable=find_unavailable(config, config.method, data.backend, data.train))


def _hash_files(config: Config, readings: Mapping[str, Reading | None], backend: Backend) -> dict[str, str]:
    hashes = {name: reading.digest for name, reading in readings.items() if reading}
    return hashes | {f"template {name}": _hash(path) for name, path in config.teacher.templates.items()} | dict(backend.hashes)


def check_voter(method: BalDistillSettings, backend: Backend, examples: Sequence[Example]) -> None:
    """Refuse votes of a teacher that can't solve what it has not seen.

    Raises:
        ConfigError: ``verify: vote`` with such a teacher.
    """
    is_asked = method.verify == "vote" and method.tail == "synthesize" and method.stages > 0
    if is_asked and not backend.can_answer(About("verify", 0, examples[0].domain, (examples[0],))):
        raise ConfigError(
            "method.verify: vote has the teacher solve new questions, which teacher.backend: recorded can't: its replies are "
            "those of its files. Set method.verify to answer or none, or use another teacher.backend."
        )


def find_unavailable(config: Config, method: BalDistillSettings, backend: Backend, pool: Sequence[Example]) -> frozenset[str]:
    """Ids of the examples that the teacher has no way to annotate; none where no annotation is wanted.

    Raises:
        DataError: it can annotate none.
    """
    if method.annotation == "none":
        return frozenset()
    found = frozenset(e.id for e in pool if not backend.can_answer(About("annotate", 0, e.domain, (e,))))
    if len(found) == len(pool):
        raise DataError(
            f"{config.data.train}: {len(found)} of {len(pool)} training rows can't be annotated by the "
            f"{config.teacher.backend} teacher; do its questions stand in the teacher's files as they do here?"
        )
    return found


def _hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error


def _examples(reading: Reading | None) -> Sequence[Example]:
    return reading.examples if reading else ()


def check_budget(config: Config, method: BalDistillSettings, counts: Mapping[str, int]) -> None:
    """Refuse budgets that can't be spent as the method wants.

    Raises:
        ConfigError: fewer examples than stages, or than domains where the quotas balance domains.
    """
    wanted = config.budget.max_examples
    if wanted < method.stages:
        raise ConfigError(
            f"budget.max_examples = {wanted} is less than method.stages = {method.stages}; a stage would get none"
        )
    if method.stages and method.quota in ("uniform", "adaptive") and wanted < len(counts):
        raise ConfigError(
            f"budget.max_examples = {wanted} is less than the number of domains, {len(counts)}: quota "
            f"{method.quota!r} can't give each a share. Raise the budget, merge domains, or use quota: natural."
        )
