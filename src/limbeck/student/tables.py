"""The kinds, scores and losses that a config may name. Imports no torch: entries are loaded when used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from limbeck.data.example import Example
from limbeck.data.score import Score
from limbeck.progress import silent
from limbeck.tables import Table, load_attribute

if TYPE_CHECKING:
    from limbeck.student.encode import Encoder
    from limbeck.student.kinds import KindParts
    from limbeck.student.losses import MakeLoss
    from limbeck.student.model import Student


@dataclass(frozen=True)
class StudentKind:
    """A kind of student.

    Attributes:
        source: ``module:name`` of its `KindParts`, which needs torch.
        is_causal: whether prompt and completion form one sequence, so that a completion also has a likelihood on its own.
        writes_text: whether it writes text; otherwise it reads the bare question and answers with a label.
        defaults: config defaults for this kind, unless the user sets them.
    """

    source: str
    is_causal: bool = False
    writes_text: bool = True
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parts(self) -> KindParts:
        """The parts that need torch."""
        found: KindParts = load_attribute(self.source)
        return found


KINDS: Table[StudentKind] = Table(
    "kinds",
    "kind of student",
    {
        "causal": StudentKind("limbeck.student.kinds:CAUSAL", is_causal=True),
        # Small encoders and seq2seq models get full fine-tuning with a low learning rate.
        "seq2seq": StudentKind("limbeck.student.kinds:SEQ2SEQ", defaults={"training": {"lora": None, "learning_rate": 3e-4}}),
        "classifier": StudentKind(
            "limbeck.student.kinds:CLASSIFIER",
            writes_text=False,
            defaults={
                "student": {"model": "packaged:minilm-l6"},
                "training": {"lora": None, "learning_rate": 5e-5, "batch_size": 16, "epochs": 4, "max_length": 256},
            },
        ),
    },
)
"""The values of ``student.kind``."""


class ComputeScore(Protocol):
    """The function that computes a score."""

    def __call__(
        self,
        student: Student,
        examples: Sequence[Example],
        encoder: Encoder,
        *,
        max_new_tokens: int,
        batch_size: int,
        on_batch: Callable[[int, int], None] = silent,
    ) -> list[Score]:
        """Score the examples, in the order given; higher = harder."""
        ...


@dataclass(frozen=True)
class ScoreType:
    """A score of candidates; higher = harder.

    Attributes:
        source: the function, or its ``module:name`` if it needs torch.
        kinds: the kinds of students that support this score; empty means all.
        is_ratio: whether it is a ratio of two likelihoods of the student's own output, so that values above 1 and truncated
            outputs are doubtful (`limbeck.selection.pick.FLAGS`).
    """

    source: ComputeScore | str
    kinds: tuple[str, ...] = ()
    is_ratio: bool = False

    @property
    def compute(self) -> ComputeScore:
        """The score function."""
        found: ComputeScore = load_attribute(self.source) if isinstance(self.source, str) else self.source
        return found

    def fits(self, kind: str) -> bool:
        """Return whether a kind of student supports this score."""
        return not self.kinds or kind in self.kinds


SCORES: Table[ScoreType] = Table(
    "scores",
    "score",
    {
        "ifd": ScoreType("limbeck.student.ifd:score_by_ifd", kinds=("causal",), is_ratio=True),
        "loss": ScoreType("limbeck.student.scores:score_by_loss"),
        "energy": ScoreType("limbeck.student.scores:score_by_energy"),
        "entropy": ScoreType("limbeck.student.scores:score_by_entropy"),
        "margin": ScoreType("limbeck.student.scores:score_by_margin"),
        "padded_energy": ScoreType("limbeck.student.scores:score_by_padded_energy"),
    },
)
"""The values of ``method.selection``, in addition to ``random``.

``loss``, ``energy`` and ``entropy`` are mean nats per token of the gold answer; ``margin`` is minus the mean difference of the
two largest log-probabilities; ``padded_energy`` is the energy of GOLD's released code. Energies are comparable only within one
student.
"""

LOSSES: Table[MakeLoss] = Table(
    "losses",
    "loss",
    {
        "cross_entropy": "limbeck.student.losses:make_cross_entropy",
        "symmetric_cross_entropy": "limbeck.student.losses:make_symmetric_cross_entropy",
    },
)
"""The values of ``training.loss``; each entry makes a loss from the training settings."""
