"""Orders candidates. A stage needs nothing else: it takes them from the front until it has kept its quota."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence, Set

from limbeck.data.example import Example
from limbeck.data.score import Score
from limbeck.hashing import hash_text


def order_randomly(examples: Sequence[Example], *place: object) -> list[Example]:
    """Shuffle examples; the order depends only on `place` (seed, stage, domain …) and the ids, not on the input order."""
    ordered = sorted(examples, key=lambda example: example.id)
    random.Random(hash_text("/".join(map(str, ("pick", *place))))).shuffle(ordered)
    return ordered


def order_by_score(
    examples: Sequence[Example],
    scores: Mapping[str, float | None],
    *,
    last: Set[str] = frozenset(),
    dropped: Set[str] = frozenset(),
) -> list[Example]:
    """Order by highest score, ties by id; then examples without a score (None or missing) in the given order; then `last`.

    Args:
        examples: candidates.
        scores: example id → score, higher = harder.
        last: ids to put after all others, ordered in the same way.
        dropped: ids to leave out.
    """

    def place(example: Example) -> tuple[bool, bool, float, str]:
        score = scores.get(example.id)
        return (example.id in last, score is None, -(score or 0.0), "" if score is None else example.id)

    return sorted((example for example in examples if example.id not in dropped), key=place)


FLAGS: Mapping[str, Callable[[Score], bool]] = {
    "above_one": lambda row: row.score is not None and row.score > 1,
    "truncated": lambda row: bool(row.parts.get("is_truncated")),
}
"""Problems of an IFD score: its ratio is above 1, so the prompt made the student's own output less likely (Cherry LLM drops
those); or the output was truncated at the limit, so the ratio covers only its beginning."""


def choose_held_back(rows: Sequence[Score], rules: Mapping[str, str]) -> tuple[frozenset[str], frozenset[str]]:
    """The ids that come ``last`` and the ids that are dropped; a row with both rules is dropped.

    Args:
        rows: IFD scores.
        rules: name in `FLAGS` → ``keep``, ``last`` or ``drop``.
    """
    last, dropped = (
        frozenset(row.id for row in rows for name, rule in rules.items() if rule == wanted and FLAGS[name](row))
        for wanted in ("last", "drop")
    )
    return last - dropped, dropped


def count_flags(rows: Sequence[Score], dropped: Set[str]) -> dict[str, dict[str, int]]:
    """Count the IFD scores of each domain: all, without a score, with each flag, and dropped."""
    counts: dict[str, dict[str, int]] = {}
    for row in rows:
        entry = counts.setdefault(row.domain, dict.fromkeys(("scored", "empty", *FLAGS, "dropped"), 0))
        facts = {"scored": True, "empty": row.score is None, "dropped": row.id in dropped}
        for name, is_so in {**facts, **{name: holds(row) for name, holds in FLAGS.items()}}.items():
            entry[name] += is_so
    return counts
