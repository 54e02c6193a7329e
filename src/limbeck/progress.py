"""How a run says what it is doing."""

from __future__ import annotations

from collections.abc import Callable

OnProgress = Callable[[str, int, int], None]
"""``(what is being done, done, total)``; a total of 0 is unknown."""


class Progress:
    """Receives what a run is doing. This one ignores it; the command line shows a subclass."""

    def step(self, stage: int | None, text: str, done: int, total: int) -> None:
        """`done` of `total` of a step (total 0: unknown) in a stage (None: outside of stages)."""

    def spend(self, domain: str | None, requests: int, tokens: int, cost_usd: float) -> None:
        """The spend so far, and the domain of the request that was settled last (None: none yet)."""

    def note(self, text: str) -> None:
        """A remark for the user."""


def silent(done: int, total: int) -> None:
    """A progress callback that does nothing."""
