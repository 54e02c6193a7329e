"""Which candidates BalDistill chooses: guards on doubtful IFD, diversity among the hardest, the same order after a kill."""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from tests.support import Zygote, make_example, needs_minilm, replace_score, script_rows, write_rows

from limbeck.config.config import load_config
from limbeck.data.example import Example
from limbeck.data.overlap import DuplicateGuard
from limbeck.data.pool import Pool
from limbeck.data.score import Score
from limbeck.engines.local import LocalEngine
from limbeck.errors import ConfigError
from limbeck.methods.baldistill import checks
from limbeck.methods.baldistill.candidates import order_scored
from limbeck.methods.baldistill.settings import BalDistillSettings
from limbeck.methods.baldistill.state import BalDistillState
from limbeck.reports import terminal
from limbeck.run_folder.folder import RunFolder
from limbeck.run_folder.status import read_status
from limbeck.runner.finish import RunResult
from limbeck.runner.prepare import make_plan, read_data
from limbeck.runner.run import run
from limbeck.system.files import read_json, read_json_lines

Project = Callable[..., Path]


def run_config(path: Path, name: str = "run", *sets: str) -> RunResult:
    return run(load_config(path, sets), path.parent / name)


def read_stage(result: RunResult, stage: int, domain: str = "big") -> list[Example]:
    rows = read_json_lines(result.folder / f"stage_{stage}" / "examples.jsonl")
    return [example for example in map(Example.from_json, rows) if example.domain == domain]


def make_project(project: Project, **changes: Any) -> Path:  # noqa: ANN401
    """Two stages that each take three of sixteen in the big domain."""
    return project({"big": 16, "mid": 3}, method__stages=2, budget__max_examples=12, **changes)


# Sixteen candidates with IFD 0.2, 0.3, … 1.6, so 9 to 14 are above one; every third output was cut, starting with the first;
# the last is empty.
CANDIDATES = [make_example(f"Calculate {number} + 1.", domain="big", id=f"{number:02}") for number in range(16)]
SCORES = [
    Score(example.id, "big", (number + 2) / 10, {"is_truncated": number % 3 == 0})
    for number, example in enumerate(CANDIDATES[:15])
] + [Score("15", "big", None, {"token_count": 0})]
NUMBERS = [97, 3, 3, 90, 5, 50, 4, 52, 1, 0, 0, 0, 0, 0, 0, 0]
"""Each candidate's position on a line."""


@pytest.fixture
def order(tmp_path: Path) -> Callable[..., list[int]]:
    """Returns candidate numbers in the order in which a stage that wants three of them chooses."""
    vectors = {example.question: [float(place)] for example, place in zip(CANDIDATES, NUMBERS, strict=True)}
    engine = SimpleNamespace(embed_texts=lambda texts: np.array([vectors[text] for text in texts]))
    context: Any = SimpleNamespace(folder=RunFolder(tmp_path), on_progress=lambda *what: None, engine=engine)

    def find(**changes: Any) -> list[int]:  # noqa: ANN401
        state = BalDistillState(context, BalDistillSettings(**changes), Pool(()), DuplicateGuard(()), stage=1)
        state.folder.clear()
        queues, quotas = {"big": CANDIDATES, "mid": []}, {"big": 3, "mid": 0}
        found = order_scored(state, queues, SCORES, quotas, state.folder)
        assert found["mid"] == []
        assert order_scored(state, queues, SCORES, quotas, state.folder) == found
        return [int(example.id) for example in found["big"]]

    return find


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 15]),
        ({"above_one": "last"}, [8, 7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9]),
        ({"above_one": "drop"}, [8, 7, 6, 5, 4, 3, 2, 1, 0, 15]),
        ({"truncated": "drop"}, [14, 13, 11, 10, 8, 7, 5, 4, 2, 1, 15]),
        ({"above_one": "drop", "truncated": "last"}, [8, 7, 5, 4, 2, 1, 15, 6, 3, 0]),
        # The six hardest left, 8 7 6 5 4 3, are at 1, 52, 4, 50, 5 and 90: 3 is 89 from 8, then 5 is 40 from 3, then comes 4.
        ({"above_one": "drop", "diversity": "k_centre", "diversity_pool": 2}, [8, 3, 5, 4, 7, 6, 2, 1, 0, 15]),
        (
            {"above_one": "last", "diversity": "cluster", "diversity_pool": 2},
            [8, 7, 3, 6, 5, 4, 2, 1, 0, 15, *range(14, 8, -1)],
        ),
    ],
)
def test_orders_by_hand(order: Callable[..., list[int]], changes: dict[str, Any], expected: list[int]) -> None:
    """Guards hold back doubtful candidates, diversity reorders only the hardest of the rest, and a second read agrees."""
    assert order(**changes) == expected


@pytest.mark.parametrize("tail", ["duplicate", "none"])
def test_what_is_dropped_is_missing_and_had_otherwise(project: Project, monkeypatch: pytest.MonkeyPatch, tail: str) -> None:
    """If guards leave a domain too few candidates, `tail` completes it, or the run's files report what is missing."""

    def score(student: object, examples: list[Example], encoder: object, **options: object) -> list[Score]:
        return [Score(e.id, e.domain, 2.0 if place else 0.5, {"is_truncated": False}) for place, e in enumerate(examples)]

    replace_score(monkeypatch, "ifd", score)
    result = run_config(make_project(project, method__above_one="drop", method__tail=tail))
    facts = read_json(result.folder / "stage_1" / "quotas.json")["domains"]["big"]
    assert (facts["quota"], facts["real"]) == (3, 1)
    assert (facts["duplicates"], facts["missing"]) == ((2, 0) if tail == "duplicate" else (0, 2))
    missing = read_json(result.folder / "run.json")["missing"]
    assert missing.get("big", 0) == facts["missing"]
    dropped = read_json(result.folder / "stage_1" / "selection.json")["domains"]["big"]
    assert dropped == {"scored": 13, "empty": 0, "above_one": 12, "truncated": 0, "dropped": 12}


def test_a_dropped_candidate_may_be_chosen_later(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage that drops everything synthesizes, and the next stage scores all candidates again and chooses among them."""
    calls: list[int] = []

    def score(student: object, examples: list[Example], encoder: object, **options: object) -> list[Score]:
        calls.append(len(examples))
        return [Score(e.id, e.domain, 2.0 if len(calls) == 1 else 0.5, {"is_truncated": False}) for e in examples]

    replace_score(monkeypatch, "ifd", score)
    path = project({"big": 16}, budget__max_examples=3, method__stages=3, method__above_one="drop")
    result = run_config(path)
    kinds = [[example.provenance.kind for example in read_stage(result, stage)] for stage in range(3)]
    assert kinds == [["real"], ["synthesized"], ["real"]]
    assert calls == [15, 15]


def test_a_rejected_candidate_is_replaced_by_the_next_unlike_one(project: Project) -> None:
    """If the teacher fails on a candidate at the front, the next one at the front takes its place."""
    path = make_project(project, method__diversity="k_centre", method__diversity_by="student")
    front = read_json(run_config(path).folder / "stage_1" / "selection.json")["fronts"]["big"]
    assert len(front) == 9
    second = next(example for example in read_data(load_config(path)).train if example.id == front[1])
    failing = {"match": f"The correct answer is {second.answer}.", "text": "One guesses.\nThe answer is: -1"}
    write_rows(path.parent / "script.jsonl", [failing, *script_rows()])
    again = run_config(path, "again")
    assert [example.id for example in read_stage(again, 1)] == [front[0], front[2], front[3]]


@pytest.mark.parametrize(
    ("diversity", "by"),
    [
        ("k_centre", "student"),
        pytest.param("cluster", "minilm", marks=needs_minilm),
    ],
)
@pytest.mark.slow
def test_a_stage_collected_again_chooses_the_same(
    project: Project, monkeypatch: pytest.MonkeyPatch, diversity: str, by: str
) -> None:
    """A stage whose examples are gone is collected again to the same bytes from its files, even with another batch size."""
    path = make_project(project, method__diversity=diversity, method__diversity_by=by, method__truncated="last")
    whole = run_config(path)
    stage = whole.folder / "stage_1"
    before = {name: (stage / name).read_bytes() for name in ("examples.jsonl", "selection.json", "scores.jsonl")}
    assert read_json(stage / "selection.json")["fronts"]["big"]
    for name in ("examples.jsonl", "quotas.json", "done"):
        (stage / name).unlink()
    (stage / "selection.json").unlink()  # a kill between the scores and the choice
    run_config(path)
    assert {name: (stage / name).read_bytes() for name in before} == before
    for name in ("examples.jsonl", "quotas.json", "done"):
        (stage / name).unlink()

    def fail(*args: object, **options: object) -> None:
        raise AssertionError("vectors are not made again")

    monkeypatch.setattr(LocalEngine, "embed_texts", fail)
    monkeypatch.setattr(LocalEngine, "embed_examples", fail)
    run_config(path, "run", "evaluation.batch_size=1")
    assert {name: (stage / name).read_bytes() for name in before} == before


@pytest.mark.slow
def test_killed_while_choosing_resumes_to_the_same_bytes(zygote: Zygote, project: Project) -> None:
    """If a run with guards and diversity is killed at any file write, the same command finishes it with the same bytes."""
    path = make_project(
        project, method__diversity="cluster", method__diversity_by="student", method__above_one="drop", method__truncated="last"
    )
    whole, log = path.parent / "whole", path.parent / "events"
    assert zygote.run("run", path, "--out", whole, events=str(log)) == 0, zygote.read_error()
    renamed = Counter(log.read_text().split("\n"))["file renamed"]
    names = ("train.jsonl", "stage_1/scores.jsonl", "stage_1/selection.json", "stage_1/examples.jsonl")
    for turn in sorted(random.Random(3).sample(range(1, renamed + 1), 4)):
        folder = path.parent / f"killed-{turn}"
        assert zygote.run("run", path, "--out", folder, kill=("file renamed", turn)) == -signal.SIGKILL
        assert zygote.run("run", path, "--out", folder) == 0, (turn, zygote.read_error())
        assert {name: (folder / name).read_bytes() for name in names} == {name: (whole / name).read_bytes() for name in names}


def test_a_cap_that_was_raised_keeps_the_choice(project: Project) -> None:
    """A stage that a cap cut short continues with the front it had, and ends as if there had been no cap."""
    path = make_project(project, method__diversity="cluster", method__diversity_by="student")
    whole = run_config(path)
    cut = run_config(path, "cut", "budget.max_requests=8")
    before = (cut.folder / "stage_1" / "selection.json").read_bytes()
    on = run_config(path, "cut", "budget.max_requests=50")
    assert (on.folder / "stage_1" / "selection.json").read_bytes() == before
    assert (on.folder / "train.jsonl").read_bytes() == (whole.folder / "train.jsonl").read_bytes()


def test_status_says_what_is_doubtful(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """`limbeck status` shows the counts of each stage that scored, and a line with their shares."""

    def score(student: object, examples: list[Example], encoder: object, **options: object) -> list[Score]:
        values = [None, 1.5, 1.5, 0.5, 0.5]
        return [Score(e.id, e.domain, value, {"is_truncated": value == 0.5}) for e, value in zip(examples, values, strict=True)]

    replace_score(monkeypatch, "ifd", score)
    path = project({"big": 6, "mid": 1}, method__stages=2, budget__max_examples=4, method__above_one="drop")
    status = read_status(run_config(path).folder)
    assert [entry.scored for entry in status.stages] == [
        None,
        {"scored": 5, "empty": 1, "above_one": 2, "truncated": 2, "dropped": 2},
    ]
    shown = Console(width=120)
    monkeypatch.setattr(terminal, "make_console", lambda: shown)
    with shown.capture() as text:
        terminal.print_status(status)
    line = "scored candidates: IFD above 1 in 40% (stage 2); output cut in 40% (stage 2); dropped in 40% (stage 2)"
    assert line in text.get().splitlines()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"selection": "loss", "above_one": "drop"}, "above_one: drop has no effect on selection: loss"),
        ({"selection": "random", "truncated": "last"}, "truncated: last has no effect on selection: random"),
        ({"selection": "random", "diversity": "cluster"}, "selection: random ranks none; use selection: ifd, loss,"),
        ({"diversity_pool": 1}, "method.diversity_pool: Input should be greater than 1"),
        ({"diversity": "k_center"}, "method.diversity: unknown diversity 'k_center'; did you mean 'k_centre'? Known: none"),
    ],
)
def test_settings_without_effect_are_refused(project: Project, changes: dict[str, Any], message: str) -> None:
    """A guard or diversity that the selection does not support is a config error with the remedy."""
    path = project(**{f"method__{name}": value for name, value in changes.items()})
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert message in str(caught.value)


@pytest.mark.parametrize("preset", ["random-cot", "balance-cot", "zero-shot"])
def test_presets_that_score_nothing_stand_beside_guards(project: Project, preset: str) -> None:
    """Single-stage arms, which score nothing, load with the guards and diversity of the other arms."""
    path = project(method={"above_one": "drop", "diversity": "cluster"})
    assert load_config(path, preset=preset).method.preset == preset
    assert load_config(path, preset="baldistill-a").method.preset == "baldistill-a"


@pytest.mark.parametrize("kind", ["classifier", "seq2seq"])
def test_ifd_of_other_students_is_refused_before_anything(project: Project, kind: str) -> None:
    """With IFD and a student that is not causal, run and plan fail at once and name the scores and presets to use instead."""
    path = project(student__kind=kind)
    (path.parent / "train.jsonl").unlink()
    with pytest.raises(ConfigError, match=rf"is a {kind}\. Use method\.selection: loss, energy, entropy or margin, or use"):
        run(load_config(path), path.parent / "run")
    assert not (path.parent / "run").exists()
    with pytest.raises(ConfigError) as caught:
        read_data(load_config(path, preset="baldistill-a"))
    said = str(caught.value)
    assert said.startswith("preset baldistill-a: method.selection: ifd needs")
    assert "Write method: {preset: baldistill-a, selection: loss, keeps: [selection]}" in said
    assert said.endswith("fits: zero-shot, random-label, random-cot, duplicate-cot, balance-cot, baldistill-plus")
    checks.check_selection(load_config(path, preset="random-cot").method, kind)
    checks.check_selection(load_config(path, ["method.selection=energy"]).method, kind)


def test_a_missing_encoder_is_found_before_anything(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the encoder's wheel, `diversity_by: minilm` is a config error with the install command and the alternative."""

    def find_nothing(name: str) -> Path:
        raise ConfigError(f"{name} is not installed: pip install it")

    monkeypatch.setattr(checks, "find_packaged", find_nothing)
    path = project(method__diversity="cluster")
    with pytest.raises(ConfigError, match=r"pip install it; or use method\.diversity_by: student"):
        read_data(load_config(path))
    read_data(load_config(path, ["method.diversity_by=student"]))


def test_a_plan_says_that_drops_are_unknown(project: Project) -> None:
    """A plan with a guard that drops candidates notes that their number is unknown; otherwise it has no such note."""
    path = project(method__truncated="drop")
    for sets, count in ((), 1), (("method.truncated=last",), 0):
        config = load_config(path, sets)
        notes = make_plan(config, read_data(config)).notes
        assert sum("the number of dropped candidates is not known" in note for note in notes) == count
