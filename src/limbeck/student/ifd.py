"""IFD: how difficult a question is for the student (BalDistill §3, after Cherry LLM; here as a ratio of perplexities).

IFD(x) = exp(mean NLL of ŷ after the training prompt) / exp(mean NLL of ŷ after one BOS token), where ŷ is the student's own
greedy output without the end-of-turn token, cut at `max_new_tokens`. If the tokenizer doesn't start texts with BOS, EOS is
used instead. Higher = the question helps less = harder. Both means run over all |ŷ| tokens, from raw logits in float32
(float64 for a float64 model).

The training prompt is the one that asks for a rationale, even if answers are learnt separately (`method.objective: separate`):
a bare answer is only a token or two, so its likelihood says little.

Deviations from the released code: its bare prompt is not the training prompt (a left-over); it divides by zero on errors
and empty outputs, which have no score here; it truncates the unconditional text by the prompt's length.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from limbeck.data.example import Example
from limbeck.data.score import Score
from limbeck.errors import ConfigError
from limbeck.progress import silent
from limbeck.student.encode import Encoded, Encoder
from limbeck.student.forward import compute_token_scores
from limbeck.student.generate import generate
from limbeck.student.model import Student
from limbeck.student.tables import KINDS


def score_by_ifd(
    student: Student,
    examples: Sequence[Example],
    encoder: Encoder,
    *,
    max_new_tokens: int,
    batch_size: int,
    on_batch: Callable[[int, int], None] = silent,
) -> list[Score]:
    """Compute the IFD of each example (unitless, > 0, higher = harder), in the order given; None for an empty output.

    The score's parts are ``conditional_perplexity``, ``unconditional_perplexity``, ``token_count`` and ``is_truncated``.

    Raises:
        ConfigError: the student is not causal, so its output has no likelihood without a question.
    """
    if not KINDS[student.settings.kind].is_causal:
        raise ConfigError(
            f"selection: ifd needs a causal student, this one is a {student.settings.kind}; use loss, energy, entropy or margin"
        )
    prompts = [encoder.reasoner.encode_prompt(example.question, example.answer_type) for example in examples]
    outputs = generate(
        student,
        prompts,
        stop_ids=encoder.read_stop_ids(),
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        on_batch=on_batch,
    )
    filled = [index for index, output in enumerate(outputs) if output.ids]
    alone = [Encoded((encoder.start_id, *outputs[index].ids), 1) for index in filled]
    unconditional = compute_token_scores(student, alone, batch_size=batch_size)
    if student.is_exact:
        conditional = [sum(outputs[index].nll) / len(outputs[index].nll) for index in filled]
    else:  # in half precision, cached decoding differs from a full pass
        after = [Encoded((*prompts[index], *outputs[index].ids), len(prompts[index])) for index in filled]
        conditional = [_mean(one.nll) for one in compute_token_scores(student, after, batch_size=batch_size)]
    scores = [Score(example.id, example.domain, None, {"token_count": 0}) for example in examples]
    for index, given, scored in zip(filled, conditional, unconditional, strict=True):
        free = _mean(scored.nll)
        scores[index] = Score(
            examples[index].id,
            examples[index].domain,
            math.exp(given - free),
            {
                "conditional_perplexity": math.exp(given),
                "unconditional_perplexity": math.exp(free),
                "token_count": len(outputs[index].ids),
                "is_truncated": outputs[index].is_truncated,
            },
        )
    return scores


def _mean(values: torch.Tensor) -> float:
    return float(values.double().mean())
