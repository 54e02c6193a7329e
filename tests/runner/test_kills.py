"""After a SIGKILL anywhere, the same command resumes, pays for nothing twice, and ends with the same bytes."""

from __future__ import annotations

import json
import random
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.loopback import serving
from tests.support import Zygote, write_rows

from limbeck.fake_teacher.behaviour import FakeSettings, FakeTeacher
from limbeck.hashing import canonical_json, hash_text
from limbeck.run_folder.folder import RunFolder
from limbeck.run_folder.status import read_status
from limbeck.teacher.client.ledger import Ledger

Project = Callable[..., Path]
SEED = 7
FILES = (
    "train.jsonl",
    "metrics.json",
    *(f"stage_{stage}/{name}.jsonl" for stage in range(3) for name in ("examples", "rejected")),
)


@pytest.fixture
def config(project: Project) -> Path:
    """Three stages with annotation, synthesis and IFD, over HTTP."""
    return project(
        teacher={"backend": "openai_compatible", "model": "fake-teacher", "max_concurrency": 4},
        budget__max_examples=15,
        evaluation__max_examples=3,
        training={"epochs": 1, "batch_size": 4, "lora": {"rank": 2, "alpha": 4}},
    )


def choose_points(events: list[str], count: int) -> list[tuple[str, int]]:
    """`count` different points, cycling through the kinds of events, each at a random event of its kind."""
    totals, rng = Counter(events), random.Random(SEED)
    names, points = sorted(totals), list[tuple[str, int]]()
    for turn in range(10 * count):
        name = names[turn % len(names)]
        point = name, rng.randint(1, totals[name])
        if point not in points and len(points) < count:
            points.append(point)
    return points


@pytest.mark.slow
@pytest.mark.parametrize("count", [12, pytest.param(50, marks=pytest.mark.very_slow)])
def test_killed_anywhere_resumes_to_the_same_bytes_and_pays_once(count: int, zygote: Zygote, config: Path) -> None:
    """A run killed at any request, commit, file, training or evaluation step is finished by the same command, byte for byte.

    The server has served each request once, except for those in flight at the kill: the ledger lists these as unknown, and
    they are asked again once.
    """
    whole, log = config.parent / "whole", config.parent / "events"
    with serving(FakeTeacher(FakeSettings(latency_s=0.005))) as url:
        assert zygote.run("run", config, "--out", whole, "--set", f"teacher.base_url={url}", events=str(log)) == 0, show(zygote)
    events = log.read_text().split("\n")[:-1]
    assert {
        "annotate sent",
        "synthesize answered",
        "commit written",
        "file renamed",
        "training step",
        "evaluation step",
    } <= set(events)
    for point in choose_points(events, count):
        folder = config.parent / "-".join(map(str, point)).replace(" ", "-")
        server = FakeTeacher(FakeSettings(latency_s=0.005))
        with serving(server) as url:
            command = ("run", config, "--out", folder, "--set", f"teacher.base_url={url}")
            assert zygote.run(*command, kill=point) == -signal.SIGKILL, point
            assert not RunFolder(folder).state or read_status(folder).state in (
                "stopped",
                "done",
            )  # done: after its last file
            assert zygote.run(*command) == 0, (point, show(zygote))
        for name in FILES:
            assert (folder / name).read_bytes() == (whole / name).read_bytes(), (point, name)
        check_account(folder, server)


@pytest.mark.slow
@pytest.mark.parametrize("count", [4, pytest.param(20, marks=pytest.mark.very_slow)])
def test_killed_in_any_round_of_gold_resumes_to_the_same_bytes(
    count: int, zygote: Zygote, tmp_path: Path, tiny_folder: Path
) -> None:
    """A GOLD run killed while it generates, probes, scores or trains is finished by the same command, byte for byte."""
    pytest.importorskip("reasoning_gym")
    human = [{"domain": "chain_sum", "question": f"Calculate {a} + {a + 1}.", "answer": str(2 * a + 1)} for a in (3, 5, 8)]
    write_rows(tmp_path / "human.jsonl", human)
    write_rows(tmp_path / "test.jsonl", [{**row, "question": row["question"].replace("+", "- 70 +")} for row in human])
    path = tmp_path / "config.json"
    path.write_text(
        json.dumps(
            {
                "name": "sums",
                "task": {"answer": "number"},
                "data": {"human": "human.jsonl", "test": "test.jsonl", "domain": "column"},
                "teacher": {"backend": "tutor", "tutor": {"centre_bias": 0.5, "follows_shown": True}},
                "budget": {"max_examples": 36},
                "student": {"model": str(tiny_folder)},
                "training": {"epochs": 1, "lora": {"rank": 2, "alpha": 4}},
                "evaluation": {"max_new_tokens": 4},
                "method": {"name": "gold", "rounds": 3, "batches_per_round": 1, "batch_size": 6, "probe_size": 6},
            }
        ),
        "utf-8",
    )
    whole, log = tmp_path / "whole", tmp_path / "events"
    assert zygote.run("run", path, "--out", whole, events=str(log)) == 0, show(zygote)
    for point in choose_points(log.read_text().split("\n")[:-1], count):
        folder = tmp_path / "-".join(map(str, point)).replace(" ", "-")
        assert zygote.run("run", path, "--out", folder, kill=point) == -signal.SIGKILL, point
        assert zygote.run("run", path, "--out", folder) == 0, (point, show(zygote))
        for name in (
            *(f"round_{index}/{part}.jsonl" for index in range(3) for part in ("examples", "probes", "feedback")),
            "train.jsonl",
            "metrics.json",
        ):
            assert (folder / name).read_bytes() == (whole / name).read_bytes(), (point, name)
        ledger = Ledger(folder / "ledger.sqlite", is_read_only=True)
        done = [row["key"] for row in ledger.list_requests(("done",))]
        ledger.close()
        assert len(done) == len(set(done))


def check_account(folder: Path, server: FakeTeacher) -> None:
    """Each body was served once, and at most once more for each attempt of unknown fate; those were asked again once."""
    ledger = Ledger(folder / "ledger.sqlite", is_read_only=True)
    rows = list(ledger.list_requests())
    ledger.close()
    states = Counter((row["key"], row["state"]) for row in rows)
    assert {state for _, state in states} <= {"done", "unknown"}
    assert all(states[row["key"], "done"] == 1 and states[row["key"], "unknown"] <= 1 for row in rows)
    allowed: Counter[str] = Counter()
    for row in rows:
        allowed[hash_text(canonical_json(json.loads(row["request"])))] += 1
    served = Counter(server.describe()["served_by_body"])
    certain = Counter(hash_text(canonical_json(json.loads(row["request"]))) for row in rows if row["state"] == "done")
    assert certain <= served <= allowed


def show(zygote: Zygote) -> str:
    return zygote.read_error()[-2000:]
