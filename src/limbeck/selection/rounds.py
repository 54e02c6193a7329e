"""GOLD's schedule: the batches of each round, which of them show feedback, and when it probes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Batch:
    """One batch of generation.

    Attributes:
        index: number of the batch in the whole run, from 0.
        size: how many examples it requests.
        has_feedback: whether its prompts show feedback, if there is any.
    """

    index: int
    size: int
    has_feedback: bool


@dataclass(frozen=True)
class Round:
    """One round: generate `lead`, update the student, request and score probes, then generate `rest`.

    In the method's own schedule all batches are in `lead`. The released code updates and probes after the first batch of a
    round, so there the others are in `rest` and use the new feedback.
    """

    index: int
    lead: tuple[Batch, ...]
    rest: tuple[Batch, ...]
    probe_size: int

    @property
    def size(self) -> int:
        """How many examples the round requests, probes included."""
        return sum(batch.size for batch in (*self.lead, *self.rest)) + self.probe_size


def make_rounds(
    *, rounds: int, batches_per_round: int, batch_size: int, probe_size: int, feedback_rate: float, is_compat: bool = False
) -> list[Round]:
    """Make the rounds of a run, regardless of the budget.

    Args:
        rounds: number of rounds.
        batches_per_round: batches per round.
        batch_size: examples per batch.
        probe_size: probes per round; 0 without feedback.
        feedback_rate: share of the batches that show feedback, spread evenly; each cycle starts with one.
        is_compat: whether to use the released code's order (see `Round`).
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
    """Whether a batch shows feedback, as a share `rate` of all batches do: at 0.5 every second one, starting with the first."""
    # Rounded because 20 · 0.55 is slightly more than 11 in floating point.
    return math.ceil(round((index + 1) * rate, 9)) > math.ceil(round(index * rate, 9))


def share_evenly(count: int, groups: Sequence[str], start: int = 0) -> dict[str, int]:
    """How many of `count` examples each group gets: groups take turns, beginning with group number `start`."""
    shares = dict.fromkeys(groups, 0)
    for turn in range(start, start + count):
        shares[groups[turn % len(groups)]] += 1
    return shares
