"""One forward pass over given completions: the vocabulary is projected at labelled positions only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from transformers import PreTrainedModel

from limbeck.student.encode import IGNORED, Encoded
from limbeck.student.model import Student


def silent(done: int, total: int) -> None:
    """A progress callback that says nothing."""


@contextmanager
def project_only(model: PreTrainedModel, is_labelled: torch.Tensor) -> Iterator[None]:
    """Within this context a forward of `model` gives logits for the labelled positions alone.

    The output projection of a small student with a large vocabulary is a fifth of its work and nearly all of its memory.
    The hook sits on the projection itself, so it holds for every architecture and below PEFT and DDP wrappers.

    Args:
        model: the causal model whose output projection is narrowed, without wrappers.
        is_labelled: positions whose *next* token is a label, shape (batch, length), boolean. The logits come out as
            (1, labelled positions, vocabulary), row by row.
    """

    def select(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (inputs[0][is_labelled].unsqueeze(0), *inputs[1:])

    hook = model.get_output_embeddings().register_forward_pre_hook(select)
    try:
        yield
    finally:
        hook.remove()


def find_labelled(labels: torch.Tensor) -> torch.Tensor:
    """Positions whose next token is a label: shape (batch, length), the last column always False."""
    is_labelled = torch.zeros_like(labels, dtype=torch.bool)
    is_labelled[:, :-1] = labels[:, 1:] != IGNORED
    return is_labelled


def to_scores_dtype(logits: torch.Tensor) -> torch.Tensor:
    """Logits in float32 (float64 stays): what every score is computed from."""
    return logits if logits.dtype == torch.float64 else logits.float()


def pad_right(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    """Rows of ids as one tensor (rows, longest), filled with `value` on the right."""
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])


@torch.inference_mode()
def compute_token_nll(
    student: Student,
    sequences: Sequence[Encoded],
    *,
    batch_size: int = 16,
    on_batch: Callable[[int, int], None] = silent,
) -> list[torch.Tensor]:
    """Negative log-likelihood of each completion token, in nats.

    Args:
        student: the model; its weights are not changed.
        sequences: prompts with completions of at least one token each.
        batch_size: sequences a pass; they are sorted by length, and a score does not depend on its neighbours.
        on_batch: told ``(done, total)`` after each pass.

    Returns:
        For each sequence, in the order given, a CPU tensor (completion tokens,), float32 (float64 for a float64 model).
    """
    order = sorted(range(len(sequences)), key=lambda index: -len(sequences[index].ids))
    results: list[torch.Tensor] = [torch.empty(0)] * len(sequences)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        rows = [sequences[index] for index in chosen]
        ids = pad_right([row.ids for row in rows], student.tokenizer.pad_token_id or 0).to(student.device)
        mask = pad_right([[1] * len(row.ids) for row in rows], 0).to(student.device)
        labels = pad_right([row.labels for row in rows], IGNORED).to(student.device)
        with project_only(student.model, find_labelled(labels)):
            logits = student.model(input_ids=ids, attention_mask=mask, use_cache=False).logits[0]
        targets = labels[:, 1:][labels[:, 1:] != IGNORED]
        nll = nn.functional.cross_entropy(to_scores_dtype(logits), targets, reduction="none").cpu()
        counts = [len(row.ids) - row.prompt_length for row in rows]
        for index, piece in zip(chosen, nll.split(counts), strict=True):
            results[index] = piece
        on_batch(min(start + batch_size, len(order)), len(order))
    return results
