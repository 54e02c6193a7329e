"""Seq2seq and classifier students, compared with slow references on tiny models."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import make_bert_config, make_example, make_padding_tokenizer
from transformers import (
    BertForSequenceClassification,
)

from limbeck.data.example import Example
from limbeck.data.task import Task
from limbeck.errors import ConfigError
from limbeck.student.encode import ClassifierEncoder, Encoded, Encoder, Seq2SeqEncoder, make_encoder
from limbeck.student.fine_tune import fine_tune, load_for_training
from limbeck.student.forward import compute_token_scores
from limbeck.student.generate import generate
from limbeck.student.ifd import score_by_ifd
from limbeck.student.model import Student, load_student, read_card, save_student
from limbeck.student.scores import make_padded_energy
from limbeck.student.settings import LoraSettings, StudentSettings, TrainingSettings
from limbeck.student.tables import SCORES

LABELS = ("negative", "neutral", "positive")
REVIEWS = Task(answer="label", labels=list(LABELS), instruction="Is the review positive?")
SUMS = Task(answer="number")
TRAINING = TrainingSettings(epochs=8, batch_size=4, learning_rate=1e-2, lora=None, precision="float32", warmup_ratio=0.0)
TEXTS = ["Fine.", "A dull film that never ends, not even when it is over.", "So so", "I loved every minute of it!"]
QUESTIONS = ["1 + 1", "Calculate 12 + 7, and then take away 3 of it.", "7", "What is the sum of 4 and 5?"]
LORA = LoraSettings(rank=2, alpha=4, dropout=0.0)
relaxed = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def t5(t5_folder: Path) -> Student:
    """The tiny T5 in float64."""
    return load_student(StudentSettings(model=str(t5_folder), kind="seq2seq", dtype="float64"))


@pytest.fixture
def bert(bert_folder: Path) -> Student:
    """The tiny classifier in float64, with a fresh three-class head."""
    return load_student(StudentSettings(model=str(bert_folder), kind="classifier", dtype="float64"), labels=LABELS, seed=1)


def make_review(text: str, answer: str = "positive") -> Example:
    return make_example(text, answer, answer_type="label")


def slow_class_logits(student: Student, ids: Iterable[int]) -> list[float]:
    """The class logits of one text alone, without padding or mask."""
    with torch.no_grad():
        return student.model(input_ids=torch.tensor([list(ids)])).logits[0].tolist()


def slow_decoder_logits(student: Student, row: Encoded) -> torch.Tensor:
    """The decoder's logits at each position of one completion alone, given the start token and the ids before it."""
    start = student.model.config.decoder_start_token_id
    with torch.no_grad():
        return student.model(
            input_ids=torch.tensor([row.prompt]), decoder_input_ids=torch.tensor([[start, *row.completion[:-1]]])
        ).logits[0]


def slow_seq2seq_greedy(student: Student, prompt: list[int], stop_ids: frozenset[int], limit: int) -> list[int]:
    """Greedy ids, with a full forward pass for each."""
    ids: list[int] = []
    while len(ids) < limit:
        token = int(slow_decoder_logits(student, Encoded((*prompt, *ids, 0), len(prompt)))[-1].argmax())
        if token in stop_ids:
            break
        ids.append(token)
    return ids


def copy_weights(student: Student) -> dict[str, torch.Tensor]:
    return {name: weights.detach().clone() for name, weights in student.model.named_parameters()}


def same_weights(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return set(first) == set(second) and all(torch.equal(first[name], second[name]) for name in first)


# Encoding.


def test_seq2seq_reads_the_message_and_writes_the_completion(t5: Student) -> None:
    """The input is the user message without a chat template; the completion is rationale, answer line and EOS."""
    encoder = make_encoder(t5.settings, t5.tokenizer, SUMS, has_rationale=True)
    assert isinstance(encoder, Seq2SeqEncoder)
    row = encoder.encode(make_example("2 + 3", "5", rationale="2 and 3 are 5."))
    assert t5.tokenizer.decode(row.prompt) == "Solve the problem.\n\n2 + 3\nLet's think step by step."
    assert t5.tokenizer.decode(row.completion) == "2 and 3 are 5.\nThe answer is: 5</s>"
    assert encoder.read_stop_ids() == {t5.tokenizer.eos_token_id}


def test_a_classifier_reads_the_question_and_answers_with_a_place(bert: Student) -> None:
    """A classifier's input is the bare question, its completion the label's index, and it never has a rationale."""
    encoder = make_encoder(bert.settings, bert.tokenizer, REVIEWS, has_rationale=True)
    assert isinstance(encoder, ClassifierEncoder)
    assert not encoder.has_rationale
    for place, label in enumerate(LABELS):
        row = encoder.encode(make_review("A fine film.", label).but(rationale="It says so."))
        assert bert.tokenizer.decode(row.prompt) == "A fine film."
        assert row.completion == (place,)
        assert encoder.decode(row.completion) == label
    with pytest.raises(ConfigError, match=r"'great' is not one of the classifier's labels: negative, neutral, positive"):
        encoder.encode(make_review("A fine film.", "great"))


def test_separate_objectives_by_kind(t5: Student, bert: Student) -> None:
    """A seq2seq student also has a row for each objective; a classifier writes no rationale and keeps its single row."""
    encoder = make_encoder(t5.settings, t5.tokenizer, SUMS, has_rationale=False, is_separate=True)
    row = encoder.encode(make_example("2 + 3", "5", rationale="2 and 3 are 5."))
    assert row.rationale is not None
    read = [t5.tokenizer.decode(one.prompt) for one in (row, row.rationale)]
    assert read == ["Solve the problem.\n\n2 + 3", "Solve the problem.\n\n2 + 3\nLet's think step by step."]
    assert [t5.tokenizer.decode(one.completion) for one in (row, row.rationale)] == ["5</s>", "2 and 3 are 5.</s>"]
    classifier = make_encoder(bert.settings, bert.tokenizer, REVIEWS, has_rationale=False, is_separate=True)
    assert classifier.encode(make_review("A fine film.").but(rationale="It says so.")).rationale is None


def test_seq2seq_without_an_end_is_refused(t5: Student) -> None:
    """A tokenizer without EOS is a config error, since outputs would never end."""
    t5.tokenizer.eos_token = None
    with pytest.raises(ConfigError, match=r"no EOS token"):
        Seq2SeqEncoder(t5.tokenizer, SUMS).encode(make_example("2 + 3", "5"))


# Scores.


def test_energy_of_a_classifier_is_minus_the_logsumexp_of_its_classes(bert: Student) -> None:
    """A classifier's energy is −ln Σ exp(logit) over its classes by hand, to 1e-9, alone and in a padded batch."""
    encoder = make_encoder(bert.settings, bert.tokenizer, REVIEWS, has_rationale=False)
    examples = [make_review(text) for text in TEXTS]
    batched = SCORES["energy"].compute(bert, examples, encoder, max_new_tokens=1, batch_size=4)
    for example, together in zip(examples, batched, strict=True):
        (alone,) = SCORES["energy"].compute(bert, [example], encoder, max_new_tokens=1, batch_size=1)
        logits = slow_class_logits(bert, encoder.encode_prompt(example.question, "label"))
        assert len(logits) == 3
        expected = -math.log(sum(math.exp(logit) for logit in logits))
        assert alone.score == pytest.approx(expected, abs=1e-9)
        assert together.score == pytest.approx(expected, abs=1e-9)
        assert together.id == example.id
        assert together.parts["token_count"] == 1
    assert len({round(score.score or 0, 6) for score in batched}) == len(TEXTS)


def test_other_scores_of_a_classifier_by_hand(bert: Student) -> None:
    """A classifier's loss, entropy and margin equal those computed by hand from its class probabilities."""
    encoder = make_encoder(bert.settings, bert.tokenizer, REVIEWS, has_rationale=False)
    example = make_review(TEXTS[1], "neutral")
    logits = slow_class_logits(bert, encoder.encode_prompt(example.question, "label"))
    total = sum(math.exp(logit) for logit in logits)
    shares = [math.exp(logit) / total for logit in logits]
    first, second, _ = sorted(logits, reverse=True)
    expected = {
        "loss": -math.log(shares[1]),
        "entropy": -sum(share * math.log(share) for share in shares),
        "margin": -(first - second),
    }
    for name, value in expected.items():
        (score,) = SCORES[name].compute(bert, [example], encoder, max_new_tokens=1, batch_size=1)
        assert score.score == pytest.approx(value, abs=1e-9), name


def draw_rows(shapes: list[tuple[int, int]]) -> list[Encoded]:
    """Rows of random bytes with the given prompt and completion lengths."""
    draw = random.Random(str(shapes))
    return [Encoded(tuple(draw.randrange(250) for _ in range(p + c)), p) for p, c in shapes]


@relaxed
@given(st.lists(st.tuples(st.integers(1, 20), st.integers(1, 9)), min_size=1, max_size=6), st.integers(1, 6))
def test_seq2seq_scores_equal_the_reference(t5: Student, shapes: list[tuple[int, int]], batch_size: int) -> None:
    """Every token's scores equal those of its row alone without padding, to 1e-9, whatever the batch."""
    rows = draw_rows(shapes)
    for row, scores in zip(rows, compute_token_scores(t5, rows, batch_size=batch_size), strict=True):
        logits = slow_decoder_logits(t5, row)
        logs = torch.log_softmax(logits, dim=-1)
        two = logits.sort(dim=-1, descending=True).values[:, :2]
        nll = -logs.gather(1, torch.tensor(row.completion).unsqueeze(1)).squeeze(1)
        torch.testing.assert_close(scores.nll, nll, atol=1e-9, rtol=0)
        torch.testing.assert_close(scores.energy, -torch.logsumexp(logits, dim=-1), atol=1e-9, rtol=0)
        torch.testing.assert_close(scores.entropy, -(logs.exp() * logs).sum(dim=-1), atol=1e-9, rtol=0)
        torch.testing.assert_close(scores.margin, two[:, 0] - two[:, 1], atol=1e-9, rtol=0)


@relaxed
@given(st.lists(st.integers(1, 20), min_size=1, max_size=6), st.integers(1, 6))
def test_classifier_scores_equal_the_reference(bert: Student, lengths: list[int], batch_size: int) -> None:
    """A classifier's loss equals that of the text alone without a mask, to 1e-9, whatever the batch."""
    rows = [Encoded((*row.prompt, row.completion[0] % 3), row.prompt_length) for row in draw_rows([(n, 1) for n in lengths])]
    for row, scores in zip(rows, compute_token_scores(bert, rows, batch_size=batch_size), strict=True):
        logs = torch.log_softmax(torch.tensor(slow_class_logits(bert, row.prompt), dtype=torch.float64), dim=0)
        assert scores.nll.tolist() == pytest.approx([-float(logs[row.completion[0]])], abs=1e-9)


@pytest.mark.parametrize("kind", ["t5", "bert"])
def test_ifd_is_for_causal_students(kind: str, request: pytest.FixtureRequest) -> None:
    """IFD with another kind of student is a config error that names the scores to use instead."""
    student: Student = request.getfixturevalue(kind)
    task, example = (SUMS, make_example("1 + 1")) if kind == "t5" else (REVIEWS, make_review("Fine."))
    encoder = make_encoder(student.settings, student.tokenizer, task, has_rationale=False)
    with pytest.raises(ConfigError, match=rf"a {student.settings.kind}; use loss, energy, entropy or margin"):
        score_by_ifd(student, [example], encoder, max_new_tokens=3, batch_size=1)


def test_padded_energy_by_hand(tiny: Student) -> None:
    """The padded energy is the mean of −logsumexp over the answer's ids and the padding after it, sixteen in total."""
    encoder = Encoder(tiny.tokenizer, SUMS, has_rationale=False)
    examples = [make_example("2 + 2", "4"), make_example(QUESTIONS[1], "16")]
    scores = make_padded_energy(16)(tiny, examples, encoder, max_new_tokens=1, batch_size=2)
    plain = SCORES["energy"].compute(tiny, examples, encoder, max_new_tokens=1, batch_size=2)
    for example, padded, unpadded in zip(examples, scores, plain, strict=True):
        row = encoder.encode(example)
        count = len(row.completion)  # the digits of the answer and the end of the turn
        assert count == len(example.answer) + 1
        ids = [*row.ids, *[tiny.tokenizer.pad_token_id] * (16 - count)]
        with torch.no_grad():
            logits = tiny.model(input_ids=torch.tensor([ids])).logits[0]
        energies = [-math.log(sum(math.exp(logit) for logit in logits[row.prompt_length - 1 + k].tolist())) for k in range(16)]
        assert padded.score == pytest.approx(sum(energies) / 16, abs=1e-9)
        assert unpadded.score == pytest.approx(sum(energies[:count]) / count, abs=1e-9)
        assert (padded.id, padded.parts["energy"]) == (example.id, padded.score)


def test_padded_energy_of_long_answers_is_not_cut(tiny: Student) -> None:
    """An answer with at least the padded length has the same energy as without padding."""
    encoder = Encoder(tiny.tokenizer, SUMS, has_rationale=False)
    examples = [make_example("2 + 2", "1234567")]
    plain = SCORES["energy"].compute(tiny, examples, encoder, max_new_tokens=1, batch_size=1)
    for length in (8, 5):
        padded = make_padded_energy(length)(tiny, examples, encoder, max_new_tokens=1, batch_size=1)
        assert padded[0].score == pytest.approx(plain[0].score, abs=1e-9)


def test_padded_energy_leaves_a_classifier_alone(bert: Student) -> None:
    """A classifier's single class is never padded, so its padded energy is its energy."""
    encoder = make_encoder(bert.settings, bert.tokenizer, REVIEWS, has_rationale=False)
    examples = [make_review(text) for text in TEXTS]
    options = {"max_new_tokens": 1, "batch_size": 2}
    plain = SCORES["energy"].compute(bert, examples, encoder, **options)
    assert make_padded_energy(32)(bert, examples, encoder, **options) == plain


# Generation.


@relaxed
@given(st.permutations(range(len(QUESTIONS))), st.integers(1, 4))
def test_seq2seq_generation_equals_the_reference(t5: Student, order: list[int], batch_size: int) -> None:
    """Greedy outputs equal those of each prompt alone without a cache, in any order and batch."""
    encoder = make_encoder(t5.settings, t5.tokenizer, SUMS, has_rationale=False)
    prompts = [encoder.encode_prompt(QUESTIONS[place], "number") for place in order]
    # Use stop ids that the random model does generate, so that rows end at different times.
    stop_ids = frozenset(slow_seq2seq_greedy(t5, prompts[0], frozenset(), 3)[-1:])
    outputs = generate(t5, prompts, stop_ids=stop_ids, max_new_tokens=6, batch_size=batch_size)
    for prompt, output in zip(prompts, outputs, strict=True):
        expected = slow_seq2seq_greedy(t5, prompt, stop_ids, 6)
        assert output.ids == expected
        assert output.is_truncated == (len(expected) == 6)


def test_a_models_own_generation_settings_have_no_part(t5: Student) -> None:
    """Generation is greedy even if the model's own settings have a repetition penalty, banned n-grams, beams or forced EOS."""
    encoder = make_encoder(t5.settings, t5.tokenizer, SUMS, has_rationale=False)
    prompts = [encoder.encode_prompt(question, "number") for question in QUESTIONS]
    own = t5.model.generation_config
    own.repetition_penalty, own.no_repeat_ngram_size, own.num_beams, own.forced_eos_token_id = 5.0, 1, 3, 7
    stop_ids = encoder.read_stop_ids()
    outputs = generate(t5, prompts, stop_ids=stop_ids, max_new_tokens=6)
    assert [output.ids for output in outputs] == [slow_seq2seq_greedy(t5, prompt, stop_ids, 6) for prompt in prompts]


def test_a_classifier_generates_one_label(bert: Student) -> None:
    """A classifier's output is the id of its most probable class with its likelihood, and is never truncated."""
    encoder = make_encoder(bert.settings, bert.tokenizer, REVIEWS, has_rationale=False)
    prompts = [encoder.encode_prompt(text, "label") for text in TEXTS]
    for batch_size in (1, 3):
        outputs = generate(bert, prompts, stop_ids=encoder.read_stop_ids(), max_new_tokens=1, batch_size=batch_size)
        for prompt, output in zip(prompts, outputs, strict=True):
            logits = slow_class_logits(bert, prompt)
            best = max(range(3), key=logits.__getitem__)
            assert output.ids == [best]
            assert output.nll == pytest.approx([math.log(sum(math.exp(logit - logits[best]) for logit in logits))], abs=1e-9)
            assert not output.is_truncated
            assert encoder.decode(output.ids) == LABELS[best]


def test_a_text_longer_than_the_classifier_reads(bert: Student) -> None:
    """A text with more tokens than the classifier has positions is answered too, from the part it can read."""
    encoder = make_encoder(bert.settings, bert.tokenizer, REVIEWS, has_rationale=False)
    prompt = encoder.encode_prompt("x" * 97, "label")
    assert len(generate(bert, [prompt], stop_ids=frozenset(), max_new_tokens=1)[0].ids) == 1


# Training.

LoadFresh = Callable[..., tuple[Student, list[Encoded]]]


@pytest.fixture
def load_fresh(t5_folder: Path, bert_folder: Path) -> LoadFresh:
    """Loads a fresh student of a kind for training, with four rows to learn."""

    def load(kind: str, training: TrainingSettings = TRAINING, seed: int = 1) -> tuple[Student, list[Encoded]]:
        folder = t5_folder if kind == "seq2seq" else bert_folder
        fresh = StudentSettings(model=str(folder), kind=kind, dtype="float32")  # type: ignore[arg-type]
        student = load_for_training(fresh, training, labels=LABELS if kind == "classifier" else (), seed=seed)
        if kind == "seq2seq":
            encoder = make_encoder(fresh, student.tokenizer, SUMS, has_rationale=False)
            return student, [encoder.encode(make_example(f"Calculate {n} + 1.", str(n + 1))) for n in range(4)]
        encoder = make_encoder(fresh, student.tokenizer, REVIEWS, has_rationale=False)
        labels = itertools.cycle(LABELS)
        return student, [encoder.encode(make_review(text, next(labels))) for text in TEXTS]

    return load


def measure_loss(student: Student, rows: list[Encoded]) -> float:
    return sum(float(scores.nll.sum()) for scores in compute_token_scores(student, rows))


@pytest.mark.parametrize("kind", ["seq2seq", "classifier"])
@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
def test_training_lowers_the_loss(load_fresh: LoadFresh, kind: str, lora: LoraSettings | None) -> None:
    """Training on a few rows lowers their loss, with all weights or adapters alone, and reports every step."""
    # After 8 epochs the T5's adapters reach 0.67 to 0.81 of the initial loss, depending on the seed; after 16 epochs, every
    # kind stays below 0.5 for five seeds.
    training = TRAINING.model_copy(update={"lora": lora, "batch_size": 2, "epochs": 16})
    student, rows = load_fresh(kind, training)
    before = measure_loss(student, rows)
    steps: list[tuple[int, int]] = []
    trained = fine_tune(student, rows, training, seed=1, on_step=lambda done, total: steps.append((done, total)))
    assert measure_loss(trained, rows) < 0.7 * before
    assert steps == [(step, 32) for step in range(1, 33)]
    assert not trained.model.training


@pytest.mark.parametrize("kind", ["seq2seq", "classifier"])
def test_accumulated_steps_equal_one_large_batch(load_fresh: LoadFresh, kind: str) -> None:
    """Two accumulated batches of two train like one batch of four: the loss is divided by the labels of the whole step."""
    weights = []
    for changes in ({"gradient_accumulation": 2, "batch_size": 2}, {"gradient_accumulation": 1, "batch_size": 4}):
        student, rows = load_fresh(kind)
        trained = fine_tune(student, rows, TRAINING.model_copy(update={"epochs": 1, **changes}), seed=1)
        # The bias of attention keys has no effect, so its gradient is rounding noise, which Adam amplifies.
        weights.append({name: part for name, part in copy_weights(trained).items() if not name.endswith("key.bias")})
    torch.testing.assert_close(weights[0], weights[1], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("kind", ["seq2seq", "classifier"])
def test_same_seed_same_training(load_fresh: LoadFresh, kind: str) -> None:
    """Training depends only on rows, settings and seed: it is reproducible, and another seed gives different weights."""
    training = TRAINING.model_copy(update={"epochs": 2, "batch_size": 2, "lora": LORA})
    weights = []
    for seed in (3, 3, 4):
        student, rows = load_fresh(kind, training)
        torch.rand(seed)  # earlier random draws must not matter
        weights.append(copy_weights(fine_tune(student, rows, training, seed=seed)))
    assert same_weights(weights[0], weights[1])
    assert not same_weights(weights[0], weights[2])


@pytest.mark.parametrize(
    ("values", "patience", "epochs", "best"),
    [
        ([1, 3, 2, 2], 2, 4, 2),
        ([1, 3, 2, 4, 3, 3], 2, 6, 4),
        ([5, 5, 5], 2, 3, 1),  # the first of several equal ones
        ([2, 1], 1, 2, 1),
        ([1, 3, 2, 2, 2, 2, 2, 2], None, 8, 2),
        ([1, 2, 3, 4, 5, 6, 7, 8], 1, 8, 8),
    ],
)
def test_the_best_epoch_is_kept(
    load_fresh: LoadFresh, values: list[float], patience: int | None, epochs: int, best: int
) -> None:
    """The judge rates every epoch until patience runs out, and the student keeps the weights that it rated best."""
    student, rows = load_fresh("classifier")
    seen: list[dict[str, torch.Tensor]] = []

    def judge(candidate: Student) -> float:
        assert not candidate.model.training
        seen.append(copy_weights(candidate))
        return values[len(seen) - 1]

    trained = fine_tune(student, rows, TRAINING, seed=1, judge=judge, patience=patience)
    assert len(seen) == epochs
    assert same_weights(copy_weights(trained), seen[best - 1])
    assert all(not same_weights(seen[best - 1], other) for place, other in enumerate(seen) if place != best - 1)


@pytest.mark.parametrize("kind", ["seq2seq", "classifier"])
def test_the_best_epoch_of_an_adapter_is_kept(load_fresh: LoadFresh, kind: str) -> None:
    """With adapters, too, a student of any kind keeps the best epoch: its loss is the one that the judge saw then."""
    training = TRAINING.model_copy(update={"lora": LORA})
    student, rows = load_fresh(kind, training)
    losses: list[float] = []

    def judge(candidate: Student) -> float:
        losses.append(measure_loss(candidate, rows))
        return [1, 3, 2, 2][len(losses) - 1]

    trained = fine_tune(student, rows, training, seed=1, judge=judge, patience=2)
    assert len(losses) == 4
    assert losses[1] != pytest.approx(losses[3])
    assert measure_loss(trained, rows) == pytest.approx(losses[1], rel=1e-5)


def test_a_judge_changes_no_training(load_fresh: LoadFresh) -> None:
    """A judge that rates every epoch better than the last gives the same weights as no judge."""
    student, rows = load_fresh("classifier")
    plain = copy_weights(fine_tune(student, rows, TRAINING, seed=1))
    student, rows = load_fresh("classifier")
    count = itertools.count()
    assert same_weights(copy_weights(fine_tune(student, rows, TRAINING, seed=1, judge=lambda s: float(next(count)))), plain)


# Loading and saving.


def test_the_head_of_a_classifier_is_seeded(bert_folder: Path) -> None:
    """A fresh head depends only on the seed, and loading it leaves the global random state unchanged."""
    wanted = StudentSettings(model=str(bert_folder), kind="classifier", dtype="float32")
    heads = []
    for seed in (1, 1, 2):
        torch.rand(5)
        state = torch.get_rng_state()
        heads.append(load_student(wanted, labels=LABELS, seed=seed).model.classifier.weight)
        assert torch.equal(torch.get_rng_state(), state)
    assert heads[0].shape == (3, 16)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


@pytest.mark.parametrize("labels", [(), ("positive",)])
def test_a_classifier_needs_labels(bert_folder: Path, labels: tuple[str, ...]) -> None:
    """A classifier for a task with fewer than two labels is a config error that says what to set."""
    wanted = StudentSettings(model=str(bert_folder), kind="classifier")
    with pytest.raises(ConfigError, match=rf"at least two labels, {len(labels)} found; set task\.answer: label"):
        load_student(wanted, labels=labels)


def test_a_model_without_such_a_kind_is_refused(bert_folder: Path) -> None:
    """Loading an encoder as seq2seq is a one-line config error."""
    with pytest.raises(ConfigError, match=r"can't be loaded") as caught:
        load_student(StudentSettings(model=str(bert_folder), kind="seq2seq"))
    assert "\n" not in str(caught.value)


def test_a_head_of_other_classes_is_refused(tmp_path: Path, bert: Student) -> None:
    """A model whose own head has a different number of classes than the task has labels is a config error."""
    bert.model.save_pretrained(tmp_path / "three")
    bert.tokenizer.save_pretrained(tmp_path / "three")
    with pytest.raises(ConfigError, match=r"can't be loaded"):
        load_student(StudentSettings(model=str(tmp_path / "three"), kind="classifier"), labels=("yes", "no"))


def predict(student: Student) -> list[list[float]]:
    encoder = make_encoder(student.settings, student.tokenizer, REVIEWS, has_rationale=False)
    return [slow_class_logits(student, encoder.encode_prompt(text, "label")) for text in TEXTS]


def test_a_saved_classifier_is_the_same(tmp_path: Path, load_fresh: LoadFresh) -> None:
    """A trained classifier loads with the same labels, label order and logits, and its card describes it."""
    student, rows = load_fresh("classifier")
    trained = fine_tune(student, rows, TRAINING, seed=1)
    save_student(trained, tmp_path / "student", REVIEWS, has_rationale=False)
    loaded = load_student(student.settings, tmp_path / "student")
    assert loaded.model.config.id2label == dict(enumerate(LABELS))
    assert loaded.model.config.label2id == {label: place for place, label in enumerate(LABELS)}
    torch.testing.assert_close(torch.tensor(predict(loaded)), torch.tensor(predict(trained)), atol=1e-6, rtol=1e-6)
    assert read_card(tmp_path / "student") == (student.settings, REVIEWS, False)


@pytest.mark.parametrize("labels", [LABELS, ()], ids=["with labels", "as job.load does"])
def test_an_adapter_of_a_classifier_is_loaded_back(tmp_path: Path, load_fresh: LoadFresh, labels: tuple[str, ...]) -> None:
    """A classifier's adapter is saved with its head and loads merged, with or without the labels given."""
    training = TRAINING.model_copy(update={"lora": LORA})
    student, rows = load_fresh("classifier", training, seed=9)
    untouched = predict(student)
    trained = fine_tune(student, rows, training, seed=1)
    expected = torch.tensor(predict(trained))
    save_student(trained, tmp_path / "student", REVIEWS, has_rationale=False)
    assert (tmp_path / "student" / "adapter_model.safetensors").exists()
    loaded = load_student(student.settings, tmp_path / "student", labels=labels)
    torch.testing.assert_close(torch.tensor(predict(loaded)), expected, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(torch.tensor(untouched), expected, atol=1e-2)
    assert loaded.model.config.id2label == dict(enumerate(LABELS))


@pytest.mark.parametrize("lora", [None, LORA], ids=["full", "lora"])
def test_a_saved_seq2seq_student_is_the_same(tmp_path: Path, load_fresh: LoadFresh, lora: LoraSettings | None) -> None:
    """A trained seq2seq student has the same loss after saving and loading, from full weights or an adapter."""
    training = TRAINING.model_copy(update={"lora": lora})
    student, rows = load_fresh("seq2seq", training)
    trained = fine_tune(student, rows, training, seed=1)
    loss = measure_loss(trained, rows)
    save_student(trained, tmp_path / "student", SUMS, has_rationale=False)
    assert (tmp_path / "student" / "adapter_config.json").exists() == (lora is not None)
    loaded = load_student(student.settings, tmp_path / "student")
    assert measure_loss(loaded, rows) == pytest.approx(loss, rel=1e-4)


def test_a_classifier_with_a_head_of_its_own_keeps_it(tmp_path: Path, bert_folder: Path) -> None:
    """A model whose own head has as many classes as labels keeps that head, whatever the seed."""
    torch.manual_seed(5)
    tokenizer = make_padding_tokenizer()
    own = BertForSequenceClassification(make_bert_config(tokenizer.pad_token_id, len(tokenizer), num_labels=3))
    own.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    wanted = StudentSettings(model=str(tmp_path), kind="classifier", dtype="float32")
    for seed in (1, 2):
        loaded = load_student(wanted, labels=LABELS, seed=seed)
        assert torch.equal(loaded.model.classifier.weight, own.classifier.weight)
