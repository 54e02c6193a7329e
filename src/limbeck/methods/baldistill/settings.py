"""Settings of BalDistill and its baselines. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from limbeck.methods.method import MethodSettings
from limbeck.selection.diverse import DIVERSITIES
from limbeck.selection.quotas import QUOTAS
from limbeck.student.tables import SCORES
from limbeck.tables import OneOf


class BalDistillSettings(MethodSettings):
    """BalDistill and its baselines; the values mean what DESIGN §4 and `docs/methods.md` say.

    Attributes:
        keeps: settings of the config's method that a preset given by ``--preset`` or ``limbeck compare`` leaves as they are,
            such as ``[annotation, tail]`` where nobody writes rationales, so that every preset is an arm without them.
        stages: K; 0 trains nothing (``zero-shot``).
        quota: ``uniform`` (BalDistill-N; best if all domains matter equally), ``natural`` or ``adaptive`` (BalDistill-A; better
            if test data follows the natural distribution), ``none`` (one global pool), ``error`` (more for domains where the
            last student errs more: on dev rows, else on candidates not taken yet).
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
        student_init: ``fresh`` weights each stage, or ``continue`` from the last stage's.
        max_candidates_per_domain: at most this many candidates of a domain are scored, a seeded choice; null scores all.
        max_attempts_per_example: bounds replacement: n wanted examples cost at most n times this many requests.
        score_max_new_tokens: tokens of the student's own output in IFD.
    """

    name: Literal["baldistill"] = "baldistill"
    keeps: tuple[str, ...] | None = None
    stages: int = Field(default=5, ge=0)
    quota: Annotated[str, OneOf(QUOTAS)] = "uniform"
    adaptive_offset: Literal[0, 1] = 0
    selection: Annotated[str, OneOf(SCORES, "random")] = "ifd"
    above_one: Literal["keep", "last", "drop"] = "keep"
    truncated: Literal["keep", "last", "drop"] = "keep"
    diversity: Annotated[str, OneOf(DIVERSITIES, "none")] = "none"
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
        if guards and not (self.selection in SCORES and SCORES[self.selection].is_ratio):
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
    def step_count(self) -> int:
        """K."""
        return self.stages

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
