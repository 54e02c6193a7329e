"""Settings of the methods, and the presets as data. Imports no torch."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, field_validator, model_validator

from limbeck.settings import Settings


class BalDistillSettings(Settings):
    """BalDistill and its baselines; the values mean what DESIGN §4 and `docs/methods.md` say.

    Attributes:
        preset: where the other values came from, if from a preset.
        keeps: settings of the config's method that a preset given by ``--preset`` or ``limbeck compare`` leaves as they are,
            such as ``[annotation, tail]`` where nobody writes rationales, so that every preset is an arm without them.
        stages: K; 0 trains nothing (``zero-shot``).
        quota: ``none`` (one global pool), ``natural``, ``uniform`` (BalDistill-N), ``adaptive`` (BalDistill-A), ``error``
            (more for domains where the last student errs more: on dev rows, else on candidates not taken yet).
        adaptive_offset: o of natural·(K−i−o)/K + uniform·(i+o)/K; likewise of ``error``.
        selection: which candidates of a head domain come first; stage 0 has no student and is random.
        above_one: under ``selection: ifd``, candidates whose IFD is above 1 (the prompt made the student's output less likely):
            ``keep`` (the paper), ``last`` (after all others), or ``drop`` (not chosen in this stage, as Cherry LLM has it).
        truncated: likewise, candidates whose output was cut at `score_max_new_tokens`.
        diversity: which of the hardest candidates come first: ``none`` (the hardest), ``k_centre`` (each the farthest from
            those before) or ``cluster`` (the hardest of each of k clusters).
        diversity_by: vectors by which candidates are alike: of the packaged ``minilm`` encoder, or of the last ``student``.
        diversity_pool: where k are wanted, the k times this many hardest are looked at.
        tail: what completes a domain that has too few real examples.
        pooling: ``shortfall`` synthesizes what a stage lacks (the paper); ``premixed`` synthesizes all that will be
            lacking before stage 0 and mixes it into the pool (the released code).
        annotation: whether the teacher sees the gold answer; ``none`` asks for no rationale, so students learn labels.
        objective: what students learn of an annotated example: ``joint``, rationale and then answer in one completion (the
            paper); or ``separate``, the bare answer to one prompt and the rationale to another (Distilling Step-by-Step),
            weighted by ``training.rationale_weight``; then they answer without a rationale.
        on_mismatch: what happens where the teacher's answer is not the gold answer.
        verify: which synthesized examples are kept: ``none`` looks no further, ``answer`` rejects those whose rationale
            computes another answer, ``vote`` those that the teacher answers otherwise when asked again; rejects are replaced.
        verify_votes: the teacher solves each synthesized example so many times under ``vote``.
        verify_agreement: share of those votes that must equal the stored answer.
        feedback: which known examples of a tail domain its synthesis prompts show: ``random`` real ones, or first those that
            the last student gets wrong (``error``) or that are in the band of its energies (``energy``), kept inventions too.
        near_duplicates: how a new example is known to repeat another: ``minhash`` by their words, ``embedding`` also by the
            cosine of their MiniLM vectors, within a domain.
        near_duplicate_cosine: from which cosine on, under ``embedding``.
        student_init: ``fresh`` weights each stage, or ``continue`` from the last stage's.
        max_candidates_per_domain: at most this many candidates of a domain are scored, a seeded choice; null scores all.
        max_attempts_per_example: bounds replacement: n wanted examples cost at most n times this many requests.
        score_max_new_tokens: tokens of the student's own output in IFD.
    """

    name: Literal["baldistill"] = "baldistill"
    preset: str | None = None
    keeps: tuple[str, ...] | None = None
    stages: int = Field(default=5, ge=0)
    quota: Literal["none", "natural", "uniform", "adaptive", "error"] = "adaptive"
    adaptive_offset: Literal[0, 1] = 0
    selection: Literal["random", "ifd", "loss", "energy", "entropy", "margin"] = "ifd"
    above_one: Literal["keep", "last", "drop"] = "keep"
    truncated: Literal["keep", "last", "drop"] = "keep"
    diversity: Literal["none", "k_centre", "cluster"] = "none"
    diversity_by: Literal["minilm", "student"] = "minilm"
    diversity_pool: int = Field(default=3, gt=1)
    tail: Literal["synthesize", "duplicate", "none"] = "synthesize"
    pooling: Literal["shortfall", "premixed"] = "shortfall"
    annotation: Literal["hinted", "blind", "none"] = "hinted"
    objective: Literal["joint", "separate"] = "joint"
    on_mismatch: Literal["reject", "consume", "keep_teacher"] = "reject"
    verify: Literal["none", "answer", "vote"] = "none"
    verify_votes: int = Field(default=3, gt=0)
    verify_agreement: float = Field(default=0.5, gt=0, le=1)
    feedback: Literal["random", "error", "energy"] = "random"
    near_duplicates: Literal["minhash", "embedding"] = "minhash"
    near_duplicate_cosine: float = Field(default=0.95, gt=0, le=1)
    student_init: Literal["fresh", "continue"] = "fresh"
    max_candidates_per_domain: int | None = Field(default=None, gt=0)
    max_attempts_per_example: int = Field(default=3, gt=0)
    score_max_new_tokens: int = Field(default=200, gt=0)

    @field_validator("keeps")
    @classmethod
    def _check_keeps(cls, keeps: tuple[str, ...] | None) -> tuple[str, ...] | None:
        known = [name for name in cls.model_fields if name not in ("name", "preset", "keeps", "stages")]
        unknown = [name for name in keeps or () if name not in known]
        if unknown:
            raise ValueError(f"{unknown} can't be kept from presets; known are {', '.join(known)}")
        return keeps

    @model_validator(mode="after")
    def _check_pooling(self) -> BalDistillSettings:
        guided = [
            f"{name}: {value}"
            for name, value in (("quota", self.quota), ("feedback", self.feedback))
            if value in ("error", "energy")
        ]
        if self.pooling == "premixed" and guided:
            raise ValueError(
                f"pooling: premixed synthesizes everything before the first student, which {' and '.join(guided)} would "
                "follow; use pooling: shortfall"
            )
        return self

    @model_validator(mode="after")
    def _check_selection(self) -> BalDistillSettings:
        if self.stages < 2:  # no student ever scores anything, as in the presets of one stage
            return self
        guards = [f"{name}: {rule}" for name, rule in self.guards.items() if rule != "keep"]
        if guards and self.selection != "ifd":
            raise ValueError(
                f"{' and '.join(guards)} has no effect on selection: {self.selection}, which has no ratio and writes nothing; "
                "use selection: ifd, or keep"
            )
        if self.diversity != "none" and self.selection == "random":
            raise ValueError(
                f"diversity: {self.diversity} is taken among the hardest candidates, and selection: random ranks none; use "
                "selection: ifd, loss, energy, entropy or margin, or diversity: none"
            )
        return self

    @property
    def guards(self) -> dict[str, str]:
        """What is done with candidates of a doubtful IFD, by the name of the doubt."""
        return {"above_one": self.above_one, "truncated": self.truncated}

    @model_validator(mode="after")
    def _check_objective(self) -> BalDistillSettings:
        if self.is_separate and self.annotation == "none":
            raise ValueError(
                "objective: separate learns rationales beside answers, and annotation: none asks for none; use annotation: "
                "hinted or blind, or objective: joint, which learns the bare answers"
            )
        return self

    @property
    def invents(self) -> bool:
        """Whether the teacher synthesizes examples."""
        return self.stages > 0 and self.tail == "synthesize"

    def describe(self) -> str:
        """The method in a line, for a person."""
        objective = ", objective separate" if self.is_separate else ""
        return f"{self.name}, {self.stages} stages, quota {self.quota}, selection {self.selection}, tail {self.tail}{objective}"

    @property
    def asks_teacher(self) -> bool:
        """Whether training examples come from the teacher."""
        return self.stages > 0 and (self.annotation != "none" or self.tail == "synthesize")

    @property
    def has_rationale(self) -> bool:
        """Whether students write a rationale before their answer."""
        return self.annotation != "none" and not self.is_separate

    @property
    def is_separate(self) -> bool:
        """Whether students learn rationales apart from answers."""
        return self.objective == "separate"


class GoldSettings(Settings):
    """GOLD and its baselines: no data but a task and a few human examples (`docs/methods.md`).

    Attributes:
        preset: where the other values came from, if from a preset.
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
        near_duplicates, near_duplicate_cosine: as in BalDistill.
        student_init: whether a round's student goes on from the last round's weights or begins anew.
        update_epochs: passes over all that is kept so far, in each round.
        held_out: share of the generated examples that the final student is not trained on but judged by.
        alphas: candidates for ``training.alpha``; the best by held-out accuracy is taken. Empty keeps the one that is set.
        patience: epochs without a better held-out accuracy that end the final training; null trains them all.
        max_attempts_per_example: bounds replacement: n wanted examples cost at most n times this many requests.
    """

    name: Literal["gold"] = "gold"
    preset: str | None = None
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
    near_duplicates: Literal["minhash", "embedding"] = "minhash"
    near_duplicate_cosine: float = Field(default=0.95, gt=0, le=1)
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

    @property
    def invents(self) -> bool:
        """Always."""
        return True

    def describe(self) -> str:
        """The method in a line, for a person."""
        return f"{self.name}, at most {self.rounds} rounds, feedback {self.feedback}"

    @property
    def stages(self) -> int:
        """Rounds, by the name that both methods share."""
        return self.rounds

    @property
    def asks_teacher(self) -> bool:
        """Always: all examples come from the teacher."""
        return True

    @property
    def has_rationale(self) -> bool:
        """Never: GOLD's students learn answers."""
        return False

    @property
    def is_separate(self) -> bool:
        """Never: there is one objective."""
        return False

    @property
    def probes(self) -> int:
        """Probes of a round: none where nothing is fed back."""
        return 0 if self.feedback == "none" else self.probe_size


MethodSettings = Annotated[BalDistillSettings | GoldSettings, Field(discriminator="name")]


@lru_cache(maxsize=1)
def load_presets() -> dict[str, dict[str, Any]]:
    """The preset table: name → method settings."""
    text = (files("limbeck.methods") / "presets.yaml").read_text("utf-8")
    return dict(yaml.safe_load(text))
