"""Predictions: every row is answered once, in order, and parsed and compared by the task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support import make_example, make_sums, write_rows

from limbeck.config.config import load_config
from limbeck.data.task import Task
from limbeck.evaluation import evaluate as module
from limbeck.evaluation.evaluate import evaluate
from limbeck.evaluation.settings import EvaluationSettings
from limbeck.runner.apply import _read_data
from limbeck.runner.prepare import read_data
from limbeck.selection.subset import choose_examples
from limbeck.student.encode import Encoder
from limbeck.student.generate import Generation
from limbeck.student.model import Student

TASK = Task(answer="number")


def test_predictions_are_read_and_compared(tiny: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs become an answer with its correctness, F1 and ROUGE-L for text rows only, and a flag if truncated."""
    written = ["2 + 2 = 4.\nThe answer is: 4.0", "no idea", "The answer is: the red fox"]

    def write(student: Student, prompts: list[list[int]], **options: object) -> list[Generation]:
        ids = [list(student.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in written]
        return [Generation(row, [0.0] * len(row), is_truncated=place == 1) for place, row in enumerate(ids)]

    monkeypatch.setattr(module, "generate", write)
    examples = [make_example("a", "4"), make_example("b", "5"), make_example("c", "red fox runs", answer_type="text")]
    right, none, text = evaluate(tiny, Encoder(tiny.tokenizer, TASK), examples, EvaluationSettings())
    assert (right.prediction, right.is_correct, right.f1, right.is_truncated) == ("4", True, None, False)
    assert (none.prediction, none.is_correct, none.is_truncated) == (None, False, True)
    # "red fox" of "red fox runs": precision 1, recall 2/3, F1 4/5.
    assert (text.prediction, text.is_correct) == ("the red fox", False)
    assert text.f1 == pytest.approx(0.8)
    # "the red fox" and "red fox runs" share two of three words, in order.
    assert text.rouge_l == pytest.approx(2 / 3)
    assert right.rouge_l is None


def test_evaluation_is_independent_of_batching(tiny: Student) -> None:
    """The same rows give the same predictions in batches of one, three and all."""
    examples = [make_example("word " * n, str(n)) for n in range(1, 8)]
    encoder = Encoder(tiny.tokenizer, TASK)
    runs = [evaluate(tiny, encoder, examples, EvaluationSettings(max_new_tokens=6, batch_size=size)) for size in (1, 3, 8)]
    assert runs[0] == runs[1] == runs[2]
    assert [row.id for row in runs[0]] == [example.id for example in examples]


def test_a_measured_file_has_the_tail_of_the_run(project: Callable[..., Path]) -> None:
    """`limbeck eval` drops leaked rows and puts domains missing from the pool in the tail, as the run does."""
    pool = {"big": 12, "mid": 3, "small": 2}
    path = project(pool)
    leak = next(row for row in make_sums(pool) if row["domain"] == "mid")
    write_rows(path.parent / "test.jsonl", [leak, *make_sums({"big": 2, "new": 1}, start=5000)])
    config = load_config(path, ["budget.max_examples=9"])
    # An even share is 9 / 3 = 3: two of `mid` are left without the leak, and two of `small`.
    assert _read_data(config)[1] == read_data(config).tail == {"mid", "small", "new"}


def test_a_file_measured_without_a_pool_has_no_tail(project: Callable[..., Path]) -> None:
    """Without a training file, or if it is gone, test rows have no head and tail; dev is not read."""
    path = project(data__dev="gone.jsonl")
    rows = make_sums({"big": 2, "new": 1}, start=5000)
    write_rows(path.parent / "test.jsonl", rows)
    (path.parent / "train.jsonl").unlink()
    for sets in ([], ["data.train=null"]):
        _, tail, found, _ = _read_data(load_config(path, sets))
        assert (tail, [example.question for example in found]) == (frozenset(), [row["question"] for row in rows])


def test_subsets_are_balanced_and_seeded() -> None:
    """A limited evaluation takes domains in turn, and depends on the seed and the ids, not on the file's order."""
    examples = [make_example(f"{domain}{n}", domain=domain) for domain, count in (("a", 9), ("b", 2)) for n in range(count)]
    chosen = choose_examples(examples, 6, 1)
    assert sorted(example.domain for example in chosen) == ["a"] * 4 + ["b"] * 2
    again = choose_examples(examples[::-1], 6, 1)
    assert {example.id for example in chosen} == {example.id for example in again}
    assert {example.id for example in chosen} != {example.id for example in choose_examples(examples, 6, 2)}
    assert choose_examples(examples, None, 1) == examples
