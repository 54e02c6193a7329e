"""Specification of `limbeck.run_folder.status`: what was planned is shown next to what was asked, by purpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from limbeck.errors import DataError
from limbeck.reports.terminal import compare_by_purpose
from limbeck.run_folder.folder import RunFolder
from limbeck.run_folder.plan import Plan, PlannedRequests, PlanTotals, Range
from limbeck.run_folder.read import read_run
from limbeck.run_folder.rows import Rows
from limbeck.run_folder.status import read_status, sum_planned, sum_spent
from limbeck.system.files import write_json
from limbeck.teacher.backends.scripted import ScriptedBackend
from limbeck.teacher.client.budget import Budget, BudgetSettings
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.client.teacher import Teacher
from limbeck.teacher.request import About, BackendError, Reply, TeacherRequest
from limbeck.teacher.settings import Prices, TeacherSettings

NO_TOTALS = {"examples": 0, "real": 0, "synthesize": 0, "duplicate": 0, "missing": 0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda facts: {}, r"the key 'method' is missing"),
        (lambda facts: {name: value for name, value in facts.items() if name != "step"}, r"the key 'step' is missing"),
        (lambda facts: {**facts, "totals": NO_TOTALS}, r"the key 'requests' is missing"),
        (lambda facts: {**facts, "requests": None}, "not have the form that limbeck writes"),
        (lambda facts: [facts], "expected an object, found list"),
    ],
)
def test_a_damaged_plan_is_a_data_error(tmp_path: Path, change: Callable[[Mapping[str, Any]], object], message: str) -> None:
    """A plan file of another form is a data error that names the file, what is missing and the remedy."""
    totals = PlanTotals(0, 0, 0, 0, 0, *[Range(0, 0, 0)] * 2, None, Range(0, 0, 0))
    plan = Plan("baldistill", "stage", {}, [], Rows(), totals)
    folder = RunFolder(tmp_path)
    folder.plan.write(change(plan.to_json()))
    folder.update_state(status="done", domains={})
    for read in (folder.plan.read, lambda: sum_planned(folder), lambda: read_run(tmp_path).plan):
        with pytest.raises(DataError, match=rf"plan\.json: .*{message}.*; delete it, so that the run plans again"):
            read()


def test_a_state_that_is_no_object_is_a_data_error(tmp_path: Path) -> None:
    """A run.json that is JSON but not an object is a data error that names the file and the remedy."""
    write_json(tmp_path / "run.json", [1])
    for read in (read_run, read_status):
        with pytest.raises(DataError, match=r"run\.json: expected an object, found list; .*choose another --out"):
            read(tmp_path)


def test_the_plan_by_purpose_by_hand(tmp_path: Path) -> None:
    """A plan's rows are summed over stages and domains; an unknown cost stays unknown, and no plan gives None."""
    row = PlannedRequests(0, "a", "annotate", Range(1, 2, 3), Range(10, 20, 30), Range(1, 1, 1), None)
    totals = PlanTotals(0, 0, 0, 0, 0, *[Range(0, 0, 0)] * 2, None, Range(0, 0, 0))
    plan = Plan("baldistill", "stage", {}, [], Rows([row, replace(row, stage=1)]), totals)
    folder = RunFolder(tmp_path)
    assert sum_planned(folder) is None
    folder.plan.write(plan.to_json())
    found = sum_planned(folder)
    assert found is not None
    assert found["annotate"]["tokens"] == {"low": 22, "likely": 42, "high": 62}
    assert found["annotate"]["cost_usd"] == {"low": None, "likely": None, "high": None}


def test_spend_by_purpose_is_that_of_the_caps(tmp_path: Path) -> None:
    """A lost reply counts with all that was reserved for it, by purpose and in total, and is shown next to the plan."""

    def answer(request: TeacherRequest) -> Reply | BackendError:
        lost = BackendError("lost", is_maybe_paid=True)
        return lost if request.about.purpose == "synthesize" else Reply("text", "m", "stop", 30, 7)

    ledger = Ledger(tmp_path / "ledger.sqlite")
    settings = TeacherSettings(
        backend="scripted", model="m", max_tokens=50, prices=Prices(prompt_usd_per_mtok=1e6, completion_usd_per_mtok=1e6)
    )
    with Teacher(ScriptedBackend(answer), ledger, Budget(BudgetSettings(max_examples=1)), settings) as teacher:
        teacher.ask_many([teacher.make_request(purpose, About(purpose, 0, "a")) for purpose in ("annotate", "synthesize")])
    whole = ledger.sum_spend()
    ledger.close()
    spent = sum_spent(RunFolder(tmp_path))
    assert spent["annotate"] == {"requests": 1, "tokens": 37, "prompt_tokens": 30, "completion_tokens": 7, "cost_usd": 37}
    assert spent["synthesize"]["tokens"] == 10 + 16 + 50
    assert sum(entry["tokens"] for entry in spent.values()) == whole.tokens
    assert sum(entry["cost_usd"] for entry in spent.values()) == pytest.approx(whole.cost_usd)
    bounds = {"low": 1, "likely": 2.4, "high": 3}
    planned = dict.fromkeys(("requests", "prompt_tokens", "completion_tokens", "cost_usd"), bounds)
    console = Console(width=100)
    with console.capture() as shown:
        console.print(compare_by_purpose({"annotate": planned}, spent))
    lines = [line.split() for line in shown.get().splitlines() if line.strip()]
    assert ["annotate", "requests", "1", "2", "3", "1"] in lines
    assert ["USD", "1.0000", "2.4000", "3.0000", "37.0000"] in lines
    assert ["synthesize", "requests", "0", "0", "0", "1"] in lines
    assert sum_spent(RunFolder(tmp_path / "missing")) == {}
