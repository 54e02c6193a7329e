"""Greedy generation in batches of similar length, with the likelihood of the output.

Why not `model.generate`: it keeps finished rows in the batch while this loop drops them (a small student's outputs differ
widely in length), and it casts the logits of every dtype to float32, but we need the exact likelihood.
`benchmarks/generation.py` compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from transformers import DynamicCache, GenerationConfig

from limbeck.progress import silent
from limbeck.student.context_length import read_context_length
from limbeck.student.forward import pad_right, project_only, to_scores_dtype
from limbeck.student.model import Student
from limbeck.student.tables import KINDS

# Fixed cost of a decoding step on a CPU (it reads all weights once), as the number of prompt tokens that take the same time.
# On other devices prompt tokens cost next to nothing compared with a step.
_STEP_TOKENS = 32


@dataclass
class Generation:
    """One greedy output.

    Attributes:
        ids: the generated ids, without the stop token.
        nll: −log p of each of those ids given all preceding ids, in nats; from raw logits in float32 (float64 for a float64
            model). Empty for a seq2seq student.
        is_truncated: whether it ended at the limit rather than at a stop token.
    """

    ids: list[int] = field(default_factory=list)
    nll: list[float] = field(default_factory=list)
    is_truncated: bool = True


WriteBatch = Callable[[Student, Sequence[Sequence[int]], Sequence[Generation], frozenset[int], int], None]
"""``(student, prompts, results, stop ids, max_new_tokens)``: fills the results of one batch."""


@torch.inference_mode()
def generate(
    student: Student,
    prompts: Sequence[Sequence[int]],
    *,
    stop_ids: frozenset[int],
    max_new_tokens: int,
    batch_size: int = 32,
    on_batch: Callable[[int, int], None] = silent,
) -> list[Generation]:
    """Generate the greedy output of each prompt, in the order given.

    A causal student with a limited number of positions stops when they are used up. If a prompt already fills them, the
    output is empty and counts as truncated.

    Args:
        student: the model. A classifier's output is a single id: its most probable class.
        prompts: ids of each prompt, at least one token.
        stop_ids: ids that end an output.
        max_new_tokens: maximum number of tokens per output.
        batch_size: maximum number of prompts per batch; they are sorted by length to limit padding (see `cut_batches`).
        on_batch: called with ``(prompts done, total prompts)`` after each batch; the total excludes prompts that are too
            long to read.
    """
    places = read_context_length(student)
    readable = (index for index, prompt in enumerate(prompts) if places is None or len(prompt) < places)
    order = sorted(readable, key=lambda index: (-len(prompts[index]), index))
    results = [Generation() for _ in prompts]
    write = KINDS[student.settings.kind].parts.write
    overhead = _STEP_TOKENS * max_new_tokens if student.device.type == "cpu" else None
    start = 0
    for end in cut_batches([len(prompts[i]) for i in order], batch_size, overhead):
        chosen = order[start:end]
        write(student, [prompts[i] for i in chosen], [results[i] for i in chosen], stop_ids, max_new_tokens)
        on_batch(end, len(order))
        start = end
    return results


def cut_batches(lengths: Sequence[int], batch_size: int, overhead: int | None) -> list[int]:
    """Split sorted prompts into batches at the lowest total cost, where a batch costs its padded tokens plus an overhead.

    If prompts are long and vary in length, padding can cost more than an extra batch.

    Args:
        lengths: prompt lengths in tokens, longest first.
        batch_size: maximum number of prompts per batch.
        overhead: cost of a batch, in prompt tokens; None means so high that all batches but the last are full.

    Returns:
        The end index (exclusive) of each batch.
    """
    if overhead is None:
        return [*range(batch_size, len(lengths), batch_size), len(lengths)] if lengths else []
    costs, starts = [0], [0]
    for end in range(1, len(lengths) + 1):
        cost, start = min(
            (costs[start] + (end - start) * lengths[start] + overhead, start) for start in range(max(0, end - batch_size), end)
        )
        costs.append(cost)
        starts.append(start)
    ends, end = [], len(lengths)
    while end > 0:
        ends.append(end)
        end = starts[end]
    return ends[::-1]


def generate_causal_batch(
    student: Student,
    prompts: Sequence[Sequence[int]],
    results: Sequence[Generation],
    stop_ids: frozenset[int],
    max_new_tokens: int,
) -> None:
    """Generate greedy outputs of a causal student; finished rows leave the batch."""
    width = max(map(len, prompts))
    pad = student.tokenizer.pad_token_id or 0
    ids = torch.tensor([[pad] * (width - len(row)) + list(row) for row in prompts], device=student.device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in prompts], device=student.device)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    cache = DynamicCache(config=student.model.config)
    places = read_context_length(student)
    room = [max_new_tokens if places is None else min(max_new_tokens, places - len(row)) for row in prompts]
    active = list(zip(results, room, strict=True))
    while True:
        is_last = torch.zeros_like(ids, dtype=torch.bool)
        is_last[:, -1] = True
        # Don't use the model's `logits_to_keep`: it projects a strided slice, so torch copies the vocabulary matrix per row.
        with project_only(student.model, is_last):
            logits = student.model(
                input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
            ).logits[0]
        logits = to_scores_dtype(logits)
        best, chosen = logits.max(dim=-1)
        nll = torch.logsumexp(logits, dim=-1) - best
        going = []
        for row, ((result, most), token, cost) in enumerate(zip(active, chosen.tolist(), nll.tolist(), strict=True)):
            if token in stop_ids:
                result.is_truncated = False
                continue
            result.ids.append(token)
            result.nll.append(cost)
            if len(result.ids) < most:
                going.append(row)
        if not going:
            return
        if len(going) < len(active):
            keep = torch.tensor(going, device=student.device)
            cache.batch_select_indices(keep)
            active = [active[row] for row in going]
            chosen, mask, positions = chosen[keep], mask[keep], positions[keep]
        ids = chosen.unsqueeze(1)
        mask = torch.cat([mask, mask.new_ones(len(active), 1)], dim=1)
        positions = positions[:, -1:] + 1


def classify_batch(
    student: Student,
    prompts: Sequence[Sequence[int]],
    results: Sequence[Generation],
    stop_ids: frozenset[int],
    max_new_tokens: int,
) -> None:
    """Write the most probable class of each prompt as the single output id."""
    logits = to_scores_dtype(student.model(**_pad_inputs(student, prompts)).logits)
    best, chosen = logits.max(dim=-1)
    nll = torch.logsumexp(logits, dim=-1) - best
    for result, label, cost in zip(results, chosen.tolist(), nll.tolist(), strict=True):
        result.ids, result.nll, result.is_truncated = [label], [cost], False


def generate_seq2seq_batch(
    student: Student,
    prompts: Sequence[Sequence[int]],
    results: Sequence[Generation],
    stop_ids: frozenset[int],
    max_new_tokens: int,
) -> None:
    """Generate greedy outputs of a seq2seq student."""
    # Use a fresh configuration: the model's own may sample, use beam search or set a repetition penalty.
    config = student.model.config
    settings = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        num_beams=1,
        eos_token_id=sorted(stop_ids),
        pad_token_id=student.tokenizer.pad_token_id,
        decoder_start_token_id=getattr(config, "decoder_start_token_id", None) or config.pad_token_id or 0,
    )
    own, student.model.generation_config = (
        student.model.generation_config,
        settings,
    )  # otherwise the model's own fills in unset values
    try:
        written = student.model.generate(**_pad_inputs(student, prompts), generation_config=settings)[:, 1:]
    finally:
        student.model.generation_config = own
    for result, ids in zip(results, written.tolist(), strict=True):
        end = next((place for place, token in enumerate(ids) if token in stop_ids), None)
        result.ids, result.is_truncated = ids[:end], end is None


def _pad_inputs(student: Student, prompts: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
    return {
        "input_ids": pad_right(prompts, student.tokenizer.pad_token_id or 0).to(student.device),
        "attention_mask": pad_right([[1] * len(prompt) for prompt in prompts], 0).to(student.device),
    }
