"""The local engine: what it loads before anything is asked, and which settings it follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support import make_example, make_sums, replace_backend, write_rows
from transformers import BertModel

from limbeck.data.task import Task
from limbeck.engines.local import LocalEngine
from limbeck.engines.table import ENGINES
from limbeck.errors import ConfigError
from limbeck.evaluation.settings import EvaluationSettings
from limbeck.runner.run import run
from limbeck.student.settings import StudentSettings, TrainingSettings
from limbeck.teacher.backends.scripted import ScriptedBackend

GOLD = {"name": "gold", "rounds": 1, "batches_per_round": 1, "batch_size": 2, "probe_size": 2}
PREMIXED = {"pooling": "premixed", "stages": 1}


@pytest.mark.parametrize(("method", "kind"), [(GOLD, "seq2seq"), (PREMIXED, "seq2seq"), (GOLD, "causal")])
def test_a_student_without_a_tokenizer_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: dict[str, Any], kind: str
) -> None:
    """A student whose tokenizer can't be loaded ends the run before the first request, whatever the method and kind."""
    teacher = ScriptedBackend(lambda request: "no idea")
    replace_backend(monkeypatch, teacher)
    rows = write_rows(tmp_path / "rows.jsonl", make_sums({"big": 6, "small": 1}))
    values = {
        "data": {"human" if method is GOLD else "train": str(rows)},
        "task": {"answer": "number"},
        "teacher": {"backend": "scripted", "model": "script"},
        "budget": {"max_examples": 6},
        "student": {"kind": kind, "model": str(tmp_path / "missing")},
        "method": method,
    }
    with pytest.raises(ConfigError, match=r"student .*missing.* can't be loaded"):
        run(values, tmp_path / "run")
    assert teacher.asked == []


def open_engine(folder: Path, **evaluation: int) -> LocalEngine:
    engine = ENGINES["local"].open(
        StudentSettings(model=str(folder)),
        TrainingSettings(),
        EvaluationSettings(**evaluation),
        Task(answer="number"),
        has_rationale=True,
        is_separate=False,
        on_progress=lambda step, done, total: None,
    )
    assert isinstance(engine, LocalEngine)
    return engine


def count_batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collects the number of rows of each batch that a BERT reads."""
    sizes: list[int] = []
    forward = BertModel.forward

    def count(model: BertModel, *args: Any, **inputs: Any) -> object:  # noqa: ANN401
        sizes.append(len(inputs["input_ids"]))
        return forward(model, *args, **inputs)

    monkeypatch.setattr(BertModel, "forward", count)
    return sizes


def test_texts_are_embedded_in_batches_of_the_setting(
    tiny_folder: Path, bert_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence encoder reads `evaluation.batch_size` texts at once."""
    monkeypatch.setattr("limbeck.student.embed.find_packaged", lambda name: bert_folder)
    monkeypatch.setattr("limbeck.student.embed.MINILM_WIDTH", 16)
    sizes = count_batches(monkeypatch)
    engine = open_engine(tiny_folder, batch_size=3)
    assert engine.embed_texts([make_example(f"What is {number}?").question for number in range(7)]).shape == (7, 16)
    assert sizes == [3, 3, 1]
