"""Training losses, computed by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from limbeck.student.losses import make_symmetric_cross_entropy
from limbeck.student.settings import TrainingSettings
from limbeck.student.tables import LOSSES

# Two tokens over three classes with probabilities (1/2, 1/4, 1/4) and (1/8, 1/8, 3/4).
LOGITS = torch.tensor([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]], dtype=torch.float64).log()
TARGETS = torch.tensor([0, 1])


def test_cross_entropy_by_hand() -> None:
    """The tokens cost ln 2 and ln 8 nats."""
    loss = LOSSES["cross_entropy"](TrainingSettings())(LOGITS, TARGETS)
    assert float(loss) == pytest.approx(4 * math.log(2), abs=1e-12)


def test_symmetric_cross_entropy_by_hand() -> None:
    """With alpha 0.1 and beta 2 it is 0.1·(ln 2 + ln 8) + 2·(4 ln 10)·(1/2 + 7/8)."""
    settings = TrainingSettings(loss="symmetric_cross_entropy", alpha=0.1, beta=2.0)
    loss = LOSSES[settings.loss](settings)(LOGITS, TARGETS)
    assert float(loss) == pytest.approx(0.1 * 4 * math.log(2) + 2 * 4 * math.log(10) * 1.375, abs=1e-12)


def test_reverse_cross_entropy_is_the_sum_over_the_classes() -> None:
    """The beta term is −Σ p·log q over all classes, with log 0 = ln 1e-4 and log 1 = 0."""
    log_q = torch.full((2, 3), math.log(1e-4), dtype=torch.float64)
    log_q[0, 0] = log_q[1, 1] = 0.0
    expected = -(LOGITS.softmax(dim=-1) * log_q).sum()
    assert float(make_symmetric_cross_entropy(TrainingSettings(alpha=0.0, beta=1.0))(LOGITS, TARGETS)) == pytest.approx(
        float(expected), abs=1e-12
    )


@given(st.lists(st.floats(-60, 60), min_size=2, max_size=6), st.floats(0, 2))
def test_a_wrong_label_has_bounded_pull(values: list[float], beta: float) -> None:
    """Without the cross-entropy term a token costs between 0 and 9.21·beta, however confident the student is."""
    loss = float(
        make_symmetric_cross_entropy(TrainingSettings(alpha=0.0, beta=beta))(
            torch.tensor([values], dtype=torch.float64), torch.tensor([0])
        )
    )
    assert -1e-9 <= loss <= beta * 4 * math.log(10) + 1e-9
