"""The Python API: its names and signatures, what it accepts and raises, and that it works in a notebook and prints nothing."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager
from tests.support import ROOT, write_rows
from transformers.utils import logging as transformers_logging

import limbeck
import limbeck.errors

Project = Callable[..., Path]
FUNCTIONS = {
    "compare": "(config: 'str | Path', presets: 'Sequence[str]', seeds: 'Sequence[int]', *, out: 'str | Path | None' = None, "
    "sets: 'Sequence[str]' = (), equal: 'Sequence[str]' = ('examples',), share: \"Literal['all', 'seed']\" = 'all', "
    "jobs: 'int' = 1, all_labels: 'bool | None' = None, teacher: 'bool | None' = None, "
    "progress: 'Progress | None' = None) -> 'Comparison'",
    "evaluate": "(student: 'str | Path', config: 'ConfigLike', *, progress: 'Progress | None' = None) -> 'Evaluation'",
    "load_config": "(source: 'str | Path | Mapping[str, Any] | None', overrides: 'Sequence[str]' = (), *, "
    "preset: 'str | None' = None) -> 'Config'",
    "plan": "(config: 'ConfigLike', *, out: 'str | Path | None' = None, ledger: 'str | Path | None' = None, "
    "probe: 'int | None' = None) -> 'Plan'",
    "predict": "(student: 'str | Path', file: 'str | Path', config: 'ConfigLike | None' = None, *, "
    "progress: 'Progress | None' = None) -> 'Rows[dict[str, Any]]'",
    "read_run": "(folder: 'str | Path') -> 'Run'",
    "run": "(config: 'ConfigLike', out: 'str | Path | None' = None, *, progress: 'Progress | None' = None) -> 'RunResult'",
}
CLASSES = {
    "BudgetSettings",
    "Comparison",
    "Config",
    "ConsoleProgress",
    "Evaluation",
    "Example",
    "LimbeckError",
    "Metrics",
    "Plan",
    "Progress",
    "Run",
    "RunResult",
    "Task",
    "Teacher",
    "TeacherSettings",
}


def test_the_public_names() -> None:
    """The public names are these, and each function is callable however often it is looked up."""
    assert set(limbeck.__all__) == CLASSES | set(FUNCTIONS)
    assert all(callable(getattr(limbeck, name)) for _ in range(2) for name in limbeck.__all__)
    assert all(inspect.isclass(getattr(limbeck, name)) for name in CLASSES)
    assert set(limbeck.__all__) <= set(dir(limbeck))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = limbeck.nonsense


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_signatures(name: str) -> None:
    """The functions take these arguments, and their docstrings name each of them."""
    function = getattr(limbeck, name)
    assert str(inspect.signature(function)) == FUNCTIONS[name]
    for argument in inspect.signature(function).parameters:
        assert re.search(rf"\b{argument}\b", function.__doc__ or ""), argument


def test_everything_works_quietly(project: Project, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Planning, running, reading, measuring and predicting take str, Path and plain values, and print nothing."""
    path = project()
    monkeypatch.chdir(path.parent)
    planned = limbeck.plan(str(path), out=path.parent / "run")
    result = limbeck.run(path, "run")
    assert planned.totals.examples == 9
    run = limbeck.read_run("run")
    assert (run.status.state, len(run.examples), run.plan) == ("done", 9, planned)
    assert run.metrics is not None
    assert result.metrics is not None
    assert run.metrics.accuracy_macro == result.metrics.accuracy_macro
    assert [row.state for row in run.requests] == ["done"] * len(run.requests)
    assert run.requests.to_pandas()["purpose"].value_counts().to_dict() == {"annotate": 8, "synthesize": 1}
    assert set(run.examples.to_pandas()["domain"]) == {"big", "mid", "small"}
    assert len(run.rejected.to_pandas()) == len(run.rejected)
    assert len(run.predictions) == 9
    values = json.loads(path.read_text("utf-8"))
    measured = limbeck.evaluate(run.student or "", values)
    assert measured.metrics.accuracy_macro == run.metrics.accuracy_macro
    rows = write_rows(path.parent / "new.jsonl", [{"question": "What is 1 plus 2?"}])
    assert list(limbeck.predict(str(run.student), rows)[0]) == ["question", "prediction", "text"]
    assert capfd.readouterr() == ("", "")


def test_the_student_is_checked_quietly(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries are silent already while a run checks its student, which may convert a packaged model."""
    seen: list[bool] = []

    def check(*settings: object) -> None:
        seen.append(transformers_logging.is_progress_bar_enabled())
        raise limbeck.errors.ConfigError("seen")

    monkeypatch.setattr("limbeck.engines.local.check_student", check)
    transformers_logging.enable_progress_bar()
    try:
        with pytest.raises(limbeck.LimbeckError, match="seen"):
            limbeck.run(project())
    finally:
        transformers_logging.disable_progress_bar()
    assert seen == [False]


def test_a_running_event_loop_is_no_obstacle(project: Project) -> None:
    """Every function works where an event loop is running already, as in a notebook, and leaves the loop as it was."""
    path = project()

    async def use() -> limbeck.RunResult:
        limbeck.plan(path)
        return limbeck.run(path, path.parent / "run")

    assert asyncio.run(use()).student is not None


def test_a_teacher_of_ones_own(tmp_path: Path) -> None:
    """A teacher is opened from settings alone, asks through a ledger under a budget, and pays for no request twice."""
    script = write_rows(tmp_path / "script.jsonl", [{"match": "2 plus 3", "text": "It is 5."}])
    settings = limbeck.TeacherSettings(backend="scripted", model="script", path=script)
    budget = limbeck.BudgetSettings(max_examples=1, max_requests=1)
    for _ in range(2):
        with limbeck.Teacher.open(settings, tmp_path / "ledger.sqlite", budget=budget) as teacher:
            assert teacher.ask("What is 2 plus 3?").text == "It is 5."
            assert teacher.budget.spent.requests == 1


def list_mistakes(folder: Path) -> Iterator[tuple[Callable[..., Any], tuple[Any, ...]]]:
    """Calls that can't work."""
    (folder / "file").write_text("no config: [")
    config = {"name": "x", "data": {"train": str(folder / "none.jsonl"), "test": str(folder / "none.jsonl")}}
    yield limbeck.load_config, (folder / "none.yaml",)
    yield limbeck.load_config, (folder,)
    yield limbeck.load_config, (str(folder / "file"),)
    yield limbeck.load_config, ({"nonsense": 1},)
    yield limbeck.load_config, ({"method": 3},)
    yield limbeck.load_config, ({}, ("a.b",))
    yield limbeck.plan, (config,)
    yield limbeck.run, (config, folder / "run")
    yield limbeck.run, ({**config, "student": {"model": str(folder)}}, folder / "file" / "below")
    yield limbeck.read_run, (folder / "nowhere",)
    yield limbeck.read_run, (folder / "file",)
    yield limbeck.evaluate, (folder, config)
    yield limbeck.evaluate, ("no/such-model", {"task": {"answer": "number"}})
    yield limbeck.predict, (folder / "nowhere", folder / "file")
    yield limbeck.compare, (folder / "file", ("random-label",), (1,))


def test_mistakes_are_errors_of_limbeck(tmp_path: Path) -> None:
    """Whatever is wrong with an argument, the error is one of `limbeck.errors` and says something."""
    for function, arguments in list_mistakes(tmp_path):
        with pytest.raises(limbeck.LimbeckError) as caught:
            function(*arguments)
        assert len(str(caught.value)) > 10, (function, arguments)


@pytest.mark.slow
def test_the_readme_runs_in_a_notebook(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's Python example runs in a real Jupyter kernel, here with a small config in place of the quickstart's."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    path = project()
    (path.parent / "examples").mkdir()
    values = json.loads(path.read_text("utf-8"))
    values["data"] = {split: f"../{file}" for split, file in values["data"].items()}
    values["teacher"]["path"] = "../script.jsonl"
    (path.parent / "examples" / "quickstart.yaml").write_text(json.dumps(values))
    write_rows(path.parent / "new.jsonl", [{"question": "What is 1 plus 2?"}])
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    kernel = KernelManager(kernel_name="python3")
    kernel.start_kernel(cwd=str(path.parent))
    try:
        client = kernel.blocking_client()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        said: list[str] = []
        for cell in code.strip().split("\n\n"):
            reply = client.execute_interactive(
                cell, timeout=240, output_hook=lambda message: said.append(str(message["content"].get("text", "")))
            )
            assert reply["content"]["status"] == "ok", "\n".join(reply["content"].get("traceback", []))
        client.stop_channels()
    finally:
        kernel.shutdown_kernel(now=True)
    text = "".join(said)
    assert "Range(low=" in text
    assert "big" in text
    assert "prediction" in text
    assert (path.parent / "runs" / "quickstart" / "student").is_dir()
