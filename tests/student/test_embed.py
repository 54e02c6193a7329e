"""Vectors of texts and examples: unit length, right shape, and the same alone and in a padded batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.support import make_example, needs_minilm

from limbeck.data.task import Task
from limbeck.errors import ConfigError
from limbeck.student import embed
from limbeck.student.embed import embed_examples, embed_texts
from limbeck.student.encode import make_encoder
from limbeck.student.model import Student, load_student
from limbeck.student.settings import StudentSettings

QUESTIONS = ["1 + 1", "Calculate 12 + 7, and then take away 3 of it.", "7", "What is the sum of 4 and 5?", "2 - 9 + 44"]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("kind", ["causal", "seq2seq", "classifier"])
def test_vectors_of_examples_are_means_over_the_prompt(
    kind: str, tiny_folder: Path, t5_folder: Path, bert_folder: Path
) -> None:
    """For every kind of student a vector is the mean hidden state of its prompt, at unit length, in any batch."""
    folder = {"causal": tiny_folder, "seq2seq": t5_folder, "classifier": bert_folder}[kind]
    settings = StudentSettings(model=str(folder), kind=kind, dtype="float64")
    student = load_student(settings, labels=("no", "yes"))
    encoder = make_encoder(settings, student.tokenizer, Task(answer="number"), has_rationale=True)
    examples = [make_example(question) for question in QUESTIONS]
    vectors = embed_examples(student, examples, encoder, batch_size=2)
    assert vectors.dtype == np.float32
    assert vectors.shape == (5, 32 if kind == "causal" else 16)
    for example, vector in zip(examples, vectors, strict=True):
        expected = slow_vector(student, encoder.encode_prompt(example.question, "number"))
        assert vector.tolist() == pytest.approx((expected / np.linalg.norm(expected)).tolist(), abs=1e-6)
    assert np.linalg.matrix_rank(vectors) > 1


def slow_vector(student: Student, ids: list[int]) -> np.ndarray:
    """The mean of the last hidden states of one prompt, alone and without a mask."""
    options = {"decoder_input_ids": torch.tensor([[0]])} if student.settings.kind == "seq2seq" else {}
    with torch.no_grad():
        outputs = student.model(input_ids=torch.tensor([ids]), output_hidden_states=True, **options)
    states = outputs.encoder_hidden_states if options else outputs.hidden_states
    return states[-1][0].mean(dim=0).numpy()


def test_nothing_has_no_vectors(tiny: Student) -> None:
    """No examples give an array with zero rows and the student's hidden size."""
    encoder = make_encoder(tiny.settings, tiny.tokenizer, Task(answer="number"), has_rationale=True)
    assert embed_examples(tiny, [], encoder, batch_size=4).shape == (0, 32)


@needs_minilm
def test_sentence_vectors_do_not_depend_on_neighbours() -> None:
    """A text's sentence vector has unit length and is the same alone and with longer and shorter texts, to 1e-5."""
    texts = [*QUESTIONS, "", "A very long text. " * 300]
    together = embed_texts(texts, batch_size=3)
    assert (together.shape, together.dtype) == ((7, 384), np.float32)
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(7), abs=1e-5)
    for text, vector in zip(texts, together, strict=True):
        assert embed_texts([text])[0].tolist() == pytest.approx(vector.tolist(), abs=1e-5)
    assert embed_texts([]).shape == (0, 384)


@needs_minilm
def test_sentences_of_one_meaning_are_closest() -> None:
    """Two paraphrases are closer to each other than to an unrelated sentence."""
    vectors = embed_texts(["A man is eating food.", "Someone is having a meal.", "The stock market fell today."])
    cosines = vectors @ vectors.T
    assert cosines[0, 1] > 0.5 > max(cosines[0, 2], cosines[1, 2])


def test_a_missing_encoder_names_its_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Embedding without the encoder's wheel is a config error that gives the install command."""

    def find_nothing(name: str) -> Path:
        raise ConfigError(f"{name} is not installed: pip install it")

    monkeypatch.setattr(embed, "find_packaged", find_nothing)
    with pytest.raises(ConfigError, match="pip install"):
        embed_texts(["text"])
