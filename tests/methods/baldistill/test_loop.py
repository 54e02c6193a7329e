"""BalDistill end to end on a tiny student: what each preset picks, keeps, rejects and records."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset
from tests.support import Heard, replace_backend, replace_score, write_rows

from limbeck.config.config import load_config
from limbeck.data.example import Example
from limbeck.data.score import Score
from limbeck.engines.local import LocalEngine
from limbeck.errors import ConfigError, DataError, NothingKept
from limbeck.evaluation import evaluate as evaluate_module
from limbeck.methods.baldistill import loop
from limbeck.methods.table import load_presets
from limbeck.runner.apply import evaluate, predict
from limbeck.runner.finish import RunResult
from limbeck.runner.run import run
from limbeck.selection.quotas import GLOBAL
from limbeck.student import ifd
from limbeck.student.encode import THINK
from limbeck.student.model import load_tokenizer
from limbeck.system.files import read_json, read_json_lines
from limbeck.teacher.backends.scripted import ScriptedBackend
from limbeck.teacher.request import Reply, TeacherRequest

Project = Callable[..., Path]


class SumTeacher(ScriptedBackend):
    """Solves sums, and invents new ones; what it does wrong is a function of the request."""

    def __init__(self, fault: Callable[[TeacherRequest], str | None] = lambda request: None) -> None:
        super().__init__(self.answer)
        self.fault = fault

    def answer(self, request: TeacherRequest) -> str | Reply:
        faulty = self.fault(request)
        if faulty is not None:
            return faulty
        if request.about.purpose in ("annotate", "verify"):
            return f"One adds them up.\nThe answer is: {request.about.examples[0].answer}"
        n = request.sample % 1_000_000
        return f"Question: Calculate {n} + 1.\nRationale: One more than {n}.\nThe answer is: {n + 1}"


@pytest.fixture
def teacher(monkeypatch: pytest.MonkeyPatch) -> SumTeacher:
    """The teacher behind every `scripted` backend of the test; its `asked` counts across runs."""
    made = SumTeacher()
    replace_backend(monkeypatch, made)
    return made


def run_config(path: Path, name: str = "run", **options: Any) -> RunResult:  # noqa: ANN401
    return run(load_config(path, **options), path.parent / name)


def read_stage(result: RunResult, stage: int) -> list[Example]:
    return [Example.from_json(row) for row in read_json_lines(result.folder / f"stage_{stage}" / "examples.jsonl")]


def count(examples: list[Example]) -> dict[str, int]:
    return dict(Counter(example.domain for example in examples))


def test_uniform_quotas_take_tails_whole_and_synthesize_the_rest(project: Project, teacher: SumTeacher) -> None:
    """With three per domain over three stages, a domain with two real examples uses both and gets one synthesized example."""
    result = run_config(project())
    stages = [read_stage(result, stage) for stage in range(3)]
    assert [count(stage) for stage in stages] == [{"big": 1, "mid": 1, "small": 1}] * 3
    small = [example.provenance.kind for stage in stages for example in stage if example.domain == "small"]
    assert small == ["real", "real", "synthesized"]
    quotas = read_json(result.folder / "stage_2" / "quotas.json")["domains"]
    assert quotas["small"] == {
        "quota": 1,
        "role": "tail",
        "left": 0,
        "real": 0,
        "synthesized": 1,
        "duplicates": 0,
        "missing": 0,
    }
    assert quotas["big"]["role"] == "head"
    assert len(teacher.asked) == 9


def test_no_example_is_chosen_twice(project: Project, teacher: SumTeacher) -> None:
    """Over all stages each real example is taken at most once, and all ids differ."""
    result = run_config(project(budget__max_examples=18))
    ids = [example.id for stage in range(3) for example in read_stage(result, stage)]
    assert len(ids) == len(set(ids)) == 18


def test_head_examples_are_those_with_the_highest_scores(
    project: Project, teacher: SumTeacher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After stage 0 a head domain gives the last student's highest-scored candidates, ties by id, unscored ones last."""

    def score(student: object, examples: list[Example], encoder: object, **options: object) -> list[Score]:
        return [Score(e.id, e.domain, None if int(e.answer) % 3 == 0 else float(int(e.answer) // 20), {}) for e in examples]

    replace_score(monkeypatch, "ifd", score)
    result = run_config(project({"big": 20, "mid": 8}, budget__max_examples=12))
    first = {example.id for example in read_stage(result, 0)}
    rest = [Example.from_json(row) for row in _pool(project) if row["domain"] == "big" and row["id"] not in first]
    has_score = [example for example in rest if int(example.answer) % 3]
    best = sorted(has_score, key=lambda example: (-(int(example.answer) // 20), example.id))[:2]
    assert [e.id for e in read_stage(result, 1) if e.domain == "big"] == [example.id for example in best]


def _pool(project: Project) -> list[dict[str, Any]]:
    from limbeck.data.sources import read_examples

    config = load_config(project({"big": 20, "mid": 8}, budget__max_examples=12))
    assert config.data.train is not None
    return [example.to_json() for example in read_examples(config.data.train, config.task, config.data).examples]


def test_domains_taken_whole_are_not_scored(project: Project, teacher: SumTeacher) -> None:
    """Only head candidates are scored: none in stage 0, and none in a domain that is taken whole."""
    result = run_config(project({"big": 12, "mid": 6, "small": 2}, budget__max_examples=9))
    assert not (result.folder / "stage_0" / "scores.jsonl").exists()
    scored = read_json_lines(result.folder / "stage_1" / "scores.jsonl")
    assert {row["domain"] for row in scored} == {"big", "mid"}
    assert len(scored) == 11 + 5


def test_max_candidates_bounds_the_scoring(project: Project, teacher: SumTeacher) -> None:
    """At most `max_candidates_per_domain` candidates of a domain are scored, but never fewer than its quota."""
    result = run_config(project({"big": 40, "mid": 20}, budget__max_examples=18, method__max_candidates_per_domain=5))
    scored = Counter(row["domain"] for row in read_json_lines(result.folder / "stage_1" / "scores.jsonl"))
    assert scored == {"big": 5, "mid": 5}
    result = run_config(project({"big": 40, "mid": 20}, budget__max_examples=48, method__max_candidates_per_domain=5), "b")
    scored = Counter(row["domain"] for row in read_json_lines(result.folder / "stage_1" / "scores.jsonl"))
    assert scored == {"big": 8, "mid": 8}


def test_second_run_asks_and_trains_nothing(project: Project, teacher: SumTeacher) -> None:
    """Repeating the command sends no request, trains no student and gives the same metrics."""
    path = project()
    first = run_config(path)
    asked = len(teacher.asked)
    stamps = {p: p.stat().st_mtime_ns for p in first.folder.glob("**/student/*")}
    second = run_config(path)
    assert len(teacher.asked) == asked
    assert {p: p.stat().st_mtime_ns for p in first.folder.glob("**/student/*")} == stamps
    assert second.metrics == first.metrics


def test_ledger_answers_a_run_whose_stages_are_gone(project: Project, teacher: SumTeacher) -> None:
    """If the stages are deleted but the ledger is kept, a re-run asks nothing and collects byte-equal examples."""
    path = project()
    result = run_config(path)
    asked = len(teacher.asked)
    before = [(result.folder / f"stage_{n}" / "examples.jsonl").read_bytes() for n in range(3)]
    for stage in range(3):
        shutil.rmtree(result.folder / f"stage_{stage}")
    run_config(path)
    assert [(result.folder / f"stage_{n}" / "examples.jsonl").read_bytes() for n in range(3)] == before
    assert len(teacher.asked) == asked


def test_training_set_is_what_was_kept(project: Project, teacher: SumTeacher) -> None:
    """`train.jsonl` has all kept examples of all stages in order, as conversations whose completion ends in the answer."""
    result = run_config(project())
    kept = [example for stage in range(3) for example in read_stage(result, stage)]
    rows = load_dataset("json", data_files=str(result.folder / "train.jsonl"), cache_dir=str(result.folder.parent / "cache"))[
        "train"
    ]
    assert [row["id"] for row in rows] == [example.id for example in kept]
    expected = [f"{e.rationale}\nThe answer is: {e.answer}" for e in kept]
    assert [row["completion"][0]["content"] for row in rows] == expected


def test_rejected_rows_have_reasons_and_are_replaced(project: Project, teacher: SumTeacher) -> None:
    """Each example asked about is kept or in `rejected.jsonl` with its reason, and the quotas are still filled."""
    teacher.fault = lambda request: (
        "Wrong. The answer is: -1" if request.about.domain == "big" and int(request.about.examples[0].answer) % 16 < 8 else None
    )
    result = run_config(project({"big": 30, "mid": 6}, budget__max_examples=6, method__max_attempts_per_example=9))
    rejected = [row for stage in range(3) for row in read_json_lines(result.folder / f"stage_{stage}" / "rejected.jsonl")]
    kept = [example for stage in range(3) for example in read_stage(result, stage)]
    assert {row["reason"] for row in rejected} == {"answer_mismatch"}
    assert len(kept) == 6
    assert len(teacher.asked) == len(kept) + len(rejected)
    assert not {row["example_id"] for row in rejected} & {example.id for example in kept}


def test_a_stage_that_keeps_nothing_ends_the_run(project: Project, teacher: SumTeacher) -> None:
    """If nothing is kept, no student is trained, and the error gives the share of each reason."""
    teacher.fault = lambda request: (
        "Wrong. The answer is: -1" if request.about.domain == "big" else "" if request.about.domain == "mid" else None
    )
    path = project({"big": 6, "mid": 6}, budget__max_examples=6, method__tail="none")
    with pytest.raises(NothingKept, match=r"stage 0 kept none of 2 .*answer_mismatch 50%, empty 50%") as caught:
        run_config(path)
    assert caught.value.exit_code == 5
    assert len(read_json_lines(path.parent / "run" / "stage_0" / "rejected.jsonl")) == 6
    assert not (path.parent / "run" / "student").exists()


def test_a_later_stage_without_candidates_ends_no_run(project: Project, teacher: SumTeacher) -> None:
    """If the pool runs dry, the run continues with what it has, reports which stage got nothing, and counts it as missing."""
    path = project({"big": 4}, budget__max_examples=8, method={"preset": "active-cot", "stages": 4, "score_max_new_tokens": 4})
    heard = Heard()
    result = run(load_config(path), path.parent / "run", progress=heard)
    assert [len(read_stage(result, stage)) for stage in range(4)] == [2, 2, 0, 0]
    assert result.metrics is not None
    assert len(read_json_lines(result.folder / "train.jsonl")) == 4
    assert read_json(result.folder / "run.json")["missing"] == {GLOBAL: 4}
    assert any("stage 2 kept none of 2 wanted examples" in note and "no candidate was left" in note for note in heard.notes)


def test_too_long_examples_are_rejected_not_cut(project: Project, teacher: SumTeacher) -> None:
    """A rationale longer than `training.max_length` is rejected as `too_long`, and the next candidate takes its place."""
    first: list[str] = []

    def ramble(request: TeacherRequest) -> str | None:
        if not first or request.about.examples[0].id == first[0]:
            first.append(request.about.examples[0].id)
            return "very " * 400 + f"long. The answer is: {request.about.examples[0].answer}"
        return None

    teacher.fault = ramble
    result = run_config(project({"big": 9}, budget__max_examples=3, training__max_length=700))
    rows = read_json_lines(result.folder / "stage_0" / "rejected.jsonl")
    assert [(row["reason"], row["example_id"]) for row in rows] == [("too_long", first[0])]
    assert len(read_stage(result, 0)) == 1


@pytest.mark.parametrize("preset", [name for name, values in load_presets().items() if values["name"] == "baldistill"])
def test_every_preset_runs(project: Project, teacher: SumTeacher, preset: str) -> None:
    """Each preset trains on exactly its budget (zero-shot on nothing) and sends exactly the expected requests."""
    path = project({"big": 12, "mid": 6, "small": 2}, budget__max_examples=12, method={"score_max_new_tokens": 4})
    overrides = [] if load_presets()[preset].get("stages") is not None else ["method.stages=2"]
    result = run_config(path, overrides=overrides, preset=preset)
    rows = read_json_lines(result.folder / "train.jsonl")
    kept = [e for stage in range(2) if (result.folder / f"stage_{stage}").exists() for e in read_stage(result, stage)]
    kinds = Counter("copy" if e.provenance.copy else e.provenance.kind for e in kept)
    purposes = Counter(request.about.purpose for request in teacher.asked)
    expected: dict[str, tuple[dict[str, int], dict[str, int]]] = {
        "zero-shot": ({}, {}),
        "random-label": ({"real": 12}, {}),
        "random-cot": ({"real": 12}, {"annotate": 12}),
        "duplicate-cot": ({"real": 10, "copy": 2}, {"annotate": 10}),
        "balance-cot": ({"real": 10, "synthesized": 2}, {"annotate": 10, "synthesize": 2}),
        "active-cot": ({"real": 12}, {"annotate": 12}),
        "baldistill-n": ({"real": 10, "synthesized": 2}, {"annotate": 10, "synthesize": 2}),
        "baldistill-plus": ({"real": 10, "synthesized": 2}, {"annotate": 10, "synthesize": 2, "verify": 6}),
    }
    if preset == "baldistill-a":
        assert sum(kinds.values()) == sum(purposes.values()) == 12
    else:
        assert (dict(kinds), dict(purposes)) == expected[preset]
    assert len(rows) == len(kept)
    assert (result.student is None) == (preset == "zero-shot")
    assert result.metrics is not None
    assert result.metrics.values["examples"] == result.metrics.values["baseline"]["examples"] == 9


def test_label_only_students_learn_bare_answers(project: Project, teacher: SumTeacher) -> None:
    """With `annotation: none` nothing is asked, and the completions are only the answers."""
    result = run_config(project(), preset="random-label")
    rows = read_json_lines(result.folder / "train.jsonl")
    assert all(row["completion"][0]["content"].isdigit() for row in rows)
    assert teacher.asked == []


def test_duplicates_repeat_the_domains_own_examples_in_turn(project: Project, teacher: SumTeacher) -> None:
    """`tail: duplicate` repeats the real examples of a short domain evenly and marks the copies."""
    result = run_config(project({"big": 12, "small": 2}, budget__max_examples=10, method={}), preset="duplicate-cot")
    small = [example for example in read_stage(result, 0) if example.domain == "small"]
    assert [example.provenance.copy for example in small] == [0, 0, 1, 1, 2]
    assert Counter(example.id for example in small).most_common()[0][1] == 3


def test_quotas_follow_the_errors_on_dev(project: Project, teacher: SumTeacher, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `quota: error` stage 0 is natural, and the next stage gives more to the domain with more errors on dev rows."""
    path = project(method__quota="error", method__stages=2, budget__max_examples=20)
    (path.parent / "dev.jsonl").write_text((path.parent / "test.jsonl").read_text().replace("5", "6"))
    dev = [f"data.dev={path.parent / 'dev.jsonl'}"]
    result = run_config(path, overrides=dev)
    quotas = [read_json(result.folder / f"stage_{stage}" / "quotas.json")["domains"] for stage in range(2)]
    assert {name: facts["quota"] for name, facts in quotas[0].items()} == {"big": 6, "mid": 3, "small": 1}
    # The random student is wrong everywhere, so the errors are equal: 10 · (natural + 1/3) / 2.
    assert {name: facts["quota"] for name, facts in quotas[1].items()} == {"big": 5, "mid": 3, "small": 2}
    monkeypatch.setattr(loop, "count_errors", lambda state: {"big": (0, 9), "small": (9, 9)} if state.last else {})
    result = run_config(path, "skewed", overrides=dev)
    quotas[1] = read_json(result.folder / "stage_1" / "quotas.json")["domains"]
    # p = 1/2; smoothed 1/20, 1/2, 19/20 of 1.5; 10 · (natural + 1/12 + 3/4 · (1, 10, 19)/30) / 2 = 3.54, 3.17, 3.29
    assert {name: facts["quota"] for name, facts in quotas[1].items()} == {"big": 4, "mid": 3, "small": 3}


def test_quotas_without_dev_follow_candidates_not_taken(project: Project, teacher: SumTeacher) -> None:
    """Without dev rows, errors are measured once on candidates that no stage took, and recorded."""
    path = project(method__quota="error", method__stages=2, budget__max_examples=20)
    result = run_config(path)
    measured = read_json_lines(result.folder / "stage_1" / "held_out.jsonl")
    first = {example.id for example in read_stage(result, 0)}
    assert Counter(row["domain"] for row in measured) == {"big": 6, "mid": 3, "small": 1}
    assert not first & {row["id"] for row in measured}
    assert not (result.folder / "stage_0" / "held_out.jsonl").exists()


@pytest.mark.parametrize(("setting", "value"), [("quota", "error"), ("feedback", "error"), ("feedback", "energy")])
def test_premixed_pools_follow_no_student(project: Project, setting: str, value: str) -> None:
    """Settings that follow a student are rejected with a premixed pool, which is made before there is a student."""
    with pytest.raises(
        ConfigError, match=rf"{setting}: {value} can't be combined with pooling: premixed, which synthesizes everything"
    ):
        load_config(project(**{f"method__{setting}": value, "method__pooling": "premixed"}))


@pytest.mark.parametrize("feedback", ["error", "energy"])
def test_feedback_shows_what_the_student_says(
    project: Project, teacher: SumTeacher, monkeypatch: pytest.MonkeyPatch, feedback: str
) -> None:
    """Tail prompts first show the energy band, or the wrong answers with the largest loss; stage 0 is random."""

    def score(student: object, examples: list[Example], encoder: object, **options: object) -> list[Score]:
        return [Score(e.id, e.domain, 0, {"energy": int(e.answer), "nll": -int(e.answer)}) for e in examples]

    replace_score(monkeypatch, "energy", score)
    path = project({"big": 12, "small": 4}, budget__max_examples=24, method__feedback=feedback, teacher__seed_examples=1)
    result = run_config(path)
    pool = sorted((row for row in _read_train(path) if row["domain"] == "small"), key=lambda row: int(row["answer"]))
    asked = [request.about for request in teacher.asked if request.about.purpose == "synthesize"]
    assert [about.stage for about in asked] == [1] * 4 + [2] * 4
    # With four known examples the band has one: rank 2 by energy. All are wrong; the smallest answer has the largest loss.
    expected = pool[2 if feedback == "energy" else 0]["question"]
    assert {about.examples[0].question for about in asked[:4]} == {expected}
    known = read_json_lines(result.folder / "stage_2" / "feedback.jsonl")
    assert len(known) == 8, "four real ones and the four that stage 1 synthesized"
    ranked = sorted(known, key=lambda row: (row["energy"], row["id"]))
    band = ranked[4:6] if feedback == "energy" else ranked[:2]
    assert {about.examples[0].id for about in asked[4:]} <= {row["id"] for row in band}
    assert not (result.folder / "stage_0" / "feedback.jsonl").exists()


@pytest.mark.parametrize("verify", ["none", "vote"])
def test_error_feedback_shows_no_invention_that_may_be_wrong(
    project: Project, teacher: SumTeacher, monkeypatch: pytest.MonkeyPatch, verify: str
) -> None:
    """Inventions that the student gets wrong are shown as errors only if the teacher's votes agreed on their answers."""

    def score(student: object, examples: list[Example], encoder: object, **options: object) -> list[Score]:
        return [Score(e.id, e.domain, 0, {"energy": 0.0, "nll": float(e.provenance.kind != "real")}) for e in examples]

    replace_score(monkeypatch, "energy", score)
    run_config(
        project(
            {"big": 12, "small": 4},
            budget__max_examples=24,
            method__feedback="error",
            method__verify=verify,
            teacher__seed_examples=1,
        )
    )
    shown = [
        request.about.examples[0].provenance.kind
        for request in teacher.asked
        if request.about.purpose == "synthesize" and request.about.stage == 2
    ]
    assert set(shown) == {"real" if verify == "none" else "synthesized"}


def _read_train(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path.parent / "train.jsonl").read_text().splitlines()]


def test_feedback_resumes_with_the_same_prompts(project: Project, teacher: SumTeacher, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage collected again after a kill or a raised cap shows the same examples and asks for no paid reply again."""
    path = project({"big": 12, "small": 2}, budget__max_examples=18, method__feedback="energy", method__verify="vote")
    whole = run_config(path)
    asked = len(teacher.asked)
    before = (whole.folder / "stage_2" / "examples.jsonl").read_bytes()
    for name in ("examples.jsonl", "quotas.json", "rejected.jsonl", "done"):
        (whole.folder / "stage_2" / name).unlink()
    monkeypatch.setattr(LocalEngine, "score", None)
    run_config(path)
    assert (whole.folder / "stage_2" / "examples.jsonl").read_bytes() == before
    assert len(teacher.asked) == asked
    monkeypatch.undo()
    replace_backend(monkeypatch, teacher)
    run_config(path, "cut", overrides=[f"budget.max_requests={asked - 3}"])
    resumed = run_config(path, "cut", overrides=["budget.max_requests=999"])
    assert (resumed.folder / "train.jsonl").read_bytes() == (whole.folder / "train.jsonl").read_bytes()
    assert len(teacher.asked) == 2 * asked


@pytest.mark.parametrize("pooling", ["shortfall", "premixed"])
def test_unverified_examples_are_replaced(project: Project, teacher: SumTeacher, pooling: str) -> None:
    """With `verify: vote` a synthesized example that the teacher does not confirm is `unverified` and is replaced."""
    teacher.fault = lambda request: (
        "No.\nThe answer is: -1"
        if request.about.purpose == "verify" and int(request.about.examples[0].answer) % 2 and request.sample < 2
        else None
    )
    path = project(budget__max_examples=18, method__verify="vote", method__pooling=pooling, method__max_attempts_per_example=9)
    result = run_config(path)
    new = [e for stage in range(3) for e in read_stage(result, stage) if e.provenance.kind == "synthesized"]
    files = [*result.folder.glob("stage_*/rejected.jsonl"), *result.folder.glob("premixed_rejected.jsonl")]
    rejected = [row for file in files for row in read_json_lines(file)]
    assert len(new) == 4
    assert not any(int(example.answer) % 2 for example in new)
    assert rejected
    assert {row["reason"] for row in rejected} == {"unverified"}
    assert all("votes ['-1', '-1'," in row["detail"] for row in rejected)
    purposes = Counter(request.about.purpose for request in teacher.asked)
    assert purposes == {"annotate": 14, "synthesize": 4 + len(rejected), "verify": 3 * (4 + len(rejected))}
    assert read_json(result.folder / "run.json")["spent"]["requests"] == purposes.total()


def test_premixed_pools_make_the_synthetic_examples_first(project: Project, teacher: SumTeacher) -> None:
    """With `pooling: premixed` all synthesis requests precede the first annotation, and the quotas are still met."""
    result = run_config(project(budget__max_examples=18, method__pooling="premixed"))
    purposes = [request.about.purpose for request in teacher.asked]
    assert purposes == ["synthesize"] * 4 + ["annotate"] * 14
    kept = [example for stage in range(3) for example in read_stage(result, stage)]
    assert Counter(example.domain for example in kept) == {"big": 6, "mid": 6, "small": 6}
    assert len({example.id for example in kept}) == 18


def test_continue_trains_on_from_the_last_student(project: Project, teacher: SumTeacher) -> None:
    """After stage 0, `student_init: continue` saves full weights that differ from a fresh student's of the same stage."""
    import torch

    from limbeck.student.model import load_student

    path = project(method__stages=2, budget__max_examples=6)
    fresh = run_config(path, "fresh")
    going = run_config(path, "going", overrides=["method.student_init=continue"])
    settings = load_config(path).student
    first = [load_student(settings, r.folder / "stage_0" / "student").model.state_dict() for r in (fresh, going)]
    second = [load_student(settings, r.folder / "stage_1" / "student").model.state_dict() for r in (fresh, going)]
    assert all(torch.equal(first[0][name], first[1][name]) for name in first[0])
    assert not all(torch.equal(second[0][name], second[1][name]) for name in second[0])
    assert (going.folder / "stage_1" / "student" / "model.safetensors").exists()


def test_a_spent_cap_trains_on_what_it_has_and_goes_on_when_raised(project: Project, teacher: SumTeacher) -> None:
    """A request cap ends a stage early with a student, reruns change nothing, and a raised cap fills the same quotas."""
    path = project()
    cut = run_config(path, overrides=["budget.max_requests=5"])
    assert cut.ended_by is not None
    assert (cut.ended_by.cap, cut.ended_by.limit, cut.ended_by.exit_code) == ("max_requests", 5, 5)
    assert len(teacher.asked) == 5
    assert cut.student is not None
    assert len(read_json_lines(cut.folder / "train.jsonl")) == 5
    assert read_json(cut.folder / "run.json")["status"] == "budget"
    stamps = {p: p.stat().st_mtime_ns for p in cut.folder.glob("**/student/*")}
    again = run_config(path, overrides=["budget.max_requests=5"])
    assert {p: p.stat().st_mtime_ns for p in cut.folder.glob("**/student/*")} == stamps, "nothing is trained twice"
    assert str(again.ended_by) == str(cut.ended_by)
    assert (again.metrics, len(teacher.asked)) == (cut.metrics, 5)
    on = run_config(path, overrides=["budget.max_requests=50"])
    assert on.ended_by is None
    assert len(teacher.asked) == 9, "no paid reply is asked for again"
    whole = run_config(path, "whole")
    for stage in range(3):
        name = f"stage_{stage}/examples.jsonl"
        assert (on.folder / name).read_bytes() == (whole.folder / name).read_bytes()


@pytest.mark.parametrize(
    "place",
    [
        "methods.baldistill.loop.write_batch",
        "run_folder.files.write_json",
        "run_folder.files.write_jsonl",
        "engines.local.fine_tune",
    ],
)
def test_a_raised_cap_survives_an_interruption(
    project: Project, teacher: SumTeacher, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """If filling up a stage that a cap cut short is interrupted, its student is still trained on all its examples."""
    path = project(training__epochs=1)
    run_config(path, overrides=["budget.max_requests=5"])

    def die(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"limbeck.{place}", die)
        with pytest.raises(KeyboardInterrupt):
            run_config(path, overrides=["budget.max_requests=50"])
    on, whole = run_config(path, overrides=["budget.max_requests=50"]), run_config(path, "whole")
    for name in ("student/model.safetensors", "stage_1/student/adapter_model.safetensors", "stage_1/examples.jsonl"):
        assert (on.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_a_cap_spent_before_the_first_example_is_its_own_error(project: Project, teacher: SumTeacher) -> None:
    """A cap of zero requests ends the run with exit code 5 before anything is asked or trained."""
    from limbeck.errors import BudgetExhausted

    path = project()
    with pytest.raises(BudgetExhausted, match="max_requests = 0"):
        run_config(path, overrides=["budget.max_requests=0"])
    assert teacher.asked == []


def test_leaking_rows_never_enter_the_pool(project: Project, teacher: SumTeacher) -> None:
    """A training row that is also in the test set is left out, or ends the run under `on_leak: error`."""
    path = project()
    test = [json.loads(line) for line in (path.parent / "test.jsonl").read_text().splitlines()]
    with (path.parent / "train.jsonl").open("a") as file:
        file.write(json.dumps({**test[0], "question": test[0]["question"].upper()}) + "\n")
    result = run_config(path, overrides=["budget.max_examples=20", "method.tail=none"])
    kept = {example.question.lower() for stage in range(3) for example in read_stage(result, stage)}
    assert test[0]["question"].lower() not in kept
    assert read_json(result.folder / "run.json")["domains"]["big"] == 12
    with pytest.raises(DataError, match="1 of 21 training rows are also in dev or test"):
        run_config(path, "strict", overrides=["data.on_leak=error"])


def test_dev_rows_measure_every_stage(project: Project, teacher: SumTeacher) -> None:
    """With a dev set each stage has predictions and metrics of its own student; otherwise it has none."""
    path = project()
    (path.parent / "dev.jsonl").write_text((path.parent / "test.jsonl").read_text().replace("5", "6"))
    result = run_config(path, overrides=[f"data.dev={path.parent / 'dev.jsonl'}"])
    for stage in range(3):
        metrics = read_json(result.folder / f"stage_{stage}" / "metrics.json")
        assert metrics["examples"] == len(read_json_lines(result.folder / f"stage_{stage}" / "predictions.jsonl")) == 9
    assert not (run_config(path, "without").folder / "stage_0" / "metrics.json").exists()


def test_metrics_have_the_contracts_fields(project: Project, teacher: SumTeacher) -> None:
    """`metrics.json` has accuracies, intervals, domains with counts, tail domains by n_d < B/l, gain and the baseline."""
    result = run_config(project())
    metrics = read_json(result.folder / "metrics.json")
    for part in (metrics, metrics["baseline"], metrics["gain"]):
        for name in ("micro", "macro", "head", "tail", "worst"):
            assert f"accuracy_{name}" in part
            assert f"accuracy_{name}_ci95" in part
    assert metrics["tail_domains"] == ["small"]
    assert {name: entry["count"] for name, entry in metrics["domains"].items()} == {"big": 3, "mid": 3, "small": 3}


def test_a_folder_of_another_config_is_refused(project: Project, teacher: SumTeacher) -> None:
    """Another seed in the same folder is a config error that names the key, and the folder keeps its files."""
    path = project()
    run_config(path)
    before = (path.parent / "run" / "train.jsonl").read_bytes()
    with pytest.raises(ConfigError, match=r"made with another config: seed differ"):
        run_config(path, overrides=["seed=6"])
    assert (path.parent / "run" / "train.jsonl").read_bytes() == before


def test_a_folder_of_other_data_is_refused(project: Project, teacher: SumTeacher) -> None:
    """Changed training rows under the same config are a config error that names them; a renamed file is fine."""
    path = project()
    run_config(path)
    (path.parent / "train.jsonl").rename(path.parent / "pool.jsonl")
    run_config(path, overrides=[f"data.train={path.parent / 'pool.jsonl'}"])
    project({"big": 11, "mid": 6, "small": 2})
    with pytest.raises(ConfigError, match=r"data\.train changed"):
        run_config(path)


def test_a_moved_folder_goes_on(project: Project, teacher: SumTeacher) -> None:
    """A finished run that was moved to another path is recognised, and asks nothing."""
    path = project()
    run_config(path)
    asked = len(teacher.asked)
    (path.parent / "run").rename(path.parent / "elsewhere")
    assert run_config(path, "elsewhere").metrics is not None
    assert len(teacher.asked) == asked


def test_budget_below_the_domains_is_refused(project: Project, teacher: SumTeacher) -> None:
    """A budget below the number of domains can't balance them and is a config error with both numbers."""
    with pytest.raises(ConfigError, match=r"max_examples = 3 is less than the number of domains, 4"):
        run_config(project({"a": 5, "b": 4, "c": 3, "d": 2}, budget__max_examples=3))


def test_budget_below_the_stages_is_refused(project: Project, teacher: SumTeacher) -> None:
    """A budget below the number of stages would leave a stage empty and is a config error."""
    with pytest.raises(ConfigError, match=r"less than method\.stages = 12"):
        run_config(project(method__stages=12))


def test_held_out_labels_may_be_new(project: Project, teacher: SumTeacher) -> None:
    """A test row whose label never occurs in training counts as wrong; one outside `task.labels` is an error."""
    path = project()
    rows = [{"domain": d, "question": f"{d} {n}", "answer": d} for d in ("big", "mid") for n in range(4)]
    write_rows(path.parent / "train.jsonl", rows)
    write_rows(path.parent / "test.jsonl", [{"domain": "big", "question": "other", "answer": "unheard-of"}])
    label = ["task.answer=label", "budget.max_examples=3"]
    result = run_config(path, overrides=label, preset="random-label")
    assert result.metrics is not None
    assert result.metrics.values["accuracy_micro"] == 0.0
    with pytest.raises(DataError, match=r"test\.jsonl:1: answer 'unheard-of' is not a label \(one of: big, mid\)"):
        run_config(path, "strict", overrides=[*label, "task.labels=[big, mid]"])


# Separate objectives.


@pytest.fixture
def prompts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[int]]]:
    """Ids of all prompts that students continue, each with the module that asked: evaluation or IFD."""
    found: list[tuple[str, list[int]]] = []

    def listen(module: Any) -> None:  # noqa: ANN401 (a module)
        generate = module.generate

        def heard(student: object, wanted: list[list[int]], **options: Any) -> Any:  # noqa: ANN401
            found.extend((module.__name__.rsplit(".", 1)[-1], ids) for ids in wanted)
            return generate(student, wanted, **options)

        monkeypatch.setattr(module, "generate", heard)

    listen(evaluate_module)
    listen(ifd)
    return found


def count_asking(prompts: list[tuple[str, list[int]]], path: Path) -> dict[tuple[str, bool], int]:
    """How many prompts of each module ask for steps and how many don't."""
    tokenizer = load_tokenizer(load_config(path).student)
    return dict(Counter((module, THINK in tokenizer.decode(ids)) for module, ids in prompts))


def test_separate_objectives_end_to_end(project: Project, teacher: SumTeacher, prompts: list[tuple[str, list[int]]]) -> None:
    """Each example gives an answer row and a rationale row; students answer without steps, in the run and later."""
    path = project(method__objective="separate", training__rationale_weight=0.5)
    result = run_config(path)
    kept = [example for stage in range(3) for example in read_stage(result, stage)]
    rows = read_json_lines(result.folder / "train.jsonl")
    expected = [row for e in kept for row in ((e.id, "answer", e.answer), (e.id, "rationale", e.rationale))]
    assert [(row["id"], row["objective"], row["completion"][0]["content"]) for row in rows] == expected
    assert len(teacher.asked) == len(kept) == 9
    # Nine test rows before and after; 11 + 5 and 10 + 4 candidates, whose IFD is that of the rationale.
    assert count_asking(prompts, path) == {("evaluate", False): 18, ("ifd", True): 30}
    assert "objective separate" in (result.folder / "README.md").read_text("utf-8")
    assert result.student is not None
    prompts.clear()
    config = load_config(path)
    again = evaluate(result.student, config).metrics
    assert result.metrics is not None
    assert again.accuracy_micro == result.metrics.accuracy_micro
    assert config.data.test is not None
    predict(result.student, config.data.test, config)
    evaluate(config.student.model, config)  # the untouched student, without a card
    assert count_asking(prompts, path) == {("evaluate", False): 27}


def test_separate_objectives_resume(project: Project, teacher: SumTeacher) -> None:
    """A run killed in its last stage ends with the same files, and a finished run does nothing again."""
    path = project(method__objective="separate", method__stages=2, budget__max_examples=6)
    whole, cut = run_config(path, "whole"), run_config(path, "cut")
    asked = len(teacher.asked)
    stamps = {p: p.stat().st_mtime_ns for p in whole.folder.glob("**/student/*")}
    run_config(path, "whole")
    assert {p: p.stat().st_mtime_ns for p in whole.folder.glob("**/student/*")} == stamps
    shutil.rmtree(cut.folder / "stage_1")
    shutil.rmtree(cut.folder / "student")
    (cut.folder / "train.jsonl").unlink()
    run_config(path, "cut")
    for name in ("train.jsonl", "stage_1/student/adapter_model.safetensors", "stage_1/test/predictions.jsonl"):
        assert (cut.folder / name).read_bytes() == (whole.folder / name).read_bytes(), name
    assert len(teacher.asked) == asked


def test_either_row_may_be_too_long(project: Project, teacher: SumTeacher) -> None:
    """An example whose rationale row exceeds `training.max_length` is rejected even though its answer row fits."""
    teacher.fault = lambda request: (
        "very " * 200 + f"long.\nThe answer is: {request.about.examples[0].answer}"
        if int(request.about.examples[0].answer) % 16 < 8
        else None
    )
    path = project({"big": 12}, budget__max_examples=3, training__max_length=700, method__objective="separate")
    result = run_config(path, overrides=["method.max_attempts_per_example=9", "method.tail=none"])
    rejected = [row for stage in range(3) for row in read_json_lines(result.folder / f"stage_{stage}" / "rejected.jsonl")]
    assert rejected
    assert {row["reason"] for row in rejected} == {"too_long"}
    assert len(read_json_lines(result.folder / "train.jsonl")) == 6


def test_separate_objectives_need_rationales(project: Project) -> None:
    """Separate objectives without annotation are an error; a label-only preset has one objective."""
    path = project(method__objective="separate")
    with pytest.raises(ConfigError) as caught:
        load_config(path, ["method.annotation=none"])
    assert ": method: objective: separate trains on rationales as well as answers, but annotation: none asks" in str(
        caught.value
    )
    # The message names these settings and does not repeat all the others.
    assert str(caught.value).endswith("use annotation: hinted or blind, or objective: joint, which learns the bare answers")
    method = load_config(path, preset="random-label").method
    assert (method.objective, method.has_rationale, method.is_separate) == ("joint", False, False)


def test_a_classifier_has_one_objective(project: Project, teacher: SumTeacher) -> None:
    """A classifier with separate objectives is rejected before anything is asked, with the remedy."""
    path = project(method__objective="separate", method__selection="loss", student__kind="classifier")
    with pytest.raises(
        ConfigError, match=r"student\.kind: classifier can't write\. Use student\.kind: causal or seq2seq; or .*none"
    ):
        run_config(path)
    assert teacher.asked == []


@pytest.mark.parametrize("weight", ["-0.1", ".inf", "much"])
def test_a_weight_is_a_number_of_0_or_more(project: Project, weight: str) -> None:
    """A negative, infinite or non-numeric λ is a config error that names it."""
    with pytest.raises(ConfigError, match=r"training\.rationale_weight: "):
        load_config(project(), [f"training.rationale_weight={weight}"])
