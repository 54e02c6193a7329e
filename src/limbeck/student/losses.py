"""Training losses over the labelled tokens of a batch; each is a *sum*, divided by the caller."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

LossFunction = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def sum_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Summed cross-entropy in nats.

    Args:
        logits: (labelled tokens, vocabulary), float32.
        targets: (labelled tokens,), ids.
    """
    return nn.functional.cross_entropy(logits, targets, reduction="sum")


LOSSES: Mapping[str, LossFunction] = {"cross_entropy": sum_cross_entropy}
