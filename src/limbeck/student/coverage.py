"""Finds text that a student's tokenizer can't represent: what it reads as [UNK], and answers that it can't write."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from limbeck.data.example import Example
from limbeck.errors import DataError
from limbeck.student.encode import Encoder

_SHOWN_CHARS = 60


def find_unknown_text(encoder: Encoder, examples: Sequence[Example], *, only_rationales: bool = False) -> list[str]:
    """Describe what the student can't read or write in these examples, with counts and an example each; empty if nothing.

    Tokenizers that fall back to bytes know every text. WordPiece (BERT) and unigram ones (T5) replace emoji, many scripts and
    signs by one unknown token, and some lose line breaks or case.

    Args:
        encoder: the student's encoder; a classifier writes nothing, so only its questions count.
        examples: the rows.
        only_rationales: whether to leave out questions and answers, which were looked at before.
    """
    notes = []
    for part in ("question", "answer", "rationale")[2 if only_rationales else 0 :]:
        if part == "question" or encoder.writes_text:
            texts = [text for example in examples if (text := getattr(example, part)) is not None]
            notes += _describe_unknown(encoder.tokenizer, texts, part)
    if only_rationales:
        return notes
    notes += _describe_same(encoder.tokenizer, examples)
    return notes + (_describe_unwritable(encoder, [example.answer for example in examples]) if encoder.writes_text else [])


def _describe_unknown(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], part: str) -> list[str]:
    unknown = tokenizer.unk_token_id
    if unknown is None:
        return []
    found = [text for text, ids in zip(texts, _tokenize(tokenizer, texts), strict=True) if unknown in ids]
    if not found:
        return []
    return [
        f"{len(found)} of {len(texts)} {part}s have text that the student's tokenizer doesn't know and reads as "
        f"{tokenizer.unk_token}, such as {_find_word(tokenizer, found[0])!r} in {_cut(found[0])!r}; write it in other "
        "characters, or choose a student with another tokenizer"
    ]


def _describe_same(tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example]) -> list[str]:
    """Describe different questions with different answers that have the same tokens."""
    groups: defaultdict[tuple[int, ...], dict[str, str]] = defaultdict(dict)
    for example, ids in zip(examples, _tokenize(tokenizer, [example.question for example in examples]), strict=True):
        groups[tuple(ids)].setdefault(example.question, example.answer)
    mixed = [questions for questions in groups.values() if len(set(questions.values())) > 1]
    if not mixed:
        return []
    (first, one), *others = mixed[0].items()
    second, other = next((question, answer) for question, answer in others if answer != one)
    return [
        f"{sum(map(len, mixed))} questions have the same tokens as another one with a different answer, such as "
        f"{_cut(first)!r} ({_cut(one)}) and {_cut(second)!r} ({_cut(other)}): the student can't tell them apart; choose a "
        "student with another tokenizer"
    ]


def _describe_unwritable(encoder: Encoder, answers: Sequence[str]) -> list[str]:
    written = {answer: _write(encoder, answer) for answer in dict.fromkeys(answers)}
    lost = [answer for answer in answers if written[answer] != answer.strip()]
    if not lost:
        return []
    return [
        f"{len(lost)} of {len(answers)} answers can't be written with the student's tokens, such as {_cut(lost[0])!r}, which "
        f"becomes {_cut(written[lost[0]] or '')!r}; choose a student with another tokenizer"
    ]


def _write(encoder: Encoder, answer: str) -> str | None:
    """Return an answer as the student would write it; None if it has no ids."""
    try:
        return encoder.decode(encoder.encode_completion(answer)[:-1])
    except DataError:
        return None


def _tokenize(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    if not texts:
        return []
    return list(tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)["input_ids"])


def _find_word(tokenizer: PreTrainedTokenizerBase, text: str) -> str:
    """Return the first part of a text that the tokenizer doesn't know; the whole text if it can't tell."""
    if not tokenizer.is_fast:
        return _cut(text)
    read = tokenizer(text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True)
    start, end = read["offset_mapping"][list(read["input_ids"]).index(tokenizer.unk_token_id)]
    return _cut(text[start:end].strip())


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"
