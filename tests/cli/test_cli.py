"""The command line as users see it: exit codes, one clear line for bad input, JSON for scripts."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.loopback import Loopback, Reaction, chat, refuse
from tests.support import Zygote, make_sums, write_rows

from limbeck.system.interrupts import interruptible

Project = Callable[..., Path]


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def limbeck(zygote: Zygote) -> Run:
    """Runs a command to its end."""

    def complete(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        done = zygote.complete(*arguments, cwd=cwd or Path.cwd())
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    return complete


def assert_one_line(done: subprocess.CompletedProcess[str], code: int, *parts: str) -> None:
    """The command ended with this code and one error line that contains all parts, without a traceback."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("limbeck: error:")]
    assert done.returncode == code, done.stderr
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in lines[0]


def test_help_needs_no_torch() -> None:
    """`limbeck --help` lists all commands and loads no torch."""
    code = """import sys
sys.argv = ["limbeck", "--help"]
from limbeck.cli.main import main
try:
    main()
except SystemExit:
    print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("False")
    for command in ("doctor", "longtail", "plan", "run", "status", "ledger", "eval", "predict", "compare"):
        assert command in done.stdout


@pytest.mark.parametrize("arguments", [("run",), ("run", "--nonsense"), ("nonsense",), ("longtail", "x.jsonl")])
def test_wrong_usage_exits_with_two(limbeck: Run, arguments: tuple[str, ...]) -> None:
    """A missing argument or an unknown option or command is a usage error."""
    assert limbeck(*arguments).returncode == 2


def break_nothing(path: Path) -> list[str]:
    return []


def break_file(path: Path) -> list[str]:
    (path.parent / "train.jsonl").unlink()
    return []


def break_line(path: Path) -> list[str]:
    with (path.parent / "train.jsonl").open("a") as file:
        file.write('{"domain": "big", "question": "cut of')
    return []


def break_column(path: Path) -> list[str]:
    return ["--set", "data.columns.question=qestion"]


def break_domain(path: Path) -> list[str]:
    write_rows(path.parent / "train.jsonl", [*make_sums({"big": 3}), {"domain": " ", "question": "1 + 1", "answer": "2"}])
    return []


def break_answer(path: Path) -> list[str]:
    write_rows(path.parent / "train.jsonl", [*make_sums({"big": 3}), {"domain": "big", "question": "x", "answer": "many"}])
    return []


def break_key(path: Path) -> list[str]:
    return ["--set", "budget.max_example=3"]


def break_budget(path: Path) -> list[str]:
    return ["--set", "budget.max_examples=2", "--set", "method.stages=1"]


def break_student(path: Path) -> list[str]:
    return ["--set", "student.model=/nowhere/at/all"]


def break_quote(path: Path) -> list[str]:
    (path.parent / "train.csv").write_text('domain,question,answer\nbig,1 + 1,2\nbig,"2 + 2,4\n', "utf-8")
    return ["--set", f"data.train={path.parent / 'train.csv'}"]


def break_parquet(path: Path) -> list[str]:
    table = pa.Table.from_pylist([{"domain": "big", "question": "1 + 1"}])
    pq.write_table(table, path.parent / "train.parquet")
    return ["--set", f"data.train={path.parent / 'train.parquet'}"]


def break_hub(path: Path) -> list[str]:
    return ["--set", "data.train=org/nothing"]


def break_template(path: Path) -> list[str]:
    return ["--set", "task.template='Q: {quesion}'"]


def break_address(path: Path) -> list[str]:
    return ["--set", "teacher.backend=openai_compatible", "--set", "teacher.base_url=http://127.0.0.1:9/v1"]


def break_prices(path: Path) -> list[str]:
    return ["--set", "budget.max_cost_usd=1"]


def break_teacher(path: Path) -> list[str]:
    write_rows(path.parent / "script.jsonl", [{"match": "never in any prompt", "text": "x"}])
    return []


@pytest.mark.parametrize(
    ("spoil", "code", "parts"),
    [
        (break_file, 3, ("train.jsonl: No such file",)),
        (break_line, 3, ("train.jsonl:21: not JSON at column",)),
        (break_column, 3, ("train.jsonl:1: no column 'qestion'", "'question'")),
        (break_domain, 3, ("train.jsonl:4: column 'domain' is empty",)),
        (break_answer, 3, ("train.jsonl:4: answer 'many' is not a number",)),
        (break_key, 2, ("budget.max_example: unknown key; did you mean 'max_examples'?",)),
        (break_budget, 2, ("max_examples = 2 is less than the number of domains, 3",)),
        (break_student, 2, ("student '/nowhere/at/all' can't be loaded",)),
        (break_teacher, 4, ("requests failed", "no row of")),
        (break_quote, 3, ("train.csv:3: the row starting here is not valid CSV", "broken quote")),
        (break_parquet, 3, ("train.parquet: row 1: no column 'answer'", "'domain', 'question'")),
        (break_hub, 3, ("org/nothing: no such file or folder here", "save_to_disk")),
        (break_template, 2, ("the template names unknown field(s) ['quesion']; known: ['question']",)),
        (break_address, 4, ("http://127.0.0.1:9/v1: can't be reached; is it running?",)),
        (break_prices, 2, ("budget.max_cost_usd = 1 can't be enforced", "prompt_usd_per_mtok")),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_bad_input_is_one_line_and_its_code(
    limbeck: Run, project: Project, spoil: Callable[[Path], list[str]], code: int, parts: tuple[str, ...]
) -> None:
    """Each kind of bad input ends with one clear line and the documented exit code."""
    path = project()
    sets = spoil(path)
    assert_one_line(limbeck("run", path, "--out", path.parent / "run", *sets), code, *parts)


@pytest.mark.parametrize(
    ("listing", "part"),
    [
        (Reaction(refuse("Incorrect API key"), 401), "answered 401"),
        (Reaction("<html>Welcome</html>", 200, {"Content-Type": "text/html"}), "no OpenAI-compatible API"),
    ],
    ids=["refused key", "no API"],
)
def test_a_teacher_that_refuses_is_four_before_anything_is_done(
    limbeck: Run, project: Project, listing: Reaction, part: str
) -> None:
    """A refused key or a base URL that is not an API ends the run with exit code 4 before anything is asked or measured."""
    path = project(teacher={"backend": "openai_compatible", "model": "served-model"})
    with Loopback(lambda number, body: chat(), models=listing) as server:
        done = limbeck("run", path, "--out", path.parent / "run", "--set", f"teacher.base_url={server.url}")
        assert_one_line(done, 4, part)
        assert not server.seen
    assert not (path.parent / "run").exists()


def test_missing_config_is_two(limbeck: Run, tmp_path: Path) -> None:
    """A missing config file is a config error."""
    assert_one_line(limbeck("run", tmp_path / "none.yaml"), 2, "none.yaml: No such file")


def test_unreadable_run_folders_are_three(limbeck: Run, tmp_path: Path) -> None:
    """`status` and `ledger` on a folder without a run are data errors that name the folder."""
    assert_one_line(limbeck("status", tmp_path), 3, "no run here")
    assert_one_line(limbeck("ledger", tmp_path), 3, "no ledger here")


def test_a_foreign_folder_is_left_alone(limbeck: Run, project: Project) -> None:
    """A non-empty folder without a run is refused, and nothing but the lock is written into it."""
    path = project()
    other = path.parent / "precious"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    assert_one_line(limbeck("run", path, "--out", other), 2, "contains files but no run")
    assert sorted(p.name for p in other.iterdir()) == ["lock", "thesis.txt"]


def test_from_longtail_to_predict(limbeck: Run, tmp_path: Path, tiny_folder: Path) -> None:
    """The commands work in sequence: longtail, run, status, ledger, eval and predict, with JSON output."""
    pytest.importorskip("reasoning_gym", reason="the tutor extra is not installed")
    made = limbeck(
        "longtail", "tutor:quickstart", "--out", tmp_path / "data", "--test-per-domain", 2, "--dev-per-domain", 1, "--json"
    )
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["test"] == 16
    config = tmp_path / "c.yaml"
    config.write_text(
        f"name: walk\ndata: {{train: data/train.jsonl, test: data/test.jsonl}}\ntask: {{answer: number}}\n"
        f"budget: {{max_examples: 16}}\nstudent: {{model: {tiny_folder}}}\ntraining: {{epochs: 1, lora: {{rank: 2}}}}\n"
        "method: {preset: baldistill-a, stages: 2, score_max_new_tokens: 4}\nevaluation: {max_new_tokens: 6}\n"
    )
    done = limbeck("run", config, "--out", tmp_path / "run", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["metrics"]["examples"] == 16

    status = json.loads(limbeck("status", tmp_path / "run", "--json").stdout)
    assert status["state"] == "done"
    assert status["spend"]["examples"] == {"spent": 16, "cap": 16}
    assert status["spend"]["requests"]["spent"] == sum(
        row["requests"] for row in json.loads(limbeck("ledger", tmp_path / "run", "--json").stdout)
    )
    assert json.loads(limbeck("ledger", tmp_path / "run", "--state", "unknown", "--json").stdout) == []
    assert len(json.loads(limbeck("ledger", tmp_path / "run", "--state", "done", "--json").stdout)) == 16
    for text in (limbeck("status", tmp_path / "run").stdout, limbeck("ledger", tmp_path / "run").stdout):
        assert "chain_sum" in text

    test_file = f"data.test={tmp_path / 'data/test.jsonl'}"
    measured = limbeck("eval", tmp_path / "run" / "student", "--config", config, "--set", test_file, "--json")
    assert measured.returncode == 0, measured.stderr
    for name in ("accuracy_micro", "accuracy_tail", "tail_domains"):
        assert json.loads(measured.stdout)[name] == result["metrics"][name]

    rows = write_rows(tmp_path / "new.jsonl", [{"q": "Calculate 1 + 1.", "note": "kept", "answer_type": "latex"}])
    command = (
        "predict",
        tmp_path / "run" / "student",
        rows,
        "--out",
        tmp_path / "out.jsonl",
        "--set",
        "data.columns.question=q",
    )
    done = limbeck(*command)
    assert done.returncode == 0, done.stderr
    (row,) = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().split("\n") if line]
    assert set(row) == {"q", "note", "answer_type", "prediction", "text"}
    card = (tmp_path / "run" / "README.md").read_text()
    assert "simulated teacher" in card
    assert "| chain_sum | 2 |" in card


def test_longtail_says_what_it_collapses(limbeck: Run, tmp_path: Path) -> None:
    """`limbeck longtail` keeps questions that differ in a sign, and says how many rows repeat another one."""
    rows = [{"domain": "d", "question": f"Is {n} {sign} x?"} for n in range(4) for sign in "≤≥"]
    path = write_rows(tmp_path / "rows.jsonl", [*rows, {"domain": "d", "question": "is  0 ≤ X?"}])
    command = ("longtail", path, "--out", tmp_path / "out", "--test-per-domain", 2, "--dev-per-domain", 1)
    assert "1 row(s) collapsed: their questions repeat earlier ones" in limbeck(*command).stdout
    facts = json.loads(limbeck(*command, "--json").stdout)
    assert (facts["train"] + facts["dev"] + facts["test"], facts["repeats"]) == (8, 1)


def test_a_spent_cap_exits_with_five_and_keeps_its_results(limbeck: Run, project: Project) -> None:
    """A run ended by a cap prints metrics and one line on what it bought, what is missing and what to do, and exits with 5."""
    path = project()
    done = limbeck("run", path, "--out", path.parent / "run", "--set", "budget.max_requests=4", "--json")
    bought = "bought 4 of 9 examples (the student is trained on these); missing by domain: "
    assert_one_line(done, 5, "budget.max_requests = 4 is spent", bought, "Raise budget.max_requests")
    assert json.loads(done.stdout)["metrics"]["examples"] == 9
    assert (path.parent / "run" / "student" / "model.safetensors").exists()


def test_a_full_disk_is_three_and_loses_nothing(limbeck: Run, project: Project, small_disk: Path) -> None:
    """A run on a full disk ends with one line and exit code 3, and resumes once there is space."""
    path = project()
    (small_disk / "ballast").write_bytes(b"x" * 850_000)
    done = limbeck("run", path, "--out", small_disk / "run")
    assert_one_line(done, 3, "free disk space", "run the same command again")
    (small_disk / "ballast").unlink()
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    done = limbeck("run", path, "--out", small_disk / "run")
    assert done.returncode == 0, done.stderr
    rows = json.loads(limbeck("ledger", small_disk / "run", "--state", "done", "--json").stdout)
    assert len({row["key"] for row in rows}) == len(rows) == 9


def test_doctor_checks_the_teacher(limbeck: Run, project: Project) -> None:
    """`doctor` reports versions and device, asks a config's teacher, and exits with 4 if the teacher fails."""
    path = project()
    broken = limbeck("doctor", path, "--json")
    report = json.loads(broken.stdout)
    assert report["versions"]["torch"]
    assert report["device"]["type"] in ("cpu", "cuda", "mps")
    assert broken.returncode == 4
    assert "no row of" in report["teacher"]["detail"]


def test_two_processes_on_one_folder(limbeck: Run, project: Project) -> None:
    """While one process runs in a folder, a second one is refused with the pid of the first."""
    path = project(training__epochs=500)
    run = path.parent / "run"
    first = subprocess.Popen([sys.executable, "-m", "limbeck", "run", str(path), "--out", str(run)], stderr=subprocess.PIPE)
    try:
        wait_for(run / "run.json")
        assert_one_line(limbeck("run", path, "--out", run), 2, f"is in use by pid {first.pid}")
    finally:
        first.kill()
        first.communicate()


def test_ignored_signals_stay_ignored() -> None:
    """Signals ignored by `nohup` interrupt nothing; the others act like Ctrl-C inside the block and as before after it."""
    heard: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
        with interruptible():
            signal.raise_signal(signal.SIGHUP)
            assert not heard
            signal.raise_signal(signal.SIGTERM)
            assert heard == [signal.SIGINT]
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def wait_for(path: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.01)


def start(python: Path, path: Path, run: Path, *, is_foreground: bool = True) -> subprocess.Popen[bytes]:
    def choose_signals() -> None:
        # These tests may run as a shell's background job (SIGINT ignored) or under `nohup` (SIGHUP ignored).
        signal.signal(signal.SIGINT, signal.SIG_DFL if is_foreground else signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    return subprocess.Popen(
        [python, "-P", "-m", "limbeck", "run", str(path), "--out", str(run)],
        stderr=subprocess.PIPE,
        preexec_fn=choose_signals,
    )


@pytest.mark.parametrize(
    ("number", "is_foreground"), [(signal.SIGINT, True), (signal.SIGTERM, True), (signal.SIGTERM, False), (signal.SIGHUP, True)]
)
def test_interruption_exits_with_130_and_goes_on(
    zygote: Zygote, limbeck: Run, project: Project, number: signal.Signals, is_foreground: bool
) -> None:
    """Ctrl-C, `kill` and a closed terminal end a run with 130 and state interrupted, and the same command finishes it."""
    path = project(training__epochs=20)
    run = path.parent / "run"
    process = start(zygote.python, path, run, is_foreground=is_foreground)
    wait_for(run / "stage_0" / "examples.jsonl")
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    done = limbeck("run", path, "--out", run)
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "run.json").read_text())["status"] == "done"
