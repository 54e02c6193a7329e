"""The schedule of GOLD: which batches a round generates, which of them show feedback, and when it probes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Batch:
    """One batch of generation.

    Attributes:
        index: over the whole run.
        size: how many examples it wants.
        has_feedback: whether its prompts show feedback, where there is some.
    """

    index: int
    size: int
    has_feedback: bool


@dataclass(frozen=True)
class Round:
    """One round: `lead` is generated, the student is updated, probes are asked and scored, then `rest` is generated.

    In the method's own schedule all batches lead; the released code updates and probes after the first batch of a round,
    so there the others follow, with the new feedback.
    """

    index: int
    lead: tuple[Batch, ...]
    rest: tuple[Batch, ...]
    probe_size: int

    @property
    def size(self) -> int:
        """How many examples the round wants, probes included."""
        return sum(batch.size for batch in (*self.lead, *self.rest)) + self.probe_size


def make_rounds(
    *, rounds: int, batches_per_round: int, batch_size: int, probe_size: int, feedback_rate: float, is_compat: bool = False
) -> list[Round]:
    """The rounds of a run, budget apart.

    Args:
        rounds: how many.
        batches_per_round: batches of each.
        batch_size: examples of a batch.
        probe_size: probes of a round; 0 where nothing is fed back.
        feedback_rate: share of the batches that show feedback, spread evenly, the first of each cycle first.
        is_compat: the released code's order (see `Round`).
    """
    lead_count = 1 if is_compat else batches_per_round
    made = []
    for index in range(rounds):
        batches = [
            Batch(number, batch_size, is_feedback_batch(number, feedback_rate))
            for number in range(index * batches_per_round, (index + 1) * batches_per_round)
        ]
        made.append(Round(index, tuple(batches[:lead_count]), tuple(batches[lead_count:]), probe_size))
    return made


def is_feedback_batch(index: int, rate: float) -> bool:
    """Whether a batch is one of the share `rate` that shows feedback: at 0.5 every second one, beginning with the first."""
    # Rounded, since 20 · 0.55 is a little more than 11 in floating point.
    return math.ceil(round((index + 1) * rate, 9)) > math.ceil(round(index * rate, 9))


def share_evenly(count: int, groups: Sequence[str], start: int = 0) -> dict[str, int]:
    """How many of `count` examples each group gets: they take turns, and `start` says whose turn it is first."""
    shares = dict.fromkeys(groups, 0)
    for turn in range(start, start + count):
        shares[groups[turn % len(groups)]] += 1
    return shares
