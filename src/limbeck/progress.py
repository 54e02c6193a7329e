"""Callbacks that report what a run is doing."""

from __future__ import annotations

from collections.abc import Callable

OnProgress = Callable[[str, int, int], None]
"""``(step, done, total)``; total 0 means unknown."""


class Progress:
    """Receives what a run is doing. This class ignores it; the command line uses a subclass that shows it."""

    def step(self, stage: int | None, text: str, done: int, total: int) -> None:
        """A step is at `done` of `total` (0: unknown) in a stage (None: outside any stage)."""

    def spend(self, domain: str | None, requests: int, tokens: int, cost_usd: float) -> None:
        """The spend so far, and the domain of the last settled request (None: none yet)."""

    def note(self, text: str) -> None:
        """A note for the user."""


def silent(done: int, total: int) -> None:
    """A progress callback that does nothing."""
