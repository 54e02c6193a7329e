"""Chooses the probes that go back into the teacher's prompt: a band of ranks by energy."""

from __future__ import annotations

from collections.abc import Mapping

COMPAT_BATCH = 8  # the released code uses the requested batch size, however many probes came back
COMPAT_BAND = (0.5, 0.8)


def choose_band(scores: Mapping[str, float], low: float, high: float) -> list[str]:
    """Choose the ids whose ranks are in the band, in ascending order of score (GOLD, arXiv 2403.19754).

    With n scores these are the ranks ⌊low·n⌋ ≤ r < ⌊high·n⌋, ties by id. Probes below the band are already familiar to the
    student, probes above it are likely to be noise. For small n the band may be empty.

    Args:
        scores: score by id, higher = less familiar; n is the number of probes actually kept.
        low, high: the bounds of the band, as shares.
    """
    ranked = sorted(scores, key=lambda name: (scores[name], name))
    first, last = (int(round(share * len(ranked), 9)) for share in (low, high))  # 0.29 · 100 is slightly less than 29
    return ranked[first:last]


def choose_compat_window(scores: Mapping[str, float]) -> list[str]:
    """Choose the released code's window: ranks 4 and 5 (⌊0.5·8⌋ ≤ r < ⌊0.8·8⌋), even if fewer than eight probes are valid.

    Of five probes it takes only the highest score, of four or fewer none. We keep it to measure its effect.
    """
    ranked = sorted(scores, key=lambda name: (scores[name], name))
    return ranked[int(COMPAT_BAND[0] * COMPAT_BATCH) : int(COMPAT_BAND[1] * COMPAT_BATCH)]
