"""A forward pass over given completions, for every kind of student, with logits at labelled positions only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from limbeck.progress import silent
from limbeck.student.encode import IGNORED, Encoded
from limbeck.student.model import Student
from limbeck.student.tables import KINDS

VOCABULARY_CHUNK = 8192


@contextmanager
def project_only(model: PreTrainedModel, is_labelled: torch.Tensor) -> Iterator[None]:
    """Within this context, a forward pass of `model` returns logits only at the labelled positions.

    In a small student with a large vocabulary, the output projection takes a fifth of the compute and nearly all of the
    memory. The hook sits on the projection itself, so it works for every architecture and below PEFT and DDP wrappers.

    Args:
        model: the causal model, without wrappers.
        is_labelled: positions whose *next* token is a label, shape (batch, length), boolean. The logits have shape
            (1, labelled positions, vocabulary), row by row.
    """

    def select(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (inputs[0][is_labelled].unsqueeze(0), *inputs[1:])

    hook = model.get_output_embeddings().register_forward_pre_hook(select)
    try:
        yield
    finally:
        hook.remove()


def select_labelled(labels: torch.Tensor) -> torch.Tensor:
    """Return a mask of the positions whose next token is a label: shape (batch, length), the last column always False."""
    is_labelled = torch.zeros_like(labels, dtype=torch.bool)
    is_labelled[:, :-1] = labels[:, 1:] != IGNORED
    return is_labelled


def to_scores_dtype(logits: torch.Tensor) -> torch.Tensor:
    """Cast logits to float32, or leave them in float64; every score is computed from these."""
    return logits if logits.dtype == torch.float64 else logits.float()


def pad_right(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    """Stack rows of ids into one tensor (rows, longest), padded with `value` on the right."""
    width = max(len(row) for row in rows)
    return torch.tensor([[*row, *[value] * (width - len(row))] for row in rows])


Batch = Mapping[str, torch.Tensor]


def collate_causal(rows: Sequence[Encoded], pad: int) -> dict[str, torch.Tensor]:
    """Make a batch: prompt and completion as one sequence; ``labels`` (rows, longest) are −100 outside completions."""
    return {
        "input_ids": pad_right([row.ids for row in rows], pad),
        "attention_mask": pad_right([[1] * len(row.ids) for row in rows], 0),
        "labels": pad_right([row.labels for row in rows], IGNORED),
    }


def collate_apart(rows: Sequence[Encoded], pad: int) -> dict[str, torch.Tensor]:
    """Make a batch: prompts as input, completions (ids, or one class) as ``labels`` (rows, longest), padded with −100."""
    return {
        "input_ids": pad_right([row.prompt for row in rows], pad),
        "attention_mask": pad_right([[1] * row.prompt_length for row in rows], 0),
        "labels": pad_right([row.completion for row in rows], IGNORED),
    }


def forward_causal(model: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ANN401 (any wrapper of a model)
    """Return ``(logits, targets)`` of the labelled tokens: shapes (labelled tokens, vocabulary) and (labelled tokens,)."""
    labels = batch["labels"]
    with project_only(unwrap(model), select_labelled(labels)):
        outputs = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False)
    return outputs.logits[0], labels[:, 1:][labels[:, 1:] != IGNORED]


def forward_seq2seq(model: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ANN401 (any wrapper of a model)
    """Return ``(logits, targets)`` of the decoder at the labelled tokens, without padding; shapes as `forward_causal`."""
    labels = batch["labels"]
    is_labelled = labels != IGNORED
    outputs = model(
        input_ids=batch["input_ids"],
        attention_mask=batch["attention_mask"],
        decoder_input_ids=unwrap(model).prepare_decoder_input_ids_from_labels(labels=labels),
        use_cache=False,
    )
    return outputs.logits[is_labelled], labels[is_labelled]


def forward_classifier(model: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ANN401 (any wrapper of a model)
    """Return ``(logits, targets)``: shapes (rows, classes) and (rows,)."""
    outputs = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    return outputs.logits, batch["labels"][:, 0]


def unwrap(model: Any) -> PreTrainedModel:  # noqa: ANN401 (a PeftModel, a distributed wrapper, or neither)
    """Return the bare model, without adapters and distributed wrappers."""
    model = getattr(model, "module", model)
    return model.get_base_model() if hasattr(model, "get_base_model") else model


@dataclass(frozen=True)
class TokenScores:
    """The scores of each token of a completion, from one forward pass; all in nats, of shape (completion tokens,).

    `compute_token_scores` returns CPU tensors. The dtype is float32, or float64 for a float64 model.

    Attributes:
        nll: −log p of the token.
        energy: −logsumexp of the logits at its position (GOLD's E); higher = less familiar. Adding a constant to all logits
            changes only the energy, so compare energies only within one student snapshot.
        entropy: entropy of the distribution at its position; higher = less certain.
        margin: difference between the two largest logits there, which equals that of the two largest log-probabilities;
            higher = more certain.
    """

    nll: torch.Tensor
    energy: torch.Tensor
    entropy: torch.Tensor
    margin: torch.Tensor


def score_logits(logits: torch.Tensor, targets: torch.Tensor, *, chunk: int = VOCABULARY_CHUNK) -> TokenScores:
    """Compute scores from logits in one chunked pass over the vocabulary, without a second copy of the logits.

    Args:
        logits: (tokens, vocabulary), any floating dtype; sums are accumulated in float32 (float64 for float64 logits).
        targets: (tokens,), ids.
        chunk: number of vocabulary columns processed at a time.
    """
    first = to_scores_dtype(logits[:, :1])
    peak = torch.full_like(first, -torch.inf)
    total, weighted = torch.zeros_like(first), torch.zeros_like(first)  # Σ exp(z − peak), Σ z·exp(z − peak)
    top = torch.full((len(logits), 2), -torch.inf, dtype=first.dtype, device=logits.device)
    for start in range(0, logits.shape[1], chunk):
        part = to_scores_dtype(logits[:, start : start + chunk])
        top = torch.cat([top, part.topk(min(2, part.shape[1]), dim=1).values], dim=1).topk(2, dim=1).values
        higher = top[:, :1]
        shrink = torch.exp(peak - higher)
        mass = torch.exp(part - higher)
        total = total * shrink + mass.sum(dim=1, keepdim=True)
        weighted = weighted * shrink + (mass * part).sum(dim=1, keepdim=True)
        peak = higher
    log_sum = (peak + total.log()).squeeze(1)
    chosen = to_scores_dtype(logits.gather(1, targets.unsqueeze(1)).squeeze(1))
    entropy = log_sum - (weighted / total).squeeze(1)
    return TokenScores(log_sum - chosen, -log_sum, entropy, top[:, 0] - top[:, 1])


@torch.inference_mode()
def compute_token_scores(
    student: Student,
    sequences: Sequence[Encoded],
    *,
    batch_size: int = 16,
    on_batch: Callable[[int, int], None] = silent,
) -> list[TokenScores]:
    """Compute loss, energy, entropy and margin of each completion token in one forward pass.

    Args:
        student: the model; its weights are not changed. A classifier's "token" is its class, its vocabulary the classes.
        sequences: prompts with completions of at least one token each.
        batch_size: sequences per pass; they are sorted by length, and scores don't depend on the rest of the batch.
        on_batch: called with ``(done, total)`` after each pass.

    Returns:
        The scores of each sequence, in the order given.
    """
    kind = KINDS[student.settings.kind].parts
    order = sorted(range(len(sequences)), key=lambda index: -len(sequences[index].ids))
    results: list[TokenScores | None] = [None] * len(sequences)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        rows = [sequences[index] for index in chosen]
        batch = kind.collate(rows, student.tokenizer.pad_token_id or 0)
        logits, targets = kind.forward(student.model, {name: part.to(student.device) for name, part in batch.items()})
        scores = score_logits(logits, targets)
        counts = [len(row.completion) for row in rows]
        pieces = [getattr(scores, field.name).cpu().split(counts) for field in fields(TokenScores)]
        for index, values in zip(chosen, zip(*pieces, strict=True), strict=True):
            results[index] = TokenScores(*values)
        on_batch(min(start + batch_size, len(order)), len(order))
    return [result for result in results if result is not None]
