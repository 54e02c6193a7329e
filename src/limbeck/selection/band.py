"""Which probes go back into the teacher's prompt: a band of the ranks by energy."""

from __future__ import annotations

from collections.abc import Mapping

COMPAT_BATCH = 8  # the released code computes its window from the batch size asked for, whatever came back
COMPAT_BAND = (0.5, 0.8)


def choose_band(scores: Mapping[str, float], low: float, high: float) -> list[str]:
    """Ids whose ranks are in the band, in ascending order of score (GOLD §2.3 of the notes).

    With n scores the ranks ⌊low·n⌋ ≤ r < ⌊high·n⌋ are taken, ties by id: below the band are probes that the student knows
    already, above it those that are likely to be noise. Where n is small the band may be empty.

    Args:
        scores: score by id, higher = less familiar; n is the number of probes that were really kept.
        low, high: the band, as shares.
    """
    ranked = sorted(scores, key=lambda name: (scores[name], name))
    first, last = (int(round(share * len(ranked), 9)) for share in (low, high))  # 0.29 · 100 is a little less than 29
    return ranked[first:last]


def choose_compat_window(scores: Mapping[str, float]) -> list[str]:
    """The released code's window: ranks 4 and 5 (⌊0.5·8⌋ ≤ r < ⌊0.8·8⌋), also where fewer than eight probes are valid.

    With five probes it takes the single highest score, with four or fewer none; kept so that its effect can be measured.
    """
    ranked = sorted(scores, key=lambda name: (scores[name], name))
    return ranked[int(COMPAT_BAND[0] * COMPAT_BATCH) : int(COMPAT_BAND[1] * COMPAT_BATCH)]
