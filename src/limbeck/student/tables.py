"""What a config may name of a student: kinds, scores and losses. Imports no torch: the entries are loaded when used."""

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
        is_causal: whether prompt and completion are one sequence, so that a completion alone has a likelihood too.
        writes_text: whether it writes text; otherwise it reads the bare question, and its answer is a label.
        defaults: settings of a config that hold for this kind unless the user sets them.
    """

    source: str
    is_causal: bool = False
    writes_text: bool = True
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parts(self) -> KindParts:
        """What needs torch."""
        found: KindParts = load_attribute(self.source)
        return found


KINDS: Table[StudentKind] = Table(
    "kinds",
    "kind of student",
    {
        "causal": StudentKind("limbeck.student.kinds:CAUSAL", is_causal=True),
        # Small encoders and sequence-to-sequence models are trained whole, and slowly.
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
"""What ``student.kind`` may name."""


class ComputeScore(Protocol):
    """The function of a score."""

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
        """The scores of the examples, in the order given; higher = harder."""
        ...


@dataclass(frozen=True)
class ScoreType:
    """A score of candidates; higher = harder.

    Attributes:
        source: the function, or its ``module:name`` if it needs torch.
        kinds: the kinds of students that have this score; empty stands for all.
        is_ratio: whether it looks at what the student writes itself and relates two likelihoods, so that values above 1 and
            outputs that were cut are doubtful (`limbeck.selection.pick.FLAGS`).
    """

    source: ComputeScore | str
    kinds: tuple[str, ...] = ()
    is_ratio: bool = False

    @property
    def compute(self) -> ComputeScore:
        """The function."""
        found: ComputeScore = load_attribute(self.source) if isinstance(self.source, str) else self.source
        return found

    def fits(self, kind: str) -> bool:
        """Whether a kind of student has this score."""
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
"""What ``method.selection`` may name beside ``random``. ``loss``, ``energy`` and ``entropy`` are mean nats a token of the gold
answer, ``margin`` is minus the mean difference of the two largest log-probabilities; ``padded_energy`` is the energy of GOLD's
released code. Energies are compared within one student only."""

LOSSES: Table[MakeLoss] = Table(
    "losses",
    "loss",
    {
        "cross_entropy": "limbeck.student.losses:make_cross_entropy",
        "symmetric_cross_entropy": "limbeck.student.losses:make_symmetric_cross_entropy",
    },
)
"""What ``training.loss`` may name: training settings → the loss."""
