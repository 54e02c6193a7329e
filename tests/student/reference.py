"""Slow, simple reference versions of what the student room computes: one sequence at a time, no cache, no padding."""

from __future__ import annotations

import math

import torch

from limbeck.student.model import Student


def slow_nll(student: Student, ids: list[int], start: int) -> list[float]:
    """−log p of ids[start:], each from a softmax over all logits of one plain forward pass."""
    with torch.no_grad():
        logits = student.model(input_ids=torch.tensor([ids])).logits[0]
    log_p = torch.log_softmax(logits, dim=-1)
    return [-float(log_p[place - 1, ids[place]]) for place in range(start, len(ids))]


def slow_greedy(student: Student, prompt: list[int], stop_ids: frozenset[int], max_new_tokens: int) -> list[int]:
    """Greedy ids, with a full forward pass for each token."""
    ids = list(prompt)
    for _ in range(max_new_tokens):
        with torch.no_grad():
            token = int(student.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
        if token in stop_ids:
            break
        ids.append(token)
    return ids[len(prompt) :]


def slow_ifd(student: Student, prompt: list[int], stop_ids: frozenset[int], max_new_tokens: int) -> float | None:
    """exp(mean NLL after the prompt) / exp(mean NLL after EOS) of the student's own output; no test student adds a BOS."""
    output = slow_greedy(student, prompt, stop_ids, max_new_tokens)
    if not output:
        return None
    given = slow_nll(student, prompt + output, len(prompt))
    free = slow_nll(student, [student.tokenizer.eos_token_id, *output], 1)
    return math.exp(sum(given) / len(given)) / math.exp(sum(free) / len(free))
