"""Specification of `limbeck.runner.probe`: a run's own first requests, asked before it and never paid twice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support import make_sums, replace_backend, script_rows, write_rows

from limbeck.config.config import Config, load_config
from limbeck.errors import ConfigError
from limbeck.hashing import hash_text
from limbeck.run_folder.folder import RunFolder
from limbeck.run_folder.status import read_status
from limbeck.runner.plan import plan
from limbeck.runner.run import run
from limbeck.system.files import read_json
from limbeck.teacher.backends.scripted import ScriptedBackend
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.request import Reply, TeacherRequest

Project = Callable[..., Path]


class Counting(ScriptedBackend):
    """Solves the sums of `make_sums`, invents a new one per request, and answers labels; `asked` lists the requests."""

    def __init__(self) -> None:
        super().__init__(self.answer)

    def answer(self, request: TeacherRequest) -> Reply:
        number = int(hash_text(request.key)[:6], 16)
        about = request.about
        if about.purpose == "annotate":
            text = f"One adds them up.\nThe answer is: {about.examples[0].answer}"
        elif about.purpose == "synthesize" and about.examples[0].answer_type == "number":
            text = f"Question: Calculate {number} + 1.\nRationale: One more than {number}.\nThe answer is: {number + 1}"
        elif about.purpose in ("synthesize", "probe"):
            text = f"It is {about.domain} because " + " ".join(f"w{request.key[at : at + 3]}" for at in range(0, 24, 3))
        else:
            text = about.examples[0].answer
        return Reply(text, "script", "stop", 100, 10)


@pytest.fixture
def teacher(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """The teacher behind every `scripted` backend of the test; its `asked` counts across probe and run."""
    made = Counting()
    replace_backend(monkeypatch, made)
    return made


def probe(config: Config, out: Path, count: int) -> dict[str, Any]:
    found = plan(config, out=out, probe=count).probe
    assert found is not None
    return dict(found)


def list_keys(out: Path) -> Counter[str]:
    ledger = Ledger(out / "ledger.sqlite", is_read_only=True)
    try:
        return Counter(row["key"] for row in ledger.list_requests())
    finally:
        ledger.close()


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_run_pays_nothing_again(project: Project, teacher: Counting, count: int) -> None:
    """The run finds everything that a probe asked in the ledger, so each request is sent only once in all."""
    config = load_config(project())
    out = Path(config.data.train or "").parent / "run"
    facts = probe(config, out, count)
    asked = min(count, 3)  # stage 0 wants three examples, one of each domain
    assert len(teacher.asked) == sum(facts["asked"].values()) == facts["paid"]["requests"] == asked
    run(config, out)
    assert set(Counter(request.key for request in teacher.asked).values()) == {1}
    assert len(teacher.asked) == 9


def test_the_training_set_is_that_of_a_run_without_a_probe(project: Project, teacher: Counting) -> None:
    """A probe does not change what a run keeps."""
    config = load_config(project())
    folder = Path(config.data.train or "").parent
    probe(config, folder / "probed", 2)
    files = [run(config, folder / name).folder / "train.jsonl" for name in ("probed", "plain")]
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize("pooling", ["shortfall", "premixed"])
def test_inventions_are_probed(project: Project, teacher: Counting, pooling: str) -> None:
    """A probe sends the run's own synthesis prompts, both those before stage 0 and those in it."""
    counts = {"big": 12, "small": 1}
    config = load_config(project(counts, budget__max_examples=6, method__stages=1, method__pooling=pooling))
    out = Path(config.data.train or "").parent / "run"
    facts = probe(config, out, 20)
    assert facts["asked"] == {"annotate": 4, "synthesize": 2}
    assert facts["kept"] == {name: {"kept": count, "rejected": 0} for name, count in facts["asked"].items()}
    run(config, out)
    assert len(teacher.asked) == 6


def test_one_pool_for_all_domains(project: Project, teacher: Counting) -> None:
    """With `quota: none` the probe asks about the first candidates of the whole pool."""
    config = load_config(project(method__quota="none", method__selection="random"))
    out = Path(config.data.train or "").parent / "run"
    assert probe(config, out, 2) | {"began_at": 0} == {
        "folder": str(out),
        "wanted": 2,
        "asked": {"annotate": 2},
        "began_at": 0,
        "kept": {"annotate": {"kept": 2, "rejected": 0}},
        "paid": {"requests": 2, "tokens": 220, "cost_usd": 0.0},
        "ended_by": None,
    }
    run(config, out)
    assert len(teacher.asked) == 9


def make_gold(tmp_path: Path, student: Path, **method: Any) -> Config:  # noqa: ANN401
    """A GOLD config with two labels, one human example of each, and batches of four."""
    write_rows(
        tmp_path / "human.jsonl", [{"text": "a good one here", "answer": "good"}, {"text": "a bad one", "answer": "bad"}]
    )
    values = {
        "data": {"human": "human.jsonl"},
        "seed": 5,
        "task": {"instruction": "Judge.", "answer": "label", "fields": ["text"], "labels": {"good": "", "bad": ""}},
        "teacher": {"backend": "scripted", "model": "script"},
        "budget": {"max_examples": 8},
        "student": {"model": str(student)},
        "training": {"epochs": 0.2, "batch_size": 8, "lora": {"rank": 2, "alpha": 4}},
        "method": {"name": "gold", "rounds": 2, "batches_per_round": 1, "batch_size": 4, **method},
    }
    (tmp_path / "config.json").write_text(json.dumps(values), "utf-8")
    return load_config(tmp_path / "config.json")


def test_gold_is_probed(tmp_path: Path, tiny_folder: Path, teacher: Counting) -> None:
    """GOLD's first batch and the votes on it are the run's own requests, including their temperatures."""
    config = make_gold(
        tmp_path,
        tiny_folder,
        feedback="none",
        relabel_votes=1,
        temperatures=[0.3, 0.9],
        held_out=0,
        patience=None,
    )
    facts = probe(config, tmp_path / "run", 4)
    assert facts["asked"] == {"synthesize": 2, "verify": 2}
    run(config, tmp_path / "run")
    assert Counter(request.about.purpose for request in teacher.asked) == {"synthesize": 8, "verify": 8}


@pytest.mark.parametrize("is_compat", [False, True])
def test_a_probe_that_reaches_the_student_counts_what_was_kept(
    tmp_path: Path, tiny_folder: Path, teacher: Counting, is_compat: bool
) -> None:
    """A GOLD probe that ends because the student is needed reports all that was kept until then."""
    config = make_gold(tmp_path, tiny_folder, probe_size=2, compat=is_compat)
    facts = probe(config, tmp_path / "run", 60)
    assert facts["asked"] == ({"synthesize": 4, "probe": 2} if is_compat else {"synthesize": 4})
    assert facts["kept"] == {name: {"kept": count, "rejected": 0} for name, count in facts["asked"].items()}


def test_a_probe_that_keeps_nothing_gives_counts_and_a_plan(
    project: Project, tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If every reply is rejected, the probe reports how many and why, and the plan expects as much."""
    replace_backend(monkeypatch, ScriptedBackend(lambda request: Reply("no idea", "script", "stop", 100, 10)))
    for config in (load_config(project(budget__max_examples=10)), make_gold(tmp_path, tiny_folder)):
        out = tmp_path / config.method.name
        made = plan(config, out=out, probe=100)
        facts = made.probe
        assert facts is not None
        assert facts["paid"]["requests"] == sum(facts["asked"].values()) > 8
        assert facts["kept"] == {name: {"kept": 0, "rejected": count} for name, count in facts["asked"].items()}
        assert "no reply was kept" in facts["ended_by"]
        assert "limbeck-" not in facts["ended_by"]
        assert read_json(out / "probe.json") == facts
        assert made.assumptions["learned"]["kept"] == facts["kept"]
        assert made.totals.requests.likely > config.budget.max_examples


@pytest.mark.parametrize("count", [0, -1, 1.5, True])
def test_a_probe_of_nothing_is_refused(project: Project, teacher: Counting, count: Any) -> None:  # noqa: ANN401
    """A probe sends at least one request; any other number is refused before the data are read."""
    path = project()
    (path.parent / "train.jsonl").unlink()
    with pytest.raises(ConfigError, match=f"probe = {count}: expected a whole number of at least 1"):
        plan(path, probe=count)


def test_an_unreadable_tokenizer_costs_nothing(project: Project, teacher: Counting) -> None:
    """A probe asks nothing if the plan can't read its tokenizer."""
    path = project(teacher__tokenizer="/nowhere")
    with pytest.raises(ConfigError, match=r"teacher\.tokenizer: .*nowhere"):
        plan(path, out=path.parent / "run", probe=2)
    assert teacher.asked == []
    assert not (path.parent / "run").exists()


def test_caps_hold_and_a_second_probe_is_free(project: Project, teacher: Counting) -> None:
    """A probe ends at a cap and reports it; the next probe does not repeat its requests."""
    config = load_config(project(budget__max_requests=2))
    out = Path(config.data.train or "").parent / "run"
    facts = probe(config, out, 5)
    assert (facts["paid"]["requests"], "max_requests" in facts["ended_by"]) == (2, True)
    again = probe(load_config(project()), out, 5)
    assert (again["paid"]["requests"], again["ended_by"]) == (1, None)
    assert probe(load_config(project()), out, 5)["paid"]["requests"] == 0


def test_folders_that_can_not_be_probed(project: Project, teacher: Counting) -> None:
    """A probe needs an unlocked folder that a run may start in; a folder with only a ledger is not one."""
    config = load_config(project())
    parent = Path(config.data.train or "").parent
    with RunFolder.open(parent / "held"), pytest.raises(ConfigError, match="is in use by pid"):
        probe(config, parent / "held", 2)
    probe(config, parent / "run", 2)
    run(config, parent / "run")
    with pytest.raises(ConfigError, match="already contains a run"):
        probe(config, parent / "run", 2)
    (parent / "other").mkdir()
    (parent / "other" / "ledger.sqlite").write_bytes((parent / "run" / "ledger.sqlite").read_bytes())
    for what in (probe, lambda config, out, count: run(config, out)):
        with pytest.raises(ConfigError, match="contains files but no run"):
            what(config, parent / "other", 2)
    assert not (parent / "other" / "probe.json").exists()
    with pytest.raises(ConfigError, match="asks the teacher nothing"):
        probe(load_config(project(method__annotation="none", method__tail="none")), parent / "none", 2)
    with pytest.raises(ConfigError, match="--ledger and --probe"):
        plan(config, out=parent / "both", ledger=parent / "run", probe=1)


def test_the_plan_learns_from_the_probe_and_status_compares(project: Project, teacher: Counting) -> None:
    """The run's plan learns from its probe, and `status` gives planned and real spend by purpose, which sum to the totals."""
    config = load_config(project())
    out = Path(config.data.train or "").parent / "run"
    assert plan(config, out=out).assumptions["learned"] is None
    made = plan(config, out=out, probe=9)
    learned = made.assumptions["learned"]
    assert made.probe is not None
    assert learned["replies"] == made.probe["asked"]
    run(config, out)
    stored = read_json(out / "plan.json")
    assert stored["assumptions"]["learned"]["replies"] == learned["replies"]
    status = read_status(out)
    planned, spent = status.planned_by_purpose, status.spent_by_purpose
    assert planned is not None
    assert status.planned is not None
    for name in ("requests", "tokens"):
        for bound in ("low", "likely", "high"):
            assert sum(entry[name][bound] for entry in planned.values()) == pytest.approx(status.planned[name][bound])
        assert sum(entry[name] for entry in spent.values()) == status.spend[name]["spent"]
    assert planned["annotate"]["completion_tokens"]["likely"] == pytest.approx(10 * planned["annotate"]["requests"]["likely"])
    assert spent["annotate"]["completion_tokens"] == 10 * spent["annotate"]["requests"]


def test_the_command(project: Project) -> None:
    """`limbeck plan --probe` says what it pays, loads no torch and prints the plan; a later plan learns from its ledger."""
    path = project()
    write_rows(path.parent / "train.jsonl", make_sums({"big": 12, "mid": 6, "small": 2}))
    write_rows(path.parent / "script.jsonl", script_rows())
    code = "import sys; from limbeck.cli.main import main; sys.argv = ['limbeck', *sys.argv[1:]]\ntry:\n    main()\nfinally:\n    print('torch' in sys.modules, file=sys.stderr)"  # noqa: E501
    command = [sys.executable, "-c", code, "plan", str(path), "--probe", "3", "--out", str(path.parent / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines() == ["probe: sending up to 3 paid requests to the teacher script", "False"]
    assert "probe: asked 3 annotate (goal: 3); paid for 3 requests" in " ".join(done.stdout.split())
    assert "replies learned from" in done.stdout
    as_json = subprocess.run(
        [*command[:3], "plan", str(path), "--ledger", str(path.parent / "run"), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    made = json.loads(as_json.stdout)
    assert made["probe"] is None
    assert made["assumptions"]["learned"]["replies"] == {"annotate": 3}
