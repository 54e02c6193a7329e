"""Settings of GOLD and its baselines. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from limbeck.methods.method import MethodSettings


class GoldSettings(MethodSettings):
    """Settings of GOLD and its baselines, which need only a task and a few human examples (`docs/methods.md`).

    Attributes:
        rounds: maximum number of rounds; the run ends once ``budget.max_examples`` examples are kept.
        batches_per_round, batch_size: how many batches a round generates, and how many examples each has.
        probe_size: number of examples per round that should differ from the earlier ones, to find what the student does not
            know. They count like all others and are trained on.
        feedback: which probes later prompts show: ``none`` (ZeroGen; nothing is probed), ``random``, ``error`` (what the
            student gets wrong, largest loss first) or ``energy`` (the band). None of them shows more than the band contains.
        feedback_rate: share of the batches whose prompts show feedback.
        band: the ranks by energy that feedback is taken from, as shares of the kept probes.
        compat: follow the released code's schedule, window and update rules, to measure their effect: probes after the first
            batch of a round, updates without that batch, always the window of ranks 4 and 5 however many probes are valid,
            padding in the energy of students that write text, rejected replies not replaced.
        feedback_size: maximum number of probes per band that are fed back, chosen to differ from each other; null feeds back
            all.
        reservoir_rounds: number of latest rounds whose feedback is kept; prompts draw from it.
        feedback_shown: number of feedback examples that a prompt shows; null shows all.
        attributes: ``draw`` gives each prompt one value of each of ``task.attributes``.
        temperatures: sampling temperature at the start and the end of the run, linear in the number of kept examples; null
            keeps ``teacher.temperature``.
        relabel_votes: how many times the teacher answers each generated example; 0 trusts the label that was asked for.
        relabel_agreement: share of those answers that must agree with that label.
        student_init: ``continue`` starts a round's student from the last round's weights, ``fresh`` from the untouched student.
        update_epochs: epochs over everything kept so far, in each round.
        held_out: share of the generated examples held out from the final training, to choose the final student.
        alphas: candidates for ``training.alpha``; the one with the best held-out accuracy wins. Empty keeps the configured one.
        patience: number of epochs without a better held-out accuracy that ends the final training; null trains all epochs.
        max_attempts_per_example: limits replacement: n wanted examples cost at most n times this many requests.
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
            raise ValueError(
                f"band {list(self.band)} must be two shares from 0 to 1, the smaller one first, such as [0.5, 0.75]"
            )
        if self.alphas and not self.held_out:
            raise ValueError("alphas are compared by held-out accuracy; set held_out above 0")
        return self

    def describe(self) -> str:
        """The method in one line."""
        return f"{self.name}, at most {self.rounds} rounds, feedback {self.feedback}"

    @property
    def step_count(self) -> int:
        """The maximum number of rounds."""
        return self.rounds

    @property
    def probes(self) -> int:
        """Number of probes per round; 0 without feedback."""
        return 0 if self.feedback == "none" else self.probe_size
