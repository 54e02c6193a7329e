"""Whole runs with a recorded teacher: the records decide what can be chosen, and the plan predicts it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.loopback import Loopback, Reaction, chat, refuse
from tests.support import make_sums, write_rows

from limbeck.comparison.arms import read_all
from limbeck.config.config import load_config
from limbeck.data.example import Example
from limbeck.errors import ConfigError, DataError, TeacherError
from limbeck.runner.finish import RunResult
from limbeck.runner.prepare import prepare
from limbeck.runner.run import run
from limbeck.system.files import read_json, read_json_lines

Project = Callable[..., Path]
SUMS = make_sums({"big": 12, "mid": 6, "small": 2})  # the pool that `project` makes


def write_records(folder: Path, *, annotated: int = 20, synthesized: int = 5) -> dict[str, object]:
    """Records of the first sums of each domain and of new ones for `small`; returns the teacher's settings."""
    kept = [row for domain in ("big", "mid", "small") for row in [r for r in SUMS if r["domain"] == domain][:annotated]]
    old = [{"question": row["question"], "rationale": "One adds them up.", "teacher_answer": row["answer"]} for row in kept]
    new = [
        {"domain": "small", "question": f"Calculate {n} + 9.", "rationale": "Nine more.", "answer": str(n + 9)}
        for n in range(8000, 8000 + synthesized)
    ]
    files = {"annotations": old, "synthesized": new}
    recorded = {name: str(write_rows(folder / f"{name}.jsonl", rows)) for name, rows in files.items()}
    return {"backend": "recorded", "model": "gpt", "recorded": recorded}


def run_recorded(path: Path, *sets: str) -> RunResult:
    return run(load_config(path, list(sets)), path.parent / "run")


def test_records_have_no_votes(project: Project, tmp_path: Path) -> None:
    """A recorded teacher can't answer new questions, so votes are refused before anything is trained."""
    path = project(teacher=write_records(tmp_path))
    with pytest.raises(ConfigError, match=r"method\.verify: vote .* teacher\.backend: recorded only has"):
        run_recorded(path, "method.verify=vote")
    assert run_recorded(path, "method.verify=answer").student is not None


def test_arms_are_fitted_to_the_teacher_in_any_order(project: Project, tmp_path: Path) -> None:
    """What the teacher can annotate limits only the arms that ask for it, in any order, and votes are refused in any arm."""
    path = project(teacher=write_records(tmp_path, annotated=4), method__stages=1)
    for presets in (("random-label", "random-cot"), ("random-cot", "random-label")):
        data = read_all({preset: load_config(path, preset=preset) for preset in presets})
        assert len(data["random-cot"].unavailable) == 8 + 2
        assert not data["random-label"].unavailable
        plus = {preset: load_config(path, preset=preset) for preset in (*presets, "baldistill-plus")}
        with pytest.raises(ConfigError, match=r"method\.verify: vote"):
            read_all(plus)


def count_kinds(result: RunResult) -> Counter[tuple[str, str]]:
    examples = [
        Example.from_json(row) for stage in range(3) for row in read_json_lines(result.folder / f"stage_{stage}/examples.jsonl")
    ]
    return Counter((example.domain, example.provenance.kind) for example in examples)


def test_a_run_from_records(project: Project, tmp_path: Path) -> None:
    """A run over three stages takes real and synthesized records by quota, and spends exactly the plan's low estimate."""
    result = run_recorded(project(teacher=write_records(tmp_path), budget__max_examples=18))
    assert count_kinds(result) == {("big", "real"): 6, ("mid", "real"): 6, ("small", "real"): 2, ("small", "synthesized"): 4}
    state = read_json(result.folder / "run.json")
    assert state["planned"]["requests"]["low"] == state["spent"]["requests"] == 18
    assert state["models"] == {"gpt (recorded)": 18}


def test_rows_without_a_record_are_never_chosen(project: Project, tmp_path: Path) -> None:
    """Only rows with a record are chosen, examples that no record can replace are missing, and the plan warns of it."""
    path = project(teacher=write_records(tmp_path, annotated=4, synthesized=3), budget__max_examples=18)
    notes = prepare(load_config(path), tmp_path / "none").notes
    assert any("10 of 20 training rows can't be annotated by the recorded teacher" in note for note in notes)
    result = run_recorded(path)
    assert count_kinds(result) == {("big", "real"): 4, ("mid", "real"): 4, ("small", "real"): 2, ("small", "synthesized"): 3}
    assert read_json(result.folder / "run.json")["missing"] == {"big": 2, "mid": 2, "small": 1}
    (warning,) = [text for text in read_json(result.folder / "plan.json")["warnings"] if "can't synthesize" in text]
    assert warning.endswith("3 domain(s) lack: big, mid, small")


def test_premixed_pools_make_up_for_missing_records(project: Project, tmp_path: Path) -> None:
    """With `pooling: premixed`, examples synthesized in advance replace rows without a record."""
    teacher = write_records(tmp_path, annotated=1, synthesized=5)
    result = run_recorded(project(teacher=teacher, budget__max_examples=18, method__pooling="premixed"))
    assert len(list(read_json_lines(result.folder / "premixed.jsonl"))) == 5


def test_other_records_are_another_run(project: Project, tmp_path: Path) -> None:
    """A run folder is not resumed if the recorded replies have changed."""
    path = project(teacher=write_records(tmp_path))
    run_recorded(path)
    write_records(tmp_path, synthesized=4)
    with pytest.raises(ConfigError, match=r"made with other data: data\.synthesized changed"):
        run_recorded(path)


def test_records_of_other_questions(project: Project, tmp_path: Path) -> None:
    """If no record fits the pool, the error says what to check."""
    teacher = write_records(tmp_path)
    write_rows(tmp_path / "annotations.jsonl", [{"question": "Who?", "rationale": "r", "teacher_answer": "1"}])
    with pytest.raises(DataError, match=r"20 of 20 training rows can't be annotated.*check that the questions"):
        run_recorded(project(teacher=teacher))
    path = project(teacher=teacher, method__stages=1)
    for presets in (("random-cot", "random-label"), ("random-label", "random-cot")):
        with pytest.raises(DataError, match=r"20 of 20 training rows can't be annotated"):
            read_all({preset: load_config(path, preset=preset) for preset in presets})


def test_the_teacher_is_checked_where_only_synthesis_asks(project: Project, tmp_path: Path) -> None:
    """A method that only synthesizes its tails reports a refused key before it starts."""
    with Loopback(lambda number, body: chat(), models=Reaction(refuse("no"), 401)) as server:
        teacher = {"backend": "openai_compatible", "model": "m", "base_url": server.url}
        path = project(teacher=teacher, method__annotation="none")
        with pytest.raises(TeacherError, match="answered 401"):
            prepare(load_config(path), tmp_path / "run")
        prepare(load_config(path, ["method.tail=none"]), tmp_path / "run")
