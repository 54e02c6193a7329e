"""Replies shared by several runs: sent once, charged to each run, and safe across processes."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import make_example

from limbeck.errors import StorageError
from limbeck.teacher.backends.scripted import ScriptedBackend
from limbeck.teacher.backends.shared import SharedBackend, count_shared, open_replies
from limbeck.teacher.client.budget import Budget, BudgetSettings
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.client.teacher import Teacher
from limbeck.teacher.request import About, BackendError, Reply, TeacherRequest
from limbeck.teacher.settings import TeacherSettings


def make_request(text: str = "2 + 2?", sample: int = 0) -> TeacherRequest:
    return TeacherRequest("m", ({"role": "user", "content": text},), {"max_tokens": 9}, About("annotate", 0, "d"), sample)


def test_a_second_run_is_charged_and_asks_nothing(tmp_path: Path) -> None:
    """If two runs share a file, the teacher is asked once, and both ledgers store and charge the whole reply."""
    asked = 0
    for name in ("one", "two"):
        script = ScriptedBackend(lambda request: Reply("4", "m", "stop", 7, 3))
        budget = Budget(BudgetSettings(max_examples=1))
        ledger = Ledger(tmp_path / f"{name}.sqlite")
        with Teacher(SharedBackend(script, tmp_path / "r.sqlite", 5), ledger, budget, TeacherSettings()) as teacher:
            about = About("annotate", 0, "d", (make_example("2 + 2?"),))
            (outcome,) = teacher.ask_many([teacher.make_request("2 + 2?", about)])
        assert outcome.reply is not None
        assert outcome.reply.text == "4"
        assert (budget.spent.requests, budget.spent.tokens) == (1, 10)
        assert ledger.sum_spend() == budget.spent
        ledger.close()
        asked += len(script.asked)
    assert asked == 1
    assert count_shared(tmp_path / "r.sqlite") == {
        "requests": 1,
        "replies": 1,
        "prompt_tokens": 7,
        "completion_tokens": 3,
        "cached_tokens": 0,
    }


def test_requests_under_way_are_waited_for(tmp_path: Path) -> None:
    """While one run waits for a reply, others that need the same one wait too, and another sample is another request."""
    sent = []

    class Slow(ScriptedBackend):
        async def send(self, request: TeacherRequest) -> Reply:
            sent.append(request.sample)
            await asyncio.sleep(0.1)
            return Reply(f"reply {len(sent)}", "m")

    async def ask() -> list[Reply]:
        runs = [SharedBackend(Slow(lambda request: ""), tmp_path / "r.sqlite", 5) for _ in range(3)]
        replies = await asyncio.gather(*(run.send(make_request()) for run in runs), runs[0].send(make_request(sample=1)))
        for run in runs:
            await run.close()
        return replies

    replies = asyncio.run(ask())
    assert sorted(sent) == [0, 1]
    assert len({reply.text for reply in replies[:3]}) == 1


def test_failures_are_not_shared_and_free_the_request(tmp_path: Path) -> None:
    """A failed attempt is counted and can be repeated at once, and one that was never sent is not counted."""
    said = iter([BackendError("lost", is_maybe_paid=True), BackendError("down", is_unsent=True), "4"])
    shared = SharedBackend(ScriptedBackend(lambda request: next(said)), tmp_path / "r.sqlite", 5)
    for message in ("lost", "down"):
        with pytest.raises(BackendError, match=message):
            asyncio.run(shared.send(make_request()))
    assert asyncio.run(shared.send(make_request())).text == "4"
    assert (count_shared(tmp_path / "r.sqlite")["requests"], count_shared(tmp_path / "r.sqlite")["replies"]) == (2, 1)


def test_the_claim_of_a_dead_run_ends(tmp_path: Path) -> None:
    """A request that a killed run had claimed is sent by another run once the claim expires."""
    db = open_replies(tmp_path / "r.sqlite")
    db.execute("INSERT INTO replies VALUES (?, NULL, 'somebody dead', 1.0, 1)", (make_request().key,))
    db.close()
    shared = SharedBackend(ScriptedBackend(lambda request: "4"), tmp_path / "r.sqlite", 5)
    assert asyncio.run(asyncio.wait_for(shared.send(make_request()), 5)).text == "4"
    assert count_shared(tmp_path / "r.sqlite")["requests"] == 2


def test_processes_share_a_file(tmp_path: Path) -> None:
    """Four processes that make the same forty requests at once send forty in all and get the same replies."""
    code = f"""
import asyncio, os, sys
from pathlib import Path
from limbeck.teacher.backends.scripted import ScriptedBackend
from limbeck.teacher.backends.shared import SharedBackend
from limbeck.teacher.request import About, TeacherRequest
shared = SharedBackend(ScriptedBackend(lambda request: str(os.getpid())), Path({str(tmp_path / "r.sqlite")!r}), 30)
async def ask():
    requests = [TeacherRequest("m", ({{"role": "user", "content": str(i)}},), {{"max_tokens": 9}}, About("a", 0, "d"))
                for i in range(40)]
    print([reply.text for reply in await asyncio.gather(*map(shared.send, requests))])
asyncio.run(ask())
"""
    runs = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    outputs = {run.communicate(timeout=60)[0] for run in runs}
    assert {run.returncode for run in runs} == {0}
    assert len(outputs) == 1
    assert count_shared(tmp_path / "r.sqlite")["requests"] == 40


def test_a_damaged_file_is_said(tmp_path: Path) -> None:
    """A file that is not a database is an error with its path."""
    (tmp_path / "r.sqlite").write_text("no database " * 100)
    shared = SharedBackend(ScriptedBackend(lambda request: "4"), tmp_path / "r.sqlite", 5)
    with pytest.raises(StorageError, match=r"r\.sqlite: the shared replies can't be read or written") as error:
        asyncio.run(shared.send(make_request()))
    assert isinstance(error.value.__cause__, sqlite3.Error)
