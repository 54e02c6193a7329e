"""The trainers of TRL and transformers with one change: the loss is computed once, at labelled positions, per objective."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from transformers import Trainer
from trl import SFTTrainer

from limbeck.student.losses import LossFunction, sum_cross_entropy
from limbeck.student.tables import KINDS


class SumLossTrainer(Trainer):
    """A trainer whose loss is the sum over labelled positions divided by their number, for students of one kind.

    A batch may contain the separate rationales of its examples as a nested batch (``rationale``). Their loss is divided by
    their own label count, weighted by `rationale_weight`, and added: L_answer + λ·L_rationale (Hsieh et al. 2023, §3.2). As in
    their code, a step has both rows of each of its examples: if a step had one objective only, Adam, which normalises by
    gradient size, would undo most of λ. Their code uses weights α and 1 − α instead of 1 and λ (its recommended equal weights
    are λ = 1), and averages over each accumulated batch separately, so that its steps depend on how they are split.
    """

    kind: str = "causal"
    sum_loss: LossFunction = staticmethod(sum_cross_entropy)
    rationale_weight: float = 1.0

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], torch.Tensor | None]:
        """Return the batches of a step and the label count of each objective over all of them: (objectives,), answers first."""
        batches, count = super().get_batch_samples(epoch_iterator, num_batches, device)
        apart = [batch["rationale"] for batch in batches if "rationale" in batch]
        return batches, torch.stack([count, self._get_num_items_in_batch(apart, device)] if apart else [count])

    def compute_loss(
        self,
        model: Any,  # noqa: ANN401 (any wrapper of a PreTrainedModel)
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> Any:  # noqa: ANN401 (like the overridden method)
        """Compute the summed loss over labelled tokens, divided by their number in the whole (accumulated) step.

        Args:
            model: a model of this trainer's kind.
            inputs: a batch.
            return_outputs: whether to return the answers' logits with the loss.
            num_items_in_batch: label count of each objective from `get_batch_samples`; None counts the labels of this batch.
        """
        counts = (None, None) if num_items_in_batch is None else num_items_in_batch
        loss, logits = self._measure(model, inputs, counts[0])
        if "rationale" in inputs:
            loss = loss + self.rationale_weight * self._measure(model, inputs["rationale"], counts[1])[0]
        if self.args.average_tokens_across_devices and num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes  # DDP averages gradients, but the count covers all processes
        return (loss, {"logits": logits}) if return_outputs else loss

    def _measure(
        self,
        model: Any,  # noqa: ANN401 (any wrapper of a PreTrainedModel)
        batch: dict[str, torch.Tensor],
        count: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the summed loss divided by `count` (if None, by the labels of the batch), and the logits."""
        logits, targets = KINDS[self.kind].parts.forward(model, batch)
        return self.sum_loss(logits.float(), targets) / (len(targets) if count is None else count), logits


class CompletionTrainer(SumLossTrainer, SFTTrainer):
    """TRL's trainer with one change: `compute_loss` computes logits at labelled positions only.

    TRL's own fused head recomputes the projection in the backward pass to save memory, which is slow on a CPU.
    """
