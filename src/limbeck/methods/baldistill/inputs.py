"""What BalDistill begins with: a pool behind its guards, and a budget that can be spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from limbeck.data.example import Example
from limbeck.data.sources import collect_labels, read_examples
from limbeck.data.splits import count_shared, describe_overlap, join_readings, read_held_out, split_leaking
from limbeck.errors import ConfigError, DataError
from limbeck.inputs.data import RunData, hash_inputs, list_examples
from limbeck.inputs.sections import Sections
from limbeck.methods.baldistill.settings import BalDistillSettings
from limbeck.selection.quotas import GLOBAL, QUOTAS, find_tail_domains
from limbeck.teacher.backends import open_backend
from limbeck.teacher.client.budget import check_prices
from limbeck.teacher.request import About, Backend


def read_pool(config: Sections, method: BalDistillSettings) -> RunData:
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
    shared = count_shared(list_examples(dev), list_examples(test), [e.question for e in train.examples])
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
    hashes = hash_inputs(config, {"train": train, "dev": dev, "test": test}, backend)
    tail = find_tail_domains(counts, config.budget.max_examples, [e.domain for e in join_readings(dev, test)])
    return RunData(
        task,
        kept,
        unavailable,
        list_examples(dev),
        list_examples(test),
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
    config: Sections, method: BalDistillSettings, backend: Backend, pool: Sequence[Example], counts: Mapping[str, int]
) -> None:
    """Refuse a method that the budget or the teacher can't carry out.

    Raises:
        ConfigError: the message has the key and the remedy.
    """
    check_budget(config, method, counts)
    check_voter(method, backend, pool)


def refit(data: RunData, config: Sections, method: BalDistillSettings) -> RunData:
    """What `read_pool` would give with other settings of the method, except for the notes.

    Raises:
        ConfigError: as `check_method`.
        DataError: as `find_unavailable`.
    """
    check_method(config, method, data.backend, data.train, data.counts)
    return replace(data, unavailable=find_unavailable(config, method, data.backend, data.train))


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


def find_unavailable(config: Sections, method: BalDistillSettings, backend: Backend, pool: Sequence[Example]) -> frozenset[str]:
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


def check_budget(config: Sections, method: BalDistillSettings, counts: Mapping[str, int]) -> None:
    """Refuse budgets that can't be spent as the method wants.

    Raises:
        ConfigError: fewer examples than stages, or than domains if the quotas balance domains.
    """
    wanted = config.budget.max_examples
    if wanted < method.stages:
        raise ConfigError(
            f"budget.max_examples = {wanted} is less than method.stages = {method.stages}; a stage would get none"
        )
    if method.stages and QUOTAS[method.quota].is_balanced and wanted < len(counts):
        raise ConfigError(
            f"budget.max_examples = {wanted} is less than the number of domains, {len(counts)}: quota "
            f"{method.quota!r} can't give each a share. Raise the budget, merge domains, or use quota: natural."
        )


def count_min_examples(data: RunData, method: BalDistillSettings) -> int:
    """The smallest ``budget.max_examples`` that `check_budget` accepts."""
    return max(method.stages, len(data.counts) if QUOTAS[method.quota].is_balanced else 1)
