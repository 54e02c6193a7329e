"""Which candidates come first. The order is all a stage needs: it takes from the front until its quota is kept."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from limbeck.data.example import Example, hash_text


def order_randomly(examples: Sequence[Example], *place: object) -> list[Example]:
    """A random order that depends on `place` (seed, stage, domain …) and the ids only, not on the input order."""
    ordered = sorted(examples, key=lambda example: example.id)
    random.Random(hash_text("/".join(map(str, ("pick", *place))))).shuffle(ordered)
    return ordered


def order_by_score(examples: Sequence[Example], scores: Mapping[str, float | None]) -> list[Example]:
    """Highest score first, ties by id; examples without a score (None or missing) last, in the order given.

    Args:
        examples: candidates.
        scores: example id → score, higher = harder.
    """
    scored = [example for example in examples if scores.get(example.id) is not None]
    rest = [example for example in examples if scores.get(example.id) is None]
    return sorted(scored, key=lambda example: (-(scores[example.id] or 0.0), example.id)) + rest
