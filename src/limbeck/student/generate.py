"""Greedy generation in batches of similar length, with the likelihood of what was generated.

Why not `model.generate`: it keeps a row in the batch after its end, where this loop drops it (a small student's outputs
differ widely in length), and it casts the logits of every dtype to float32, where the likelihood is wanted exactly.
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

# What a step of decoding costs on a CPU beside its own tokens (all weights are read once), in prompt tokens of the same time.
# Elsewhere prompt tokens cost next to nothing beside a step.
_STEP_TOKENS = 32


@dataclass
class Generation:
    """One greedy output.

    Attributes:
        ids: the generated ids, without the token that ended them.
        nll: −log p of each of those ids given all before it, in nats; from raw logits in float32 (float64 for a float64
            model). Empty for a seq2seq student.
        is_truncated: whether the limit ended it, not a stop token.
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
    """The greedy output of each prompt, in the order given.

    A causal student that has a limited number of places stops there; to a prompt that fills them all it writes nothing, which
    is truncated.

    Args:
        student: the model. A classifier's output is the one id of its most probable class.
        prompts: ids of each prompt, at least one token.
        stop_ids: ids that end an output.
        max_new_tokens: the most tokens of an output.
        batch_size: the most prompts a batch; they are sorted by length, so that little is padded (`cut_batches`).
        on_batch: told ``(prompts done, prompts in all)``.
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
    """Where batches of sorted prompts end: the cuts of least cost, each batch costing its padded tokens and an overhead.

    Among long prompts of all lengths padding costs more than another batch does.

    Args:
        lengths: of the prompts in tokens, the longest first.
        batch_size: the most prompts a batch.
        overhead: of a batch, in prompt tokens; None stands for so much that all batches but the last are full.

    Returns:
        The index after the last prompt of each batch.
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
    """Greedy outputs of a causal student, each row leaving the batch at its end."""
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
        # The model's own `logits_to_keep` projects a strided slice; torch then copies the vocabulary's matrix for each row.
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
    """The most probable class of each prompt, as its one id."""
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
    """Greedy outputs of a seq2seq student."""
    # A fresh configuration: a model's own may sample, search with beams or hold a repetition penalty.
    config = student.model.config
    settings = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        num_beams=1,
        eos_token_id=sorted(stop_ids),
        pad_token_id=student.tokenizer.pad_token_id,
        decoder_start_token_id=getattr(config, "decoder_start_token_id", None) or config.pad_token_id or 0,
    )
    own, student.model.generation_config = student.model.generation_config, settings  # else it fills in what is not set
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
