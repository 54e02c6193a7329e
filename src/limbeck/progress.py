"""Where a run tells what it is doing."""

from __future__ import annotations


class Progress:
    """This one says nothing; the CLI shows a subclass."""

    def step(self, stage: int | None, text: str, done: int, total: int) -> None:
        """`done` of `total` of a step (total 0: unknown) in a stage (None: outside of stages)."""

    def spend(self, domain: str | None, requests: int, tokens: int, cost_usd: float) -> None:
        """All that was spent so far, and the domain of the request that was settled last (None: none yet)."""

    def note(self, text: str) -> None:
        """Something the user should know."""


def silent(done: int, total: int) -> None:
    """A progress callback that says nothing."""
