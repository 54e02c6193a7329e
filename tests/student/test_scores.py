"""Scores: likelihood, generation and IFD equal a slow reference, alone and in padded batches of any order."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import combinations, pairwise

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.student.reference import slow_greedy, slow_ifd, slow_nll
from tests.support import make_example, make_tokenizer
from transformers import GPT2Config, GPT2LMHeadModel

from limbeck.data.task import Task
from limbeck.errors import ConfigError
from limbeck.student.context_length import check_context_length, read_context_length
from limbeck.student.encode import Encoded, Encoder
from limbeck.student.forward import compute_token_scores, score_logits
from limbeck.student.generate import cut_batches, generate
from limbeck.student.ifd import score_by_ifd
from limbeck.student.model import Student, load_student
from limbeck.student.settings import StudentSettings
from limbeck.student.tables import SCORES

TASK = Task(answer="number")
QUESTIONS = ["1 + 1", "Calculate 12 + 7, and then take away 3 of it.", "7", "What is the sum of 4 and 5?", "2 - 9 + 44"]
relaxed = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Student:
    """A random two-layer GPT-2 with sixteen positions."""
    folder, tokenizer = tmp_path_factory.mktemp("gpt2"), make_tokenizer()
    torch.manual_seed(0)
    GPT2LMHeadModel(
        GPT2Config(vocab_size=len(tokenizer), n_positions=16, n_embd=16, n_layer=2, n_head=2, initializer_range=0.3)
    ).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return load_student(StudentSettings(model=str(folder), dtype="float64"))


@relaxed
@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 12)), min_size=1, max_size=7), st.integers(1, 4))
def test_token_nll_equals_the_reference(tiny: Student, shapes: list[tuple[int, int]], batch_size: int) -> None:
    """The likelihood of a completion equals that of a plain forward pass to 1e-9, whatever the batch."""
    draw = random.Random(str(shapes))
    rows = [Encoded(tuple(draw.randrange(250) for _ in range(p + c)), p) for p, c in shapes]
    for row, nll in zip(rows, compute_token_scores(tiny, rows, batch_size=batch_size), strict=True):
        assert nll.nll.tolist() == pytest.approx(slow_nll(tiny, list(row.ids), row.prompt_length), abs=1e-9)


@relaxed
@given(st.permutations(range(len(QUESTIONS))), st.integers(1, 5))
def test_generation_equals_the_reference(tiny: Student, order: list[int], batch_size: int) -> None:
    """Greedy outputs and their likelihoods equal those of each prompt alone without a cache, in any order and batch."""
    encoder = Encoder(tiny.tokenizer, TASK)
    prompts = [encoder.encode_prompt(QUESTIONS[place], "number") for place in order]
    # Use stop ids that the random model does generate, so that rows leave the batch at different times.
    stop_ids = frozenset(slow_greedy(tiny, prompts[0], frozenset(), 4)[-1:])
    outputs = generate(tiny, prompts, stop_ids=stop_ids, max_new_tokens=9, batch_size=batch_size)
    for prompt, output in zip(prompts, outputs, strict=True):
        expected = slow_greedy(tiny, prompt, stop_ids, 9)
        assert output.ids == expected
        assert output.is_truncated == (len(expected) == 9)
        assert output.nll == pytest.approx(slow_nll(tiny, prompt + expected, len(prompt)), abs=1e-9)


def test_learned_positions_end_the_output(gpt2: Student) -> None:
    """A student with sixteen learned positions stops there, reports truncation, and writes nothing for a longer prompt."""
    assert read_context_length(gpt2) == 16
    prompts = [list(range(1, 11)), list(range(1, 15)), list(range(1, 17)), list(range(1, 40))]
    outputs = generate(gpt2, prompts, stop_ids=frozenset(), max_new_tokens=4)
    assert [len(output.ids) for output in outputs] == [4, 2, 0, 0]
    assert all(output.is_truncated for output in outputs)
    assert outputs[1].ids == slow_greedy(gpt2, prompts[1], frozenset(), 2)
    check_context_length(gpt2.settings, 16)
    with pytest.raises(
        ConfigError, match=r"training\.max_length = 17 exceeds the 16 positions of student .* set it to 16 or less"
    ):
        check_context_length(gpt2.settings, 17)


def test_batches_are_cut_where_padding_costs_more() -> None:
    """A batch ends early if the padding saved outweighs the cost of another batch; batches never exceed the limit."""
    lengths = [100, 90, 20, 10, 10]
    # All five in one batch: 5·100. Cut after two: 2·100 + 3·20 = 260, plus one overhead.
    assert cut_batches(lengths, 5, 239) == [2, 5]
    assert cut_batches(lengths, 5, 241) == [5]
    # Cut after three as well: 200 + 20 + 20 = 240, which pays off if an overhead is below 20.
    assert cut_batches(lengths, 5, 19) == [2, 3, 5]
    # At most two per batch, so at least three batches: these cost 240 tokens, [2, 4, 5] 250 and [1, 3, 5] 300.
    assert cut_batches(lengths, 2, 1000) == [2, 3, 5]
    assert cut_batches(lengths, 2, None) == [2, 4, 5]
    assert cut_batches([], 2, None) == cut_batches([], 2, 7) == []


@relaxed
@given(st.lists(st.integers(1, 60), min_size=1, max_size=7), st.integers(1, 7), st.integers(0, 99))
def test_no_other_cut_is_cheaper(lengths: list[int], batch_size: int, overhead: int) -> None:
    """No other way to split sorted prompts into batches has a lower total of padded tokens and overheads."""
    lengths.sort(reverse=True)

    def price(ends: Sequence[int]) -> int:
        return sum((end - start) * lengths[start] + overhead for start, end in pairwise([0, *ends]))

    everywhere = [
        [*inner, len(lengths)]
        for count in range(len(lengths))
        for inner in combinations(range(1, len(lengths)), count)
        if all(end - start <= batch_size for start, end in pairwise([0, *inner, len(lengths)]))
    ]
    ends = cut_batches(lengths, batch_size, overhead)
    assert ends in everywhere
    assert price(ends) == min(map(price, everywhere))


@relaxed
@given(st.permutations(range(len(QUESTIONS))), st.integers(1, 5))
def test_ifd_equals_the_reference(tiny: Student, order: list[int], batch_size: int) -> None:
    """IFD on a float64 model equals the slow reference to 1e-9, alone and in padded batches of any order."""
    encoder = Encoder(tiny.tokenizer, TASK)
    examples = [make_example(QUESTIONS[place]) for place in order]
    scores = score_by_ifd(tiny, examples, encoder, max_new_tokens=7, batch_size=batch_size)
    for example, score in zip(examples, scores, strict=True):
        prompt = encoder.encode_prompt(example.question, "number")
        assert score.id == example.id
        assert score.score == pytest.approx(slow_ifd(tiny, prompt, encoder.read_stop_ids(), 7), abs=1e-9)


def test_ifd_of_half_precision_comes_from_a_full_pass(tiny: Student) -> None:
    """If cached decoding is not exact, the conditional likelihood comes from a full pass over the same ids."""
    encoder = Encoder(tiny.tokenizer, TASK)
    half = Student(tiny.model.to(torch.bfloat16), tiny.tokenizer, tiny.settings)
    score = score_by_ifd(half, [make_example(QUESTIONS[1])], encoder, max_new_tokens=6, batch_size=2)[0]
    prompt = encoder.encode_prompt(QUESTIONS[1], "number")
    output = generate(half, [prompt], stop_ids=encoder.read_stop_ids(), max_new_tokens=6)[0].ids
    full = compute_token_scores(half, [Encoded((*prompt, *output), len(prompt))])[0].nll
    assert not half.is_exact
    assert score.parts["conditional_perplexity"] == pytest.approx(float(full.double().mean().exp()), rel=1e-6)


def test_empty_output_has_no_score(tiny: Student) -> None:
    """An empty output has no IFD, but the example is still listed."""
    encoder = Encoder(tiny.tokenizer, TASK)
    example = make_example(QUESTIONS[0])
    first = slow_greedy(tiny, encoder.encode_prompt(example.question, "number"), frozenset(), 1)[0]

    class Stops(Encoder):
        def read_stop_ids(self) -> frozenset[int]:
            return frozenset({first})

    score = score_by_ifd(tiny, [example], Stops(tiny.tokenizer, TASK), max_new_tokens=5, batch_size=1)[0]
    assert (score.id, score.score, score.parts["token_count"]) == (example.id, None, 0)


def test_answer_scores_equal_plain_arithmetic_on_the_logits(tiny: Student) -> None:
    """Loss, energy, entropy and margin of the gold answer equal those computed from the logits of a plain forward pass."""
    encoder = Encoder(tiny.tokenizer, TASK)
    example = make_example("2 + 2", "4", rationale="must play no part")
    encoded = encoder.encode(example.but(rationale=None))
    assert tiny.tokenizer.decode(encoded.ids[encoded.prompt_length :]) == "The answer is: 4<|im_end|>"
    with torch.inference_mode():
        logits = tiny.model(input_ids=torch.tensor([encoded.ids])).logits[0, encoded.prompt_length - 1 : -1]
    logs = torch.log_softmax(logits, dim=-1)
    two = logits.sort(dim=-1, descending=True).values[:, :2]
    targets = torch.tensor(encoded.ids[encoded.prompt_length :])
    expected = {
        "loss": -logs.gather(1, targets.unsqueeze(1)).mean(),
        "energy": -torch.log(torch.exp(logits).sum(dim=-1)).mean(),
        "entropy": -(logs.exp() * logs).sum(dim=-1).mean(),
        "margin": -(two[:, 0] - two[:, 1]).mean(),
    }
    others = [make_example(question, "1234567") for question in QUESTIONS]
    for name, value in expected.items():
        alone = SCORES[name].compute(tiny, [example], encoder, max_new_tokens=1, batch_size=1)[0]
        padded = SCORES[name].compute(tiny, [*others, example], encoder, max_new_tokens=1, batch_size=9)[-1]
        assert alone.score == pytest.approx(float(value), abs=1e-9), name
        assert padded.score == pytest.approx(float(value), abs=1e-9), name
        assert alone.parts["token_count"] == len(targets)


def test_scores_of_logits_by_hand() -> None:
    """Logits 0, 0 and ln 2 have logsumexp ln 4, entropy 1.5 ln 2 and margin ln 2; a token with logit 0 costs ln 4."""
    log2 = math.log(2)
    scores = score_logits(torch.tensor([[0.0, 0.0, log2]], dtype=torch.float64), torch.tensor([0]))
    values = (scores.nll, scores.energy, scores.entropy, scores.margin)
    assert [float(value) for value in values] == pytest.approx([2 * log2, -2 * log2, 1.5 * log2, log2], abs=1e-12)


@relaxed
@given(st.integers(1, 9), st.integers(2, 40), st.integers(1, 17), st.floats(0.01, 300))
def test_chunks_of_the_vocabulary_change_nothing(tokens: int, vocabulary: int, chunk: int, scale: float) -> None:
    """Scores don't depend on the chunk size, even for logits in the hundreds, which would overflow in a naive sum."""
    draw = torch.Generator().manual_seed(tokens * 1000 + vocabulary)
    logits = torch.randn(tokens, vocabulary, generator=draw, dtype=torch.float64) * scale
    targets = torch.randint(vocabulary, (tokens,), generator=draw)
    scores = score_logits(logits, targets, chunk=chunk)
    logs = torch.log_softmax(logits, dim=-1)
    two = logits.sort(dim=-1, descending=True).values[:, :2]
    torch.testing.assert_close(scores.energy, -torch.logsumexp(logits, dim=-1), atol=1e-9, rtol=1e-12)
    torch.testing.assert_close(scores.nll, -logs.gather(1, targets.unsqueeze(1)).squeeze(1), atol=1e-9, rtol=1e-12)
    torch.testing.assert_close(scores.entropy, -(logs.exp() * logs).sum(dim=-1), atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(scores.margin, two[:, 0] - two[:, 1], atol=1e-9, rtol=1e-12)


def test_scores_of_half_precision_are_summed_in_float32() -> None:
    """Logits in bfloat16 give the same float32 scores as the same numbers in float32."""
    logits = torch.randn(5, 300, generator=torch.Generator().manual_seed(1)).bfloat16()
    targets = torch.arange(5)
    half, full = score_logits(logits, targets, chunk=64), score_logits(logits.float(), targets)
    for name in ("nll", "energy", "entropy", "margin"):
        assert getattr(half, name).dtype == torch.float32
        torch.testing.assert_close(getattr(half, name), getattr(full, name), atol=1e-5, rtol=1e-6)


def test_no_prompts_give_no_outputs(tiny: Student) -> None:
    """Generating or scoring nothing is not an error."""
    assert generate(tiny, [], stop_ids=frozenset({1}), max_new_tokens=3) == []
    assert compute_token_scores(tiny, []) == []
    assert score_by_ifd(tiny, [], Encoder(tiny.tokenizer, TASK), max_new_tokens=3, batch_size=2) == []


@pytest.mark.slow
def test_ifd_on_smollm2(smollm2: Student) -> None:
    """On the packaged SmolLM2 the batched IFD equals the slow reference to 1e-3 relative, with its chat template."""
    encoder = Encoder(smollm2.tokenizer, TASK)
    examples = [make_example(question) for question in QUESTIONS[:3]]
    scores = score_by_ifd(smollm2, examples, encoder, max_new_tokens=10, batch_size=3)
    for example, score in zip(examples, scores, strict=True):
        prompt = encoder.encode_prompt(example.question, "number")
        assert score.score == pytest.approx(slow_ifd(smollm2, prompt, encoder.read_stop_ids(), 10), rel=1e-3)


@pytest.mark.slow
def test_smollm2_has_the_template_end(smollm2: Student) -> None:
    """SmolLM2 completions end with `<|im_end|>` and nothing after it; the prompt contains the template's system message."""
    encoder = Encoder(smollm2.tokenizer, TASK)
    encoded = encoder.encode(make_example("1 + 1", "2", rationale="1 + 1 = 2."))
    assert smollm2.tokenizer.decode(encoded.ids[encoded.prompt_length :]) == "1 + 1 = 2.\nThe answer is: 2<|im_end|>"
    assert "system" in smollm2.tokenizer.decode(encoded.ids[:5])


def test_separate_objectives_score_each_by_its_prompt(tiny: Student) -> None:
    """IFD scores the rationale that the student writes when asked for one; other scores use the bare answer's row."""
    encoder = Encoder(tiny.tokenizer, TASK, has_rationale=False, is_separate=True)
    joint, bare = Encoder(tiny.tokenizer, TASK), Encoder(tiny.tokenizer, TASK, has_rationale=False)
    examples = [make_example(question, "4", rationale="So it is.") for question in QUESTIONS]
    options = {"max_new_tokens": 6, "batch_size": 2}
    assert score_by_ifd(tiny, examples, encoder, **options) == score_by_ifd(tiny, examples, joint, **options)
    for name in ("loss", "energy", "entropy", "margin"):
        assert SCORES[name].compute(tiny, examples, encoder, **options) == SCORES[name].compute(tiny, examples, bare, **options)
    prompt = joint.encode_prompt(QUESTIONS[0], "number")
    (first, *_) = score_by_ifd(tiny, examples, encoder, **options)
    assert first.score == pytest.approx(slow_ifd(tiny, prompt, encoder.read_stop_ids(), 6), abs=1e-9)
