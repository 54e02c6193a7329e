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
    """Settings of BalDistill and its baselines (`docs/methods.md`).

    Attributes:
        keeps: settings that ``--preset`` and the presets of ``limbeck compare`` do not change, such as ``[annotation, tail]``
            if nobody writes rationales: every preset is then an arm without them.
        stages: K; 0 trains nothing (``zero-shot``).
        quota: ``uniform`` (BalDistill-N; best if all domains matter equally), ``natural`` or ``adaptive`` (BalDistill-A; better
            if test data follows the natural distribution), ``none`` (one global pool), ``error`` (more for domains where the
            last student makes more errors: on dev rows, else on candidates not taken yet).
        adaptive_offset: o in natural·(K−i−o)/K + uniform·(i+o)/K; also used by ``error``.
        selection: which candidates of a head domain come first; stage 0 has no student and chooses at random.
        above_one: with ``selection: ifd``, what to do with candidates whose IFD is above 1 (the prompt made the student's
            output less likely): ``keep`` (the paper), ``last`` (after all others) or ``drop`` (not chosen in this stage, as in
            Cherry LLM).
        truncated: the same for candidates whose output was cut at `score_max_new_tokens`.
        diversity: which of the hardest candidates come first: ``none`` (the hardest), ``k_centre`` (each one is the farthest
            from those before it) or ``cluster`` (the hardest of each of k clusters).
        diversity_by: vectors that measure how similar candidates are: from the packaged ``minilm`` encoder or the last
            ``student``.
        diversity_pool: to choose k candidates, diversity considers the k times this many hardest.
        tail: how to complete a domain that has too few real examples.
        pooling: ``shortfall`` synthesizes what a stage lacks (the paper); ``premixed`` synthesizes everything that will be
            lacking before stage 0 and mixes it into the pool (the released code).
        annotation: whether the teacher sees the gold answer (``hinted``) or not (``blind``); ``none`` asks for no rationale, so
            students learn labels.
        objective: what students learn from an annotated example: ``joint``, rationale and then answer in one completion (the
            paper); or ``separate``, the bare answer to one prompt and the rationale to another (Distilling Step-by-Step),
            weighted by ``training.rationale_weight``; they then answer without a rationale.
        on_mismatch: what to do if the teacher's answer is not the gold answer: ``reject`` (the next candidate takes its place),
            ``consume`` (the place is lost, as in the released code) or ``keep_teacher`` (the teacher's answer is learnt).
        verify: how to check synthesized examples further: ``none``; ``answer`` rejects those whose rationale computes another
            answer; ``vote`` rejects those that the teacher answers differently when asked again. Rejects are replaced.
        verify_votes: with ``vote``, how many times the teacher solves each synthesized example.
        verify_agreement: share of those votes that must equal the stored answer.
        feedback: which known examples of a tail domain its synthesis prompts show: ``random`` real ones; or first those that
            the last student gets wrong (``error``) or that are in the band of its energies (``energy``), including kept
            inventions.
        student_init: ``fresh`` starts each stage from the untouched student, ``continue`` from the last stage's weights.
        max_candidates_per_domain: maximum number of candidates scored per domain, a seeded choice; null scores all.
        max_attempts_per_example: limits replacement: n wanted examples cost at most n times this many requests.
        score_max_new_tokens: maximum length of the student's own output in IFD, in tokens.
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
            raise ValueError(f"{unknown} can't be kept from presets; expected names from {', '.join(known)}")
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
                f"{' and '.join(guided)} can't be combined with pooling: premixed, which synthesizes everything before there "
                "is a student to follow; use pooling: shortfall"
            )
        return self

    @model_validator(mode="after")
    def _check_selection(self) -> BalDistillSettings:
        if self.stages < 2:  # no student ever scores anything, as in single-stage presets
            return self
        guards = [f"{name}: {rule}" for name, rule in self.guards.items() if rule != "keep"]
        if guards and not (self.selection in SCORES and SCORES[self.selection].is_ratio):
            raise ValueError(
                f"{' and '.join(guards)} has no effect on selection: {self.selection}, which computes no ratio such as IFD; "
                "use selection: ifd, or set it to keep"
            )
        if self.diversity != "none" and self.selection == "random":
            raise ValueError(
                f"diversity: {self.diversity} chooses among the hardest candidates, but selection: random ranks none; use "
                "selection: ifd, loss, energy, entropy or margin, or diversity: none"
            )
        return self

    @property
    def step_count(self) -> int:
        """K, the number of stages."""
        return self.stages

    @property
    def guards(self) -> dict[str, str]:
        """The rules for candidates with a doubtful IFD, by kind of doubt."""
        return {"above_one": self.above_one, "truncated": self.truncated}

    @model_validator(mode="after")
    def _check_objective(self) -> BalDistillSettings:
        if self.is_separate and self.annotation == "none":
            raise ValueError(
                "objective: separate trains on rationales as well as answers, but annotation: none asks for no rationales; use "
                "annotation: hinted or blind, or objective: joint, which learns the bare answers"
            )
        return self

    @property
    def invents(self) -> bool:
        """Whether the teacher synthesizes examples."""
        return self.stages > 0 and self.tail == "synthesize"

    def describe(self) -> str:
        """The method in one line."""
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
        """Whether students learn rationales and answers as separate objectives."""
        return self.objective == "separate"
