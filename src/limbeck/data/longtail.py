"""Makes long-tailed data sets from balanced ones: Zipf-sized domains, balanced dev and test, no leakage."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from limbeck.data.cells import check_cell, is_missing
from limbeck.data.domains import Spellings
from limbeck.data.overlap import LeakGuard, normalise_question
from limbeck.data.rows import Notes
from limbeck.errors import DataError
from limbeck.hashing import hash_text

Row = Mapping[str, Any]


@dataclass(frozen=True)
class LongTail:
    """The three splits of a long-tailed data set.

    Attributes:
        train, dev, test: the rows.
        counts: the training rows of each domain, largest first.
        repeat_count: rows that were left out because their question repeats that of an earlier row.
    """

    train: tuple[Row, ...]
    dev: tuple[Row, ...]
    test: tuple[Row, ...]
    counts: Mapping[str, int]
    repeat_count: int = 0


def compute_zipf_sizes(available: Sequence[int], exponent: float) -> list[int]:
    """Compute domain sizes that fall with rank^−exponent, at most the available rows and at least 1.

    Args:
        available: rows available in each domain, largest first, shape (domains,).
        exponent: Zipf exponent; at 0 no domain is cut.

    Returns:
        ``min(available[r], ⌊available[0]·(r+1)^−exponent⌋)`` for each rank r, at least 1, as in BalDistill's data (§4).
    """
    largest = available[0]
    return [max(1, min(size, int(largest * rank**-exponent + 1e-9))) for rank, size in enumerate(available, start=1)]


def make_longtail(
    rows: Iterable[tuple[str, Row]],
    *,
    domain_column: str,
    question_columns: Sequence[str],
    exponent: float = 1.1,
    seed: int = 13,
    dev_per_domain: int = 10,
    test_per_domain: int = 20,
    is_small_dropped: bool = False,
    notes: Notes | None = None,
) -> LongTail:
    """Split rows into balanced test and dev sets and a Zipf-sized training set.

    Repeats (same normalised question, any domain) are collapsed first and counted, so no question is in two splits. Rows
    that leak into dev or test by the rule of `LeakGuard` never become training rows. Each domain is shuffled by its own
    generator, so its rows do not depend on the other domains.

    Args:
        rows: rows with their places (``file:line``) for error messages.
        domain_column, question_columns: the columns of domain and question.
        exponent: Zipf exponent of the training sizes.
        seed: seed of the shuffles.
        dev_per_domain, test_per_domain: held-out rows per domain.
        is_small_dropped: leave out domains that are too small instead of failing.
        notes: receives what was merged and passed over.

    Raises:
        DataError: a row without domain or question, or a domain too small for dev, test and one training row.
    """
    by_domain, repeat_count = _group(rows, domain_column, question_columns, notes or Notes())
    needed = dev_per_domain + test_per_domain + 1
    small = {domain: len(members) for domain, members in by_domain.items() if len(members) < needed}
    if small and not is_small_dropped:
        raise DataError(
            f"{len(small)} domain(s) have fewer than {needed} different rows ({test_per_domain} test + {dev_per_domain} "
            f"dev + 1 train): {small}. Lower --test-per-domain or --dev-per-domain, or pass --drop-small."
        )
    ranked = sorted((d for d in by_domain if d not in small), key=lambda d: (-len(by_domain[d]), d))
    if not ranked:
        raise DataError(f"no domain has {needed} different rows; the largest has {max(small.values(), default=0)}")
    test: list[Row] = []
    dev: list[Row] = []
    rest: dict[str, list[Row]] = {}
    for domain in ranked:
        members = by_domain[domain]
        random.Random(hash_text(f"longtail/{seed}/{domain}")).shuffle(members)
        test += members[:test_per_domain]
        dev += members[test_per_domain : test_per_domain + dev_per_domain]
        rest[domain] = members[test_per_domain + dev_per_domain :]
    ranked.sort(key=lambda domain: (-len(rest[domain]), domain))
    sizes = compute_zipf_sizes([len(rest[domain]) for domain in ranked], exponent)
    train = choose_without_leaks(rest, dict(zip(ranked, sizes, strict=True)), dev + test, question_columns)
    counts = {domain: len(rows) for domain, rows in train.items()}
    return LongTail(tuple(row for rows in train.values() for row in rows), tuple(dev), tuple(test), counts, repeat_count)


def choose_without_leaks(
    rest: Mapping[str, Sequence[Row]], sizes: Mapping[str, int], held_out: Sequence[Row], question_columns: Sequence[str]
) -> dict[str, list[Row]]:
    """Choose the first rows of each domain that do not leak into the held-out rows, up to the domain's size in `sizes`.

    The training rows decide what counts as template text, so rows are replaced until the whole choice is clean.

    Raises:
        DataError: all rows of a domain leak.
    """
    queues = {domain: list(rest[domain]) for domain in sizes}
    while True:
        train = {domain: queue[: sizes[domain]] for domain, queue in queues.items()}
        texts = [_question(row, question_columns) for rows in train.values() for row in rows]
        guard = LeakGuard(((str(i), _question(row, question_columns)) for i, row in enumerate(held_out)), texts)
        leaking = {text for text in texts if guard.find_leak(text) is not None}
        if not leaking:
            return train
        for domain, queue in queues.items():
            queues[domain] = [row for row in queue if _question(row, question_columns) not in leaking]
            if not queues[domain]:
                raise DataError(f"every training row of domain {domain!r} leaks into dev or test; make dev and test smaller")


def _question(row: Row, question_columns: Sequence[str]) -> str:
    return "\n".join(str(row[column]) for column in question_columns)


def _group(
    rows: Iterable[tuple[str, Row]], domain_column: str, question_columns: Sequence[str], notes: Notes
) -> tuple[dict[str, list[Row]], int]:
    """Group the rows by domain, without those that repeat a question, whose number is returned too."""
    repeat_count = 0
    by_domain: dict[str, list[Row]] = {}
    seen: set[str] = set()
    spellings = Spellings()
    for place, row in rows:
        for column in (domain_column, *question_columns):
            if is_missing(row.get(column)):
                raise DataError(f"{place}: column {column!r} is missing or empty; the row has {sorted(row)}")
        text = normalise_question(_question(row, question_columns))
        if text in seen:
            repeat_count += 1
            continue
        seen.add(text)
        by_domain.setdefault(spellings.find(check_cell(row[domain_column], f"column {domain_column!r}", place)), []).append(row)
    for domain, others in spellings.list_merged().items():
        notes.say(
            f"the domains {', '.join(map(repr, others))[:300]} are read as {domain!r}, from which they differ only in form"
        )
    return by_domain, repeat_count
