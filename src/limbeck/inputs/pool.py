"""Reads the pool of a run, from which training examples are chosen."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from limbeck.data.splits import read_splits
from limbeck.errors import DataError
from limbeck.inputs.data import RunData, make_run_data
from limbeck.inputs.sections import Sections
from limbeck.selection.quotas import GLOBAL, compute_tail_domains
from limbeck.teacher.request import About


def read_pool(config: Sections, *, is_annotated: bool) -> RunData:
    """Read the splits, collapse repeats, and keep rows that leak into dev or test out of the pool.

    Args:
        config: names the data.
        is_annotated: whether the teacher annotates what is chosen; if so, rows that it can't annotate are unavailable.

    Raises:
        ConfigError: see `make_run_data`.
        DataError: see `read_splits` and `find_unavailable`; or rows leak under ``on_leak: error``, nothing of the pool or of a
            domain is left, or a domain has a reserved name.
    """
    splits = read_splits(config.task, config.data)
    train, notes = splits.source, []
    if splits.left_out:
        first = next(example for example in train.examples if example.id == splits.left_out[0].example_id).question[:80]
        text = f"{len(splits.left_out)} of {len(train.examples)} training rows are also in dev or test (first: {first!r})"
        if config.data.on_leak == "error" or not splits.clean:
            raise DataError(f"{train.source}: {text}; remove them, or set data.on_leak: drop")
        notes.append(f"{text}; they are left out")
    counts = Counter(example.domain for example in splits.clean)
    emptied = sorted(set(train.domains) - set(counts))
    if emptied:
        raise DataError(
            f"{train.source}: domain(s) {emptied} have only rows that leak into dev or test; remove the leaks or the domains"
        )
    if GLOBAL in counts:
        raise DataError(f"{train.source}: a domain is named {GLOBAL!r}, which means all domains; rename it")
    data = make_run_data(config, splits, splits.clean, notes)
    tail = compute_tail_domains(counts, config.budget.max_examples, [example.domain for example in (*data.dev, *data.test)])
    unavailable = find_unavailable(config, data) if is_annotated else frozenset()
    if unavailable:
        text = (
            f"{len(unavailable)} of {len(data.train)} training rows can't be annotated by the {config.teacher.backend} teacher"
        )
        data = replace(data, notes=[*data.notes, f"{text}; they count in the quotas but are never chosen"])
    return replace(data, tail=tail, unavailable=unavailable)


def find_unavailable(config: Sections, data: RunData) -> frozenset[str]:
    """Find the ids of the examples that the teacher can't annotate.

    Raises:
        DataError: it can't annotate any of them.
    """
    pool = data.train
    found = frozenset(e.id for e in pool if not data.backend.can_answer(About("annotate", 0, e.domain, (e,))))
    if len(found) == len(pool):
        raise DataError(
            f"{config.data.train}: {len(found)} of {len(pool)} training rows can't be annotated by the "
            f"{config.teacher.backend} teacher; check that the questions in the teacher's files match those of the pool"
        )
    return found
