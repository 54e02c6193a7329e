"""The score of one example."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Score:
    """A score and the numbers it was computed from.

    Attributes:
        id: example id.
        domain: its domain.
        score: the number that orders candidates, higher = harder; None if there is none (empty output).
        parts: the numbers it was computed from.
    """

    id: str
    domain: str
    score: float | None
    parts: dict[str, float | int | bool]

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary in the order of the attributes."""
        return asdict(self)
