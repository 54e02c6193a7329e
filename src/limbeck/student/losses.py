"""Training losses over the labelled tokens of a batch; each is a *sum*, divided by the caller."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from limbeck.student.settings import TrainingSettings

LossFunction = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
MakeLoss = Callable[[TrainingSettings], LossFunction]

LOG_ZERO = math.log(1e-4)
"""A of the symmetric loss: what stands for log 0 in the reverse cross-entropy of a one-hot target."""


def sum_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Summed cross-entropy in nats.

    Args:
        logits: (labelled tokens, vocabulary or classes), float32.
        targets: (labelled tokens,), ids.
    """
    return nn.functional.cross_entropy(logits, targets, reduction="sum")


def make_cross_entropy(settings: TrainingSettings) -> LossFunction:
    """Summed cross-entropy; no setting changes it."""
    return sum_cross_entropy


def make_symmetric_cross_entropy(settings: TrainingSettings) -> LossFunction:
    """Summed symmetric cross-entropy ``alpha·CE + beta·RCE`` (GOLD §2.4 of the notes; Wang et al. 2019).

    RCE = −Σ_k p_k·log q_k for the one-hot target q, with log 0 = ln 1e-4, which is 9.21·(1 − p_y): bounded, so that a
    wrong label can't pull without end. The released code clamps p at 1e-7 too, which adds at most 0.03; it is left out.
    """

    alpha, beta = settings.alpha, settings.beta

    def sum_symmetric(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        log_p = -nn.functional.cross_entropy(logits, targets, reduction="none")
        return alpha * -log_p.sum() + beta * -LOG_ZERO * (1 - log_p.exp()).sum()

    return sum_symmetric
