"""Scores of un-annotated candidates: one number per example, always higher = harder."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from limbeck.data.example import Example
from limbeck.data.score import Score
from limbeck.progress import silent
from limbeck.student.encode import Encoded, Encoder
from limbeck.student.forward import compute_token_scores
from limbeck.student.model import Student
from limbeck.student.tables import KINDS, ComputeScore


def make_answer_score(part: str, sign: int) -> ComputeScore:
    """Make a score of the gold answer's tokens after the training prompt: ``sign`` times the mean of one of `TokenScores`.

    Candidates have no rationale yet, so only the answer is scored; `max_new_tokens` is ignored.
    """

    def score(
        student: Student,
        examples: Sequence[Example],
        encoder: Encoder,
        *,
        max_new_tokens: int,
        batch_size: int,
        on_batch: Callable[[int, int], None] = silent,
    ) -> list[Score]:
        bare = [encoder.encode(example.but(rationale=None)) for example in examples]
        scored = compute_token_scores(student, bare, batch_size=batch_size, on_batch=on_batch)
        scores = []
        for example, tokens in zip(examples, scored, strict=True):
            means = {name: float(getattr(tokens, name).double().mean()) for name in ("nll", "energy", "entropy", "margin")}
            parts: dict[str, float | int | bool] = {**means, "token_count": len(tokens.nll)}
            scores.append(Score(example.id, example.domain, sign * means[part], parts))
        return scores

    return score


score_by_loss = make_answer_score("nll", 1)
score_by_energy = make_answer_score("energy", 1)
score_by_entropy = make_answer_score("entropy", 1)
score_by_margin = make_answer_score("margin", -1)

COMPAT_LABEL_TOKENS = 32
"""GOLD's released code pads every label to this many tokens, and averages over all of them."""


def make_padded_energy(length: int) -> ComputeScore:
    """Make the energy of GOLD's released code: targets are padded to `length` ids, and the mean includes the padding.

    Labels are only a few ids long, so most of this score comes from padding. A classifier's single class is not padded.
    """

    def score(
        student: Student,
        examples: Sequence[Example],
        encoder: Encoder,
        *,
        max_new_tokens: int,
        batch_size: int,
        on_batch: Callable[[int, int], None] = silent,
    ) -> list[Score]:
        scores = score_by_energy(
            student, examples, encoder, max_new_tokens=max_new_tokens, batch_size=batch_size, on_batch=on_batch
        )
        if not KINDS[student.settings.kind].writes_text:
            return scores
        pad = student.tokenizer.pad_token_id or 0
        rows = [encoder.encode(example.but(rationale=None)) for example in examples]
        padded = [Encoded((*row.ids, *[pad] * (length - len(row.completion))), row.prompt_length) for row in rows]
        energies = [float(one.energy.double().mean()) for one in compute_token_scores(student, padded, batch_size=batch_size)]
        return [
            Score(score.id, score.domain, value, {**score.parts, "energy": value})
            for score, value in zip(scores, energies, strict=True)
        ]

    return score


score_by_padded_energy = make_padded_energy(COMPAT_LABEL_TOKENS)
