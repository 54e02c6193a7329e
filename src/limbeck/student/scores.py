"""Scores of un-annotated candidates: one number an example, always higher = harder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from limbeck.data.example import Example
from limbeck.student.encode import Encoder
from limbeck.student.forward import compute_token_nll, silent
from limbeck.student.ifd import Score, score_by_ifd
from limbeck.student.model import Student


class ScoreFunction(Protocol):
    """What every entry of `SCORES` is."""

    def __call__(
        self,
        student: Student,
        examples: Sequence[Example],
        encoder: Encoder,
        *,
        max_new_tokens: int,
        batch_size: int,
        on_batch: Callable[[int, int], None] = silent,
    ) -> list[Score]:
        """Score the examples, in the order given."""
        ...


def score_by_loss(
    student: Student,
    examples: Sequence[Example],
    encoder: Encoder,
    *,
    max_new_tokens: int,
    batch_size: int,
    on_batch: Callable[[int, int], None] = silent,
) -> list[Score]:
    """Mean NLL in nats a token of the bare gold answer after the training prompt; higher = harder.

    Candidates have no rationale yet, so the answer is all there is to be surprised by; `max_new_tokens` has no part.
    """
    bare = [example.but(rationale=None) for example in examples]
    losses = compute_token_nll(student, [encoder.encode(example) for example in bare], batch_size=batch_size, on_batch=on_batch)
    return [
        Score(example.id, example.domain, float(nll.double().mean()), {"token_count": len(nll)})
        for example, nll in zip(examples, losses, strict=True)
    ]


SCORES: Mapping[str, ScoreFunction] = {"ifd": score_by_ifd, "loss": score_by_loss}
