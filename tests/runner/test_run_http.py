"""Whole runs with a teacher over HTTP that fails as real teachers do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.loopback import Loopback, Reaction, chat, refuse, serving
from tests.support import Heard

from limbeck.config.config import load_config
from limbeck.data.example import Example
from limbeck.errors import TeacherError
from limbeck.fake_teacher.behaviour import FakeSettings, FakeTeacher
from limbeck.hashing import hash_text
from limbeck.run_folder.status import read_status
from limbeck.runner.run import run
from limbeck.system.files import read_json, read_json_lines
from limbeck.teacher.client import teacher as teacher_module
from limbeck.teacher.client.ledger import Ledger

Project = Callable[..., Path]
CAPS = {"max_examples": 9, "max_requests": 200}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher_module, "FIRST_BACKOFF_S", 0.001)


def answer(body: dict[str, Any]) -> dict[str, Any]:
    """Explains a sum whose answer is in the prompt; otherwise invents a new sum for each prompt."""
    prompt = body["messages"][0]["content"]
    given = re.search(r"The correct answer is (\d+)\.", prompt)
    if given:
        return chat(f"<think>Adding.</think>One adds them up, digit by digit.\nSo the answer is {given[1]}.")
    number = int(hash_text(prompt)[:6], 16)
    if "response_format" in body:
        return chat(f'{{"question": "Calculate {number} + 1.", "rationale": "One more.", "answer": "{number + 1}"}}')
    return chat(f"Question: Calculate {number} + 1.\nRationale: One more than {number}.\nThe answer is: {number + 1}")


def configure(path: Path, url: str, *sets: str) -> Any:  # noqa: ANN401
    http = ["teacher.backend=openai_compatible", f"teacher.base_url={url}", "teacher.model=served-model", *sets]
    return load_config(path, http)


def read_examples(folder: Path) -> list[Example]:
    return [Example.from_json(row) for stage in range(3) for row in read_json_lines(folder / f"stage_{stage}/examples.jsonl")]


def test_a_run_survives_a_teacher_that_fails(project: Project) -> None:
    """With half of all attempts failing in every way a server can, the run gets all its examples and its ledger is right."""
    faults = [
        Reaction(refuse("slow down"), 429, {"Retry-After": "0.01"}),
        Reaction(refuse("oops"), 500),
        Reaction(is_dropped=True),
        Reaction('{"choices": [{"mess'),
        Reaction(chat(), delay_s=2.0),
    ]

    def react(number: int, body: dict[str, Any]) -> Any:  # noqa: ANN401
        return faults[number // 2 % len(faults)] if number % 2 else answer(body)

    path = project(budget=CAPS)
    progress = Heard()
    with Loopback(react) as server:
        result = run(configure(path, server.url, "teacher.timeout_s=0.5"), path.parent / "run", progress=progress)
    examples = read_examples(result.folder)
    assert len(examples) == 9
    assert {example.rationale for example in examples if example.provenance.kind == "real"} == {
        "One adds them up, digit by digit."
    }
    ledger = Ledger(result.folder / "ledger.sqlite", is_read_only=True)
    states = Counter(row["state"] for row in ledger.list_requests())
    assert sum(states.values()) == len(server.seen)
    assert states["done"] == 9
    assert min(states["failed"], states["unknown"]) > 0
    assert states["intent"] == 0
    assert ledger.count_models() == {"served-model": 9}
    assert read_json(result.folder / "run.json")["models"] == {"served-model": 9}


def test_planned_and_real_requests_are_compared(project: Project) -> None:
    """At the end of a run, a note compares real with planned requests; the run's state and `status` have both."""
    path = project(budget=CAPS)
    progress = Heard()
    with Loopback(lambda number, body: answer(body)) as server:
        result = run(configure(path, server.url), path.parent / "run", progress=progress)
    assert progress.notes[-1].startswith("teacher: 9 requests (planned 9 to 27, likely 11), 162 tokens (planned ")
    facts = read_status(result.folder)
    assert facts.planned["requests"]["low"] == facts.spend["requests"]["spent"] == 9
    assert read_json(result.folder / "run.json")["spent"] == {"requests": 9, "tokens": 162, "cost_usd": 0.0}
    assert read_json(result.folder / "plan.json")["stages"][2]["domains"]["small"]["synthesize"] == 1


def test_a_finished_run_needs_no_teacher(project: Project) -> None:
    """A run whose replies are all in its ledger can be repeated while the teacher is down, with the same bytes."""
    path = project(budget=CAPS)
    with Loopback(lambda number, body: answer(body)) as server:
        first = run(configure(path, server.url), path.parent / "run")
        before = (first.folder / "train.jsonl").read_bytes()
    again = run(configure(path, server.url), path.parent / "run")
    assert (again.folder / "train.jsonl").read_bytes() == before


def test_synthesis_by_json_schema(project: Project) -> None:
    """With `json_schema`, requests for new examples send the schema of the task's fields, and replies are read as JSON."""
    path = project(budget=CAPS)
    with Loopback(lambda number, body: answer(body)) as server:
        result = run(configure(path, server.url, "teacher.json_schema=true"), path.parent / "run")
    (made,) = [example for example in read_examples(result.folder) if example.provenance.kind == "synthesized"]
    assert (made.rationale, made.domain) == ("One more.", "small")
    (form,) = [body["response_format"]["json_schema"]["schema"] for _, body in server.seen if "response_format" in body]
    assert list(form["properties"]) == ["question", "rationale", "answer"]


def test_thoughts_as_rationales(project: Project) -> None:
    """With `teacher.reasoning: rationale`, the student learns a reasoning model's thoughts."""
    path = project(budget=CAPS)
    with Loopback(lambda number, body: answer(body)) as server:
        result = run(configure(path, server.url, "teacher.reasoning=rationale"), path.parent / "run")
    assert {example.rationale for example in read_examples(result.folder) if example.provenance.kind == "real"} == {"Adding."}


def test_no_key_in_the_run_folder(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file of a run contains the teacher's key, even if the server repeats it in an error."""
    key = "sk-marked-0123456789"
    monkeypatch.setenv("OPENAI_API_KEY", key)
    path = project(budget=CAPS)

    def react(number: int, body: dict[str, Any]) -> Any:  # noqa: ANN401
        return Reaction(refuse(f"slow down, {key}"), 429) if number == 0 else answer(body)

    with Loopback(react) as server:
        result = run(configure(path, server.url), path.parent / "run")
        assert server.seen[0][0]["Authorization"] == f"Bearer {key}"
    files = [file for file in result.folder.rglob("*") if file.is_file()]
    assert len(files) > 20
    assert not [file for file in files if key.encode() in file.read_bytes()]


def test_a_run_whose_teacher_goes_away_says_so_and_goes_on_elsewhere(project: Project) -> None:
    """`status` shows the open breaker, the run fails, and it resumes at another address in a folder moved meanwhile."""
    path = project(budget=CAPS)
    away = path.parent / "away"
    fast = ("teacher.deadline_s=0.3", "teacher.max_concurrency=2", "teacher.max_tokens=256")
    with serving(FakeTeacher(FakeSettings(outage=(4, 600.0)))) as url, pytest.raises(TeacherError, match=r"deadline of 0\.3 s"):
        run(configure(path, url, *fast), away)
    status = read_status(away)
    assert (status.state, status.teacher["state"]) == ("failed", "open")
    assert "503" in status.teacher["last_error"]
    moved = path.parent / "moved"
    away.rename(moved)
    server, progress = FakeTeacher(FakeSettings()), Heard()
    with serving(server) as url:
        result = run(configure(path, url, *fast), moved, progress=progress)
    assert len(read_examples(result.folder)) == 9
    assert server.describe()["served"] == 9 - 4
    assert read_status(moved).teacher is None
