"""Settings of GOLD and its baselines. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from limbeck.methods.method import MethodSettings


class GoldSettings(MethodSettings):
    """GOLD and its baselines: no data but a task and a few human examples (`docs/methods.md`).

    Attributes:
        rounds: at most so many; the run ends once ``budget.max_examples`` are kept.
        batches_per_round, batch_size: what a round generates.
        probe_size: examples of a round that are asked to be unlike those before, to find what the student does not know.
            They count as all others and are trained on.
        feedback: which probes the teacher is shown afterwards: ``none`` (ZeroGen; nothing is probed), ``random``,
            ``error`` (what the student gets wrong, largest loss first), ``energy`` (the band). All but ``none`` show as many.
        feedback_rate: share of the batches whose prompts show feedback.
        band: ranks by energy, as shares of the probes kept, from which feedback is taken.
        compat: the released code's schedule, window and update rules, to be measured: probes after the first batch of a
            round, updates without that batch, the window of ranks 4 and 5 whatever number is valid, padding in the energy
            of students that write, rejected replies not replaced.
        feedback_size: at most so many of a band are fed back, chosen to be unlike each other; null feeds back all.
        reservoir_rounds: feedback of so many last rounds is kept; prompts draw from it.
        feedback_shown: how many feedback examples a prompt shows; null shows all there are.
        attributes: ``draw`` gives each prompt one value of each of ``task.attributes``.
        temperatures: from the first to the last round, evenly; null keeps ``teacher.temperature``.
        relabel_votes: the teacher answers each generated example so many times; 0 trusts the label asked for.
        relabel_agreement: share of those answers that must agree with it.
        student_init: whether a round's student goes on from the last round's weights or begins anew.
        update_epochs: passes over all that is kept so far, in each round.
        held_out: share of the generated examples that the final student is not trained on but judged by.
        alphas: candidates for ``training.alpha``; the best by held-out accuracy is taken. Empty keeps the one that is set.
        patience: epochs without a better held-out accuracy that end the final training; null trains them all.
        max_attempts_per_example: bounds replacement: n wanted examples cost at most n times this many requests.
    """

    name: Literal["gold"] = "gold"
    rounds: int = Field(default=15, gt=0)
    batches_per_round: int = Field(default=25, gt=0)
    batch_size: int = Field(default=8, gt=0)
    probe_size: int = Field(default=8, gt=0)
    feedback: Literal["none", "random", "error", "energy"] = "energy"
    feedback_rate: float = Field(default=0.5, ge=0, le=1)
    band: tuple[float, float] = (0.50, 0.75)
    compat: bool = False
    feedback_size: int | None = Field(default=None, gt=0)
    reservoir_rounds: int = Field(default=1, gt=0)
    feedback_shown: int | None = Field(default=None, gt=0)
    attributes: Literal["none", "draw"] = "none"
    temperatures: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]] | None = None
    relabel_votes: int = Field(default=0, ge=0)
    relabel_agreement: float = Field(default=0.5, gt=0, le=1)
    student_init: Literal["continue", "fresh"] = "continue"
    update_epochs: float = Field(default=1, gt=0)
    held_out: float = Field(default=0.1, ge=0, lt=1)
    alphas: tuple[Annotated[float, Field(ge=0)], ...] = ()
    patience: int | None = Field(default=2, gt=0)
    max_attempts_per_example: int = Field(default=3, gt=0)

    @model_validator(mode="after")
    def _check_band(self) -> GoldSettings:
        low, high = self.band
        if not 0 <= low < high <= 1:
            raise ValueError(f"band {list(self.band)} must be two shares of which the first is smaller, such as [0.5, 0.75]")
        if self.alphas and not self.held_out:
            raise ValueError("alphas are chosen by held-out accuracy: set held_out above 0")
        return self

    def describe(self) -> str:
        """The method in a line, for a person."""
        return f"{self.name}, at most {self.rounds} rounds, feedback {self.feedback}"

    @property
    def step_count(self) -> int:
        """The rounds."""
        return self.rounds

    @property
    def probes(self) -> int:
        """Probes of a round: none where nothing is fed back."""
        return 0 if self.feedback == "none" else self.probe_size
