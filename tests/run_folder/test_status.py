"""Specification of `limbeck.run_folder.status`: what was planned stands beside what was really asked, by purpose."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from limbeck.reports.terminal import compare_by_purpose
from limbeck.run_folder.status import sum_planned, sum_spent
from limbeck.teacher.backends.scripted import ScriptedBackend
from limbeck.teacher.client.budget import Budget, BudgetSettings
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.client.teacher import Teacher
from limbeck.teacher.request import About, BackendError, Reply, TeacherRequest
from limbeck.teacher.settings import Prices, TeacherSettings


def test_the_plan_by_purpose_by_hand(tmp_path: Path) -> None:
    """Rows of a plan are summed over stages and domains; unknown money stays unknown, and an older plan says nothing."""
    row = {
        "stage": 0,
        "domain": "a",
        "purpose": "annotate",
        "requests": {"low": 1, "likely": 2, "high": 3},
        "prompt_tokens": {"low": 10, "likely": 20, "high": 30},
        "completion_tokens": {"low": 1, "likely": 1, "high": 1},
        "cost_usd": dict.fromkeys(("low", "likely", "high")),
    }
    (tmp_path / "plan.json").write_text(json.dumps({"requests": [row, {**row, "stage": 1}]}), "utf-8")
    found = sum_planned(tmp_path / "plan.json")
    assert found is not None
    assert found["annotate"]["tokens"] == {"low": 22, "likely": 42, "high": 62}
    assert found["annotate"]["cost_usd"] == {"low": None, "likely": None, "high": None}
    (tmp_path / "plan.json").write_text(json.dumps({"totals": {}}), "utf-8")
    assert sum_planned(tmp_path / "plan.json") is None
    assert sum_planned(tmp_path / "missing.json") is None


def test_spend_by_purpose_is_that_of_the_caps(tmp_path: Path) -> None:
    """A lost reply counts with all that was reserved for it, by purpose as in the sum; both are shown beside the plan."""

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
    spent = sum_spent(tmp_path / "ledger.sqlite")
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
    assert sum_spent(tmp_path / "missing.sqlite") == {}
