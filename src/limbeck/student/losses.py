"""Training losses over the labelled tokens of a batch. Each returns a *sum*; the caller divides it by the token count."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from limbeck.student.settings import TrainingSettings

LossFunction = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
MakeLoss = Callable[[TrainingSettings], LossFunction]

LOG_ZERO = math.log(1e-4)
"""The constant A of the symmetric loss: replaces log 0 in the reverse cross-entropy of a one-hot target."""


def sum_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Compute the summed cross-entropy in nats.

    Args:
        logits: (labelled tokens, vocabulary or classes), float32.
        targets: (labelled tokens,), ids.
    """
    return nn.functional.cross_entropy(logits, targets, reduction="sum")


def make_cross_entropy(settings: TrainingSettings) -> LossFunction:
    """Make the summed cross-entropy, which has no settings."""
    return sum_cross_entropy


def make_symmetric_cross_entropy(settings: TrainingSettings) -> LossFunction:
    """Make the summed symmetric cross-entropy ``alpha·CE + beta·RCE`` (GOLD, arXiv 2403.19754; Wang et al. 2019).

    RCE = −Σ_k p_k·log q_k for the one-hot target q. With log 0 = ln 1e-4 this is 9.21·(1 − p_y), which is bounded, so a
    wrong label has limited influence. The released code also clamps p at 1e-7, which adds at most 0.03; we don't.
    """

    alpha, beta = settings.alpha, settings.beta

    def sum_symmetric(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        log_p = -nn.functional.cross_entropy(logits, targets, reduction="none")
        return alpha * -log_p.sum() + beta * -LOG_ZERO * (1 - log_p.exp()).sum()

    return sum_symmetric
