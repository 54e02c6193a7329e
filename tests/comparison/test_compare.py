"""`limbeck compare` from presets and seeds to tables: separate runs, shared replies, each arm charged as if it ran alone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_cli import assert_one_line
from tests.support import Heard, Zygote, make_sums, script_rows, write_rows

from limbeck.cli.student import parse_list, parse_seeds
from limbeck.comparison import arms as arms_module
from limbeck.comparison import compare as compare_module
from limbeck.comparison import runs as compare_runs
from limbeck.comparison.arms import Request, choose_sets, make_run, read_all
from limbeck.comparison.budget import equalise, fit_examples
from limbeck.comparison.compare import compare
from limbeck.comparison.results import _list_unequal, name_untouched, read_accuracy, read_figures
from limbeck.comparison.runs import ArmRun
from limbeck.config.config import load_config
from limbeck.engines import local
from limbeck.errors import ConfigError
from limbeck.reports.comparison import write_markdown
from limbeck.run_folder.comparison import ComparisonFolder
from limbeck.run_folder.folder import RunFolder
from limbeck.run_folder.status import read_status
from limbeck.runner.prepare import read_data
from limbeck.runner.run import claim_folder, run
from limbeck.system.files import read_json, read_json_lines
from limbeck.teacher.backends.shared import count_shared
from limbeck.teacher.client.ledger import Ledger

Project = Callable[..., Path]
Run = Callable[..., subprocess.CompletedProcess[str]]
ARMS = ("random-cot", "balance-cot")


@pytest.fixture
def limbeck(zygote: Zygote) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command; it and the runs that it starts are forks."""

    def complete(*arguments: object) -> subprocess.CompletedProcess[str]:
        done = zygote.complete(*arguments, cwd=Path.cwd(), env={"PYTHON_OF_FORKS": str(zygote.python)})
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    return complete


@pytest.fixture
def forked_runs(zygote: Zygote, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs that a comparison in this process starts are forks."""
    monkeypatch.setattr(sys, "executable", str(zygote.python))


def make_project(project: Project, **changes: Any) -> Path:  # noqa: ANN401
    """Make a project whose teacher also answers test questions, with the same answer to each."""
    path = project(method__stages=2, **changes)
    write_rows(path.parent / "script.jsonl", [*script_rows(), {"match": "", "text": "The answer is: 5000"}])
    return path


def count_keys(folders: list[Path]) -> tuple[int, int]:
    """Count the replies in all ledgers, and the different requests that they answer."""
    keys = []
    for folder in folders:
        ledger = Ledger(folder / "ledger.sqlite", is_read_only=True)
        keys += [row["key"] for row in ledger.list_requests(("done",))]
        ledger.close()
    return len(keys), len(set(keys))


@pytest.mark.slow
def test_two_presets_and_two_seeds(project: Project, tmp_path: Path, limbeck: Run) -> None:
    """Four runs plus references write all files and figures, share replies, are charged in full, and are not repeated."""
    path, out = make_project(project), tmp_path / "out"
    done = limbeck("compare", path, "--presets", ",".join(ARMS), "--seeds", "1,2", "--jobs", 2, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts == read_json(out / "compare.json")
    for arm in ARMS:
        figures = facts["arms"][arm]
        assert figures["seeds"] == [1, 2]
        assert set(figures["accuracy_macro"]) == {"mean", "ci95", "values"}
        assert figures["examples"]["values"] == [9, 9]
        for name in ("requests", "tokens", "seconds"):
            assert len(figures[name]["values"]) == 2
        assert figures["cost_usd"] is None
        for seed, requests in zip((1, 2), figures["requests"]["values"], strict=True):
            assert read_status(out / arm / f"seed_{seed}").spend["requests"]["spent"] == requests == 9
    assert set(facts["references"]) == {"untouched", "all-labels", "teacher"}
    assert facts["references"]["all-labels"]["examples"]["values"] == [20, 20]
    assert facts["references"]["all-labels"]["requests"]["values"] == [0, 0]
    assert facts["references"]["teacher"]["accuracy_micro"]["mean"] == pytest.approx(1 / 9)
    assert {pair["metric"] for pair in facts["pairs"]} >= {"accuracy_macro", "accuracy_micro", "accuracy_worst"}
    assert all((pair["a"], pair["b"]) == ARMS for pair in facts["pairs"])

    charged, different = count_keys([*(out / arm / f"seed_{s}" for arm in ARMS for s in (1, 2)), out / "teacher" / "seed_1"])
    assert charged == facts["charged"]["requests"] == 4 * 9 + 9
    assert different == facts["really_asked"]["requests"] == facts["really_asked"]["replies"] < charged
    # One for prompts that ask for rationales, one for those of all-labels; seeds share them because all test rows are used.
    assert len(list(out.glob("baselines/*/predictions.jsonl"))) == 2

    assert "| random-cot | 2 |" in (out / "compare.md").read_text()
    before = {file: file.stat().st_mtime_ns for file in out.glob("*/*/run.json")}
    assert len(before) == 7
    result = compare(path, ARMS, (1, 2), out=out)
    again = result.values
    assert result.exit_code == 0
    assert {pair.metric for pair in result.pairs} == {pair["metric"] for pair in facts["pairs"]}
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert again["arms"] == facts["arms"]
    assert again["jobs"] == facts["jobs"] == 2  # as the runs had, not the call that ran nothing
    assert count_shared(out / "replies.sqlite")["requests"] == different

    with pytest.raises(ConfigError, match=r"seed_1 was made with another config: training.epochs differ"):
        compare(path, ARMS, (1, 2), sets=("training.epochs=0.3",), out=out)
    write_rows(path.parent / "test.jsonl", [{"domain": "big", "question": "Calculate 7 + 8.", "answer": "15"}])
    with pytest.raises(ConfigError, match=r"seed_1 was made with other data: data.test changed"):
        compare(path, ARMS, (1, 2), out=out)


def test_a_setting_that_would_make_another_arm_is_refused(project: Project) -> None:
    """A `--set` that contradicts a preset is refused with the remedy; it is accepted with `keeps` or without a conflict."""
    path = make_project(project)

    def choose(preset: str, *sets: str) -> list[str]:
        return choose_sets(Request(path, (preset,), (1,), sets), preset)

    with pytest.raises(ConfigError, match=r"preset active-cot sets selection: ifd, .* --set 'method.keeps=\[selection\]'"):
        choose("active-cot", "method.selection=loss")
    kept = ("method.selection=loss", "method.keeps=[selection]")
    assert choose("active-cot", *kept) == [*kept]
    assert choose("active-cot", "method.verify=vote", "method.stages=2") == ["method.verify=vote", "method.stages=2"]
    assert choose("random-cot", "method.stages=2", "seed=3") == ["seed=3"]


def test_the_untouched_student_is_measured_once(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that share the baseline get a lone run's predictions without measuring again, except with another token limit."""
    path, loads = make_project(project), list[object]()
    load = local.load_student
    monkeypatch.setattr(local, "load_student", lambda *args, **kwargs: (loads.append(args), load(*args, **kwargs))[1])

    def measure(name: str, *sets: str) -> bytes:
        folder = tmp_path / name
        run(load_config(path, sets, preset="zero-shot"), folder)
        state = read_json(folder / "run.json")
        assert state["baseline_s"] > 0
        assert state["seconds"] > 0
        return (folder / "baseline" / "predictions.jsonl").read_bytes()

    shared = f"evaluation.shared_baseline={tmp_path / 'shared'}"
    alone = measure("alone")
    assert len(loads) == 1
    assert measure("first", shared) == measure("second", shared) == alone
    assert len(loads) == 2
    assert measure("longer", shared, "evaluation.max_new_tokens=9") != alone
    assert len(loads) == 3


def test_what_stands_beside_is_no_variant_of_an_arm(project: Project, tmp_path: Path) -> None:
    """Settings in `keeps` apply to the arms but not to all-labels, which learns bare labels and asks no teacher."""
    path = make_project(project, method__keeps=["annotation", "quota"], method__annotation="blind")
    wanted, folder = Request(path, ARMS, (1,)), ComparisonFolder(tmp_path / "\N{GRINNING FACE}")
    arm = make_run(wanted, folder, "random-cot", "random-cot", 1, []).config
    assert (arm.method.annotation, arm.teacher.shared_replies) == ("blind", tmp_path / "\N{GRINNING FACE}" / "replies.sqlite")
    method = make_run(wanted, folder, "all-labels", "random-label", 1, []).config.method
    assert (method.annotation, method.quota, method.asks_teacher) == ("none", "none", False)


def test_each_arm_gains_over_its_own_prompts(project: Project, tmp_path: Path) -> None:
    """The untouched student is a reference for prompts with and for prompts without rationales, in any order of the arms."""
    path = make_project(project)
    wanted, folder = Request(path, ARMS, (1,)), ComparisonFolder(tmp_path)
    runs = [make_run(wanted, folder, arm, arm, 1, []) for arm in ("random-label", "random-cot")]
    bare, steps = {1: {"accuracy_macro": 0.1}}, {1: {"accuracy_macro": 0.4}}
    for order in (runs, runs[::-1]):
        named = name_untouched(order, {"random-label": bare, "random-cot": steps})
        assert named == {"untouched": steps, "untouched-label": bare}
    assert name_untouched(runs, {"random-label": bare, "random-cot": bare}) == {"untouched": bare}
    assert name_untouched(runs[:1], {"random-label": bare}) == {"untouched": bare}


def test_a_run_without_its_own_time_has_that_of_its_record(project: Project, tmp_path: Path) -> None:
    """A run killed after its end but before it stored its time has its processes' time, or null if there is no record."""
    folder = ComparisonFolder(tmp_path / "out")
    one = make_run(Request(make_project(project), ARMS, (1,)), folder, "random-cot", "random-cot", 1, [])
    one.path.mkdir(parents=True)
    RunFolder(one.path).update_state(status="done", examples=9)
    assert read_figures(one, {"domains": {}}, frozenset(), has_prices=False)["seconds"] is None
    folder.record("random-cot", 1).write({"exit_code": 1, "seconds": 2.5, "jobs": 1, "last_line": ""})
    assert read_figures(one, {"domains": {}}, frozenset(), has_prices=False)["seconds"] == 2.5


def test_a_gold_arm_may_come_first(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison resumes in its folder: references use the pool of the arms, not the first arm's human examples."""
    path = make_project(project, data__human="human.jsonl", data__domain="column")
    path.write_text(json.dumps({**json.loads(path.read_text()), "method": {}}))
    write_rows(path.parent / "human.jsonl", make_sums({"big": 2, "mid": 2}, start=7000))

    def claim(runs: list[ArmRun], jobs: int, tell: Callable[[str], None]) -> None:
        for one in runs:
            one.path.mkdir(parents=True, exist_ok=True)
            claim_folder(RunFolder(one.path), one.config, read_data(one.config))
            RunFolder(one.path).update_state(seconds=0.0)

    monkeypatch.setattr(compare_module, "run_all", claim)
    for _ in range(2):
        compare(path, ("zerogen", "random-label"), (1,), out=tmp_path / "out")
    assert (tmp_path / "out" / "all-labels" / "seed_1" / "run.json").exists()


def test_each_gold_arm_is_checked(project: Project) -> None:
    """A GOLD arm that contradicts the config is refused before anything is read, whether it comes first or later."""
    path = make_project(project, data__human="human.jsonl", data__domain="column", training__loss="cross_entropy")
    path.write_text(json.dumps({**json.loads(path.read_text()), "method": {}}))
    (path.parent / "train.jsonl").unlink()
    for presets in (("gold-plus", "zerogen"), ("zerogen", "gold-plus"), ("random-label", "gold-plus")):
        with pytest.raises(ConfigError, match=r"method\.alphas has no effect on training\.loss: cross_entropy"):
            compare(path, presets, (1,), out=path.parent / "out")
    assert not (path.parent / "out").exists()


def test_arms_share_what_they_read(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool and GOLD's human examples are each read once, however many arms use them."""
    path = make_project(project, data__human="human.jsonl", data__domain="column")
    path.write_text(json.dumps({**json.loads(path.read_text()), "method": {}}))
    write_rows(path.parent / "human.jsonl", make_sums({"big": 2, "mid": 2}, start=7000))
    reads = list[str]()
    monkeypatch.setattr(arms_module, "read_data", lambda config: (reads.append(config.method.name), read_data(config))[1])
    presets = ("zerogen", "random-label", "gold", "random-cot", "error-feedback")
    data = read_all({preset: load_config(path, preset=preset) for preset in presets})
    assert reads == ["gold", "baldistill"]
    assert [len(data[preset].train) for preset in presets] == [4, 20, 4, 20, 4]


@pytest.mark.slow
@pytest.mark.usefixtures("forked_runs")
def test_the_teacher_is_measured_on_dev(project: Project, tmp_path: Path) -> None:
    """If there are dev rows, the teacher answers those and the students the test rows; repeating the call runs nothing."""
    path, out = make_project(project, data__dev="dev.jsonl"), tmp_path / "out"
    rows = [*make_sums({"big": 2}, start=3000), {"domain": "big", "question": "What is 4999 plus 1?", "answer": "5000"}]
    write_rows(path.parent / "dev.jsonl", rows)
    result = compare(path, ("zero-shot",), (1,), out=out, all_labels=False, teacher=True)
    facts = result.values
    assert result.exit_code == 0
    assert facts["references"]["teacher"]["accuracy_micro"]["mean"] == pytest.approx(1 / 3)
    assert len(read_json_lines(out / "teacher" / "seed_1" / "teacher" / "predictions.jsonl")) == 3
    assert len(read_json_lines(out / "zero-shot" / "seed_1" / "baseline" / "predictions.jsonl")) == 9
    assert any("dev rows" in note for note in facts["notes"])
    told = Heard()
    again = compare(path, ("zero-shot",), (1,), out=out, all_labels=False, teacher=True, progress=told)
    assert again.values["references"] == facts["references"]
    assert told.notes == ["2 of 2 runs are finished already"]


@pytest.mark.slow
@pytest.mark.usefixtures("forked_runs")
def test_a_run_that_fails_stops_no_other(project: Project, tmp_path: Path) -> None:
    """A failed run is reported with its last line and left out, the others are compared, and its exit code is returned."""
    path, out = make_project(project), tmp_path / "out"
    (out / "zero-shot" / "seed_2").mkdir(parents=True)
    (out / "zero-shot" / "seed_2" / "thesis.txt").write_text("years of work")
    said = Heard()
    result = compare(path, ("zero-shot",), (2, 1), out=out, jobs=2, all_labels=False, teacher=False, progress=said)
    facts = result.values
    assert result.exit_code == 2
    assert facts["arms"]["zero-shot"]["seeds"] == [1]
    assert facts["arms"]["zero-shot"]["accuracy_macro"]["ci95"] is None
    assert any(
        "missing: zero-shot, seed 2 failed with exit code 2" in text and "contains files but no run" in text
        for text in facts["warnings"]
    )
    assert any("zero-shot, seed 2: failed with exit code 2" in text for text in said.notes)
    assert facts["runs"][0]["is_finished"] is False


@pytest.mark.slow
def test_an_interruption_reaches_the_runs(project: Project, tmp_path: Path, zygote: Zygote) -> None:
    """SIGTERM also stops the runs, even in the background; each records it in its folder, and the command exits with 130."""
    path, out = make_project(project), tmp_path / "out"
    code = f"import sys; sys.executable = {str(zygote.python)!r}; from limbeck.cli.main import main; main()"
    options = ("--set", "training.epochs=2000", "--no-teacher", "--no-all-labels")
    command = ("compare", str(path), "--presets", "baldistill-n", "--seeds", "1", "--out", str(out), *options)
    process = subprocess.Popen(
        [sys.executable, "-c", code, *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # as a shell does for background jobs
    )
    state = out / "baldistill-n" / "seed_1" / "run.json"
    deadline = time.monotonic() + 120
    while not (state.exists() and "training" in str(read_json(state).get("step"))) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=100)
    assert process.returncode == 130
    assert read_json(state)["status"] == "interrupted"
    assert read_json(state.parent.with_name("seed_1.json"))["exit_code"] == 130


def test_a_swallowed_interruption_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that loses the first interruption is interrupted again; one that ignores all of them is killed."""
    monkeypatch.setattr(compare_runs, "ASK_AGAIN_S", 0.3)
    monkeypatch.setattr(compare_runs, "STOP_S", 1.5)
    once = "import signal, time, sys\nsignal.signal(15, lambda *a: signal.signal(15, lambda *a: sys.exit(130)))\n"
    never = "import signal, time\nsignal.signal(15, signal.SIG_IGN)\n"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code + "print(flush=True)\nwhile True: time.sleep(0.05)"], stdout=subprocess.PIPE
        )
        for code in (once, never)
    ]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    compare_runs._stop(processes)
    assert [process.returncode for process in processes] == [130, -signal.SIGKILL]
    for process in processes:
        process.communicate()


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--presets", "random-cot,random", "--seeds", "1"), "no preset 'random'"),
        (("--presets", "random-cot,random-cot", "--seeds", "1"), "without duplicates"),
        (("--presets", ",", "--seeds", "1"), "presets = (): expected one name or more"),
        (("--presets", "random-cot", "--seeds", "1", "--jobs", "0"), "jobs = 0: expected a whole number"),
        (("--presets", "random-cot", "--seeds", "1,x"), "different whole numbers"),
        (("--presets", "random-cot", "--seeds", "1,01"), "different whole numbers"),
        (("--presets", "random-cot", "--seeds", "1", "--set", "data.test=null"), "data.test is not set"),
        (("--presets", "baldistill-a", "--seeds", "1", "--set", "budget.max_examples=2"), "less than the number of domains"),
        (
            ("--presets", "baldistill-a", "--seeds", "1", "--equal", "tokens", "--set", "budget.max_tokens=9"),
            "9 tokens are fewer",
        ),
    ],
)
def test_bad_comparisons_are_one_line(project: Project, limbeck: Run, arguments: tuple[str, ...], part: str) -> None:
    """An impossible comparison is refused in one line with exit code 2, before anything runs."""
    path = project(method__stages=2)
    assert_one_line(limbeck("compare", path, "--out", path.parent / "out", *arguments), 2, part)
    assert not list((path.parent / "out").glob("*/*"))


def test_lists_are_read() -> None:
    """Presets and seeds are separated by commas, and spaces around them are ignored."""
    assert parse_list(" a, b ,c") == ("a", "b", "c")
    assert parse_seeds("3, 1,2") == (3, 1, 2)
    assert parse_list(",") == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"presets": []}, r"presets = \[\]: expected one name or more"),
        ({"presets": "zero-shot"}, r"presets = 'zero-shot': expected a list"),
        ({"presets": ["zero-shot", "zero-shot"]}, "without duplicates"),
        ({"seeds": []}, r"seeds = \[\]: expected different whole numbers from 0 to 4294967295"),
        ({"seeds": [1, 1]}, "seeds"),
        ({"seeds": [-1]}, "seeds"),
        ({"seeds": [True]}, "seeds"),
        ({"seeds": [2**32]}, "seeds"),
        ({"seeds": ["1"]}, "seeds"),
        ({"seeds": 3}, "seeds = 3: expected a list"),
        ({"sets": "seed=3"}, "sets = 'seed=3': expected a list"),
        ({"equal": "tokens"}, "equal = 'tokens': expected a list"),
        ({"equal": ["token"]}, r"equal = \['token'\]: expected examples, tokens or both"),
        ({"equal": []}, "equal"),
        ({"share": "seeds"}, "share = 'seeds': expected all or seed"),
        ({"jobs": 0}, "jobs = 0: expected a whole number of at least 1"),
        ({"jobs": 1.5}, "jobs = 1.5"),
    ],
)
def test_arguments_without_a_meaning_are_refused(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    """`compare` refuses an argument that it can't follow, with its value and what is expected, before it reads anything."""
    given = {"config": tmp_path / "missing.yaml", "presets": ["zero-shot"], "seeds": [1], **arguments}
    with pytest.raises(ConfigError, match=message):
        compare(**given)
    with pytest.raises(ConfigError, match=r"missing\.yaml: No such file"):
        compare(tmp_path / "missing.yaml", ["zero-shot"], range(3), equal=("examples", "tokens"))


def test_equal_tokens_fit_the_plan(project: Project) -> None:
    """An arm gets the most examples whose plan likely stays within the tokens; one that asks nothing keeps its number."""
    path = make_project(project)
    configs = {name: load_config(path, preset=name) for name in ("random-cot", "balance-cot", "random-label")}
    arms = {name: (config, read_data(config)) for name, config in configs.items()}
    assert equalise(arms, ("examples",)) == (dict.fromkeys(arms, 9), None, [])
    examples, tokens, notes = equalise(arms, ("tokens",))
    assert tokens is not None
    assert examples["random-label"] == 9
    assert max(examples["random-cot"], examples["balance-cot"]) >= 9
    assert any("random-label: no requests to the teacher" in note for note in notes)
    both, _, _ = equalise(arms, ("tokens", "examples"))
    assert set(both.values()) == {min(examples["random-cot"], examples["balance-cot"])}
    config, data = arms["balance-cot"]
    most = fit_examples(config, data, tokens)
    assert fit_examples(config, data, 2 * tokens) > most
    capped = config.model_copy(update={"budget": config.budget.model_copy(update={"max_tokens": tokens // 2})})
    assert equalise({"balance-cot": (capped, data)}, ("tokens",))[1] == tokens // 2


def test_unequal_examples_are_said() -> None:
    """Arms trained on different numbers of examples are reported, except presets that train on none."""
    assert _list_unequal({"a": {1: {"examples": 9}}, "b": {1: {"examples": 9}}, "zero-shot": {1: {"examples": 0}}}) == []
    (text,) = _list_unequal({"a": {1: {"examples": 9}, 2: {"examples": 8}}, "b": {1: {"examples": 9}}})
    assert text.endswith("different numbers of examples: a 8/9, b 9")


def test_sharing_by_seed_keeps_seeds_apart(project: Project, tmp_path: Path) -> None:
    """With `--share seed`, runs of the same seed share one file of replies, and each seed has its own."""
    path = make_project(project)
    everyone, by_seed = Request(path, ARMS, (1, 2)), Request(path, ARMS, (1, 2), share="seed")
    folder = ComparisonFolder(tmp_path)
    files = [
        [make_run(wanted, folder, arm, arm, seed, []).config.teacher.shared_replies for arm in ARMS for seed in (1, 2)]
        for wanted in (everyone, by_seed)
    ]
    assert len(set(files[0])) == 1
    assert files[1][:2] == files[1][2:]
    assert len(set(files[1])) == 2


def test_head_and_tail_are_those_of_the_comparison() -> None:
    """Head and tail are regrouped by the same domains for all arms, whatever the tail under a run's own budget."""
    domains = {name: {"accuracy": value, "count": 2} for name, value in (("a", 0.9), ("b", 0.6), ("c", 0.3))}
    metrics = {
        "accuracy_macro": 0.6,
        "accuracy_macro_ci95": [0, 1],
        "accuracy_head": 0.9,
        "accuracy_head_ci95": [0, 1],
        "accuracy_tail": 0.45,
        "accuracy_tail_ci95": [0, 1],
        "domains": domains,
    }
    figures = read_accuracy(metrics, {"c"})
    assert figures["accuracy_head"] == pytest.approx(0.75)
    assert figures["accuracy_tail"] == pytest.approx(0.3)
    assert read_accuracy(metrics, set())["accuracy_tail"] is None


def test_markdown_shows_hostile_text_as_it_is() -> None:
    """The last line of a failed run can't break out of the Markdown."""
    facts = {
        "name": "n",
        "presets": ["p"],
        "seeds": [1],
        "equal": ["examples"],
        "arms": {"p": {"seeds": []}},
        "references": {},
        "pairs": [],
        "main_metric": "accuracy_macro",
        "charged": {"requests": 0, "tokens": 0},
        "really_asked": None,
        "jobs": 1,
        "notes": [],
        "warnings": ["<script>|\x1b[2J"],
    }
    text = write_markdown(facts)
    assert "\\<script\\>\\|\ufffd\\[2J" in text
    assert "| p | 0 | – |" in text


def test_a_run_ended_by_a_raised_cap_goes_on(project: Project, tmp_path: Path) -> None:
    """A run that a cap ended counts as finished under the same cap, and continues under another."""
    path = make_project(project)
    wanted, folder = Request(path, ("random-cot",), (1,), ("budget.max_requests=3",)), ComparisonFolder(tmp_path / "out")
    run = make_run(wanted, folder, "random-cot", "random-cot", 1, [])
    run.path.mkdir(parents=True)
    for name, value in (
        ("run.json", {"status": "budget"}),
        ("metrics.json", {}),
        ("config.yaml", run.config.model_dump(mode="json")),
    ):
        (run.path / name).write_text(json.dumps(value))
    assert run.is_finished
    raised = replace(wanted, sets=("budget.max_requests=30",))
    assert not make_run(raised, folder, "random-cot", "random-cot", 1, []).is_finished


def test_a_preset_that_does_not_fit_is_refused(project: Project, tmp_path: Path) -> None:
    """An arm that does not fit the student ends the command before anything is read, with the message of `limbeck run`."""
    path = make_project(project, student__kind="classifier")
    (path.parent / "train.jsonl").unlink()
    with pytest.raises(ConfigError, match=r"^preset active-cot: method\.selection: ifd needs .* fits: zero-shot, random-label"):
        compare(path, ("random-cot", "active-cot"), (1,), out=tmp_path / "out")
    path.write_text(json.dumps({**json.loads(path.read_text()), "method": {"objective": "separate"}}))
    with pytest.raises(ConfigError, match=r"^preset random-cot: method\.objective: separate .* student\.kind: classifier"):
        compare(path, ("random-label", "random-cot"), (1,), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
