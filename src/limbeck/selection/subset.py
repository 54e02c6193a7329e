"""Chooses a seeded subset of rows, balanced over domains."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from limbeck.data.example import Example
from limbeck.hashing import hash_text


def choose_rows(domains: Sequence[str], max_examples: int | None, order: Callable[[int], str]) -> list[int]:
    """Choose the indices of a domain-balanced subset: domains take turns until `max_examples` are chosen.

    Args:
        domains: the domain of each row.
        max_examples: the size limit; None chooses all rows.
        order: a seeded sort key for a row's index, so that the choice does not depend on the file's order.
    """
    if max_examples is None or max_examples >= len(domains):
        return list(range(len(domains)))
    queues = {domain: sorted(index.tolist(), key=order) for domain, index in sorted(rows_by_domain(domains).items())}
    chosen: list[int] = []
    turn = 0
    while len(chosen) < max_examples:
        chosen += [queue[turn] for queue in queues.values() if turn < len(queue)][: max_examples - len(chosen)]
        turn += 1
    return sorted(chosen)


def choose_examples(examples: Sequence[Example], max_examples: int | None, seed: int) -> list[Example]:
    """Choose the examples to evaluate: all, or a seeded, domain-balanced subset."""
    chosen = choose_rows(
        [example.domain for example in examples],
        max_examples,
        lambda index: hash_text(f"evaluate/{seed}/{examples[index].id}"),
    )
    return [examples[index] for index in chosen]


def rows_by_domain(domains: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """The row indices of each domain; domains are in order of first occurrence."""
    names = np.array(domains)
    return {domain: np.flatnonzero(names == domain) for domain in dict.fromkeys(domains)}
