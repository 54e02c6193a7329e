"""Specification of `limbeck.teacher.client.ledger`: what is durable when, what a broken disk costs, and how it is reported."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from limbeck.errors import DataError, StorageError
from limbeck.teacher.client.budget import Budget, BudgetSettings, Spend
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.client.teacher import Teacher
from limbeck.teacher.request import About, Backend, BackendError, Reply, TeacherRequest
from limbeck.teacher.settings import TeacherSettings


def make_request(text: str) -> TeacherRequest:
    return TeacherRequest("m", ({"role": "user", "content": text},), {"max_tokens": 5}, About("annotate", 0, "d"))


async def write(ledger: Ledger, text: str) -> None:
    request = make_request(text)
    number = await ledger.write_intent(request, Spend(1, 22, 0.5))
    await ledger.write_reply(request, number, Reply(f"to {text}", "m", "stop", 3, 4, "", 2, 1), 0.25)


class Slow(Backend):
    """Answers all requests at the same time."""

    async def send(self, request: TeacherRequest) -> Reply:
        await asyncio.sleep(0.01)
        return Reply("x", "m")


@pytest.mark.parametrize("is_read_only", [False, True])
def test_a_ledger_with_other_columns_is_refused(tmp_path: Path, is_read_only: bool) -> None:
    """A ledger that lacks columns is refused when it is opened, before anything is asked, and the file stays as it is."""
    path = tmp_path / "ledger.sqlite"
    Ledger(path).close()
    db = sqlite3.connect(path)
    for column in ("reasoning_tokens", "cached_tokens"):
        db.execute(f"ALTER TABLE requests DROP COLUMN {column}")
    db.execute("ALTER TABLE requests ADD COLUMN colour TEXT")
    db.commit()
    db.close()
    before = path.read_bytes()
    message = r"ledger\.sqlite: .* missing: cached_tokens, reasoning_tokens; unknown: colour\. .*choose another --out"
    with pytest.raises(DataError, match=message):
        Ledger(path, is_read_only=is_read_only)
    assert path.read_bytes() == before


def test_writes_that_come_together_are_one_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred requests at once take a few commits, not two hundred: each contains what arrived during the last one."""
    sizes: list[int] = []
    commit = Ledger._commit

    def watch(book: Ledger, writes: Sequence[Callable[[sqlite3.Connection], Any]]) -> list[Any]:
        sizes.append(len(writes))
        return commit(book, writes)

    monkeypatch.setattr(Ledger, "_commit", watch)
    settings = TeacherSettings(backend="scripted", model="m", max_tokens=5, max_concurrency=100)
    ledger = Ledger(tmp_path / "ledger.sqlite")
    with Teacher(Slow(), ledger, Budget(BudgetSettings(max_examples=9)), settings) as teacher:
        teacher.ask_many([teacher.make_request(str(n), About("annotate", 0, "d")) for n in range(100)])
    ledger.close()
    assert sum(sizes) == 200
    assert len(sizes) <= 40


def test_what_is_awaited_is_durable(tmp_path: Path) -> None:
    """Once a write has returned, another connection reads it, with all its figures."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    asyncio.run(write(ledger, "q"))
    other = sqlite3.connect(tmp_path / "ledger.sqlite")
    query = "SELECT state, attempt, prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens, cost_usd FROM requests"
    assert other.execute(query).fetchall() == [("done", 1, 3, 4, 2, 1, 0.25)]
    other.close()
    ledger.close()


def test_a_failed_group_leaves_nothing_and_names_each_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the disk refuses a commit, no write of its group is stored, and each error names its own request."""
    ledger = Ledger(tmp_path / "ledger.sqlite")

    def refuse(db: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    async def run() -> list[BaseException | None]:
        requests = [make_request("a"), make_request("b")]
        intents = [ledger.write_intent(request, Spend(1, 22, 0.0)) for request in requests]
        broken = ledger._write(refuse, make_request("c"))
        return await asyncio.gather(*intents, broken, return_exceptions=True)  # type: ignore[return-value]

    said = asyncio.run(run())
    assert all(isinstance(error, StorageError) for error in said)
    assert [make_request(text).key[:12] in str(error) for text, error in zip("abc", said, strict=True)] == [True] * 3
    assert list(ledger.list_requests()) == []
    ledger.close()


def test_what_no_column_can_hold_is_an_error_and_no_wait(tmp_path: Path) -> None:
    """A number that SQLite can't store makes its write fail at once and leaves the ledger unchanged and writable."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    with pytest.raises(OverflowError):
        asyncio.run(ledger.write_intent(make_request("huge"), Spend(1, 2**70, 0.0)))
    asyncio.run(write(ledger, "q"))
    assert [row["state"] for row in ledger.list_requests()] == ["done"]
    ledger.close()


def test_what_has_arrived_is_stored_whatever_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replies that have arrived when a run is interrupted are in its ledger, even if a commit takes long."""
    arrived: list[str] = []
    commit = Ledger._commit

    def commit_slowly(book: Ledger, writes: Sequence[Callable[[sqlite3.Connection], Any]]) -> list[Any]:
        time.sleep(0.05)
        return commit(book, writes)

    class Interrupted(Backend):
        async def send(self, request: TeacherRequest) -> Reply:
            await asyncio.sleep(0.01)
            arrived.append(request.key)
            if len(arrived) == 5:
                asyncio.get_running_loop().call_later(0.02, signal.raise_signal, signal.SIGINT)
            return Reply("x", "m")

    monkeypatch.setattr(Ledger, "_commit", commit_slowly)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # background processes may ignore it
    settings = TeacherSettings(backend="scripted", model="m", max_tokens=5, max_concurrency=5)
    ledger = Ledger(tmp_path / "ledger.sqlite")
    teacher = Teacher(Interrupted(), ledger, Budget(BudgetSettings(max_examples=9)), settings)
    with pytest.raises(KeyboardInterrupt), teacher:
        teacher.ask_many([teacher.make_request(str(n), About("annotate", 0, "d")) for n in range(100)])
    signal.signal(signal.SIGINT, before)
    done = {row["key"] for row in ledger.list_requests(("done",))}
    ledger.close()
    assert set(arrived) <= done


def test_a_torn_last_write_loses_that_write_only(tmp_path: Path) -> None:
    """A log whose last commit is torn, as after a power cut, is read up to the commit before."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    for text in ("a", "b", "c"):
        asyncio.run(write(ledger, text))
    torn = tmp_path / "torn"
    torn.mkdir()
    shutil.copy(ledger.path, torn)
    log = (tmp_path / "ledger.sqlite-wal").read_bytes()
    (torn / "ledger.sqlite-wal").write_bytes(log[:-2000] + b"\xff" * 2000)
    ledger.close()
    again = Ledger(torn / "ledger.sqlite")
    assert again.mark_unknown() == 1  # the intent of "c" was committed before its reply
    found = [again.read_reply(make_request(text).key) for text in ("a", "b", "c")]
    assert [None if reply is None else reply.text for reply in found] == ["to a", "to b", None]
    again.close()


def test_a_damaged_page_is_an_error_and_nothing_is_overwritten(tmp_path: Path) -> None:
    """A ledger with a damaged page is refused with its path and the remedy, and its bytes stay unchanged."""
    ledger = Ledger(tmp_path / "ledger.sqlite")

    async def fill() -> None:
        for n in range(60):
            await write(ledger, f"{n} " + "x" * 400)

    asyncio.run(fill())
    ledger.close()
    data = bytearray(ledger.path.read_bytes())
    data[-4096:] = os.urandom(4096)
    ledger.path.write_bytes(data)
    with pytest.raises(StorageError, match=r"ledger\.sqlite: .*damaged pages.*restore the file"):
        Ledger(ledger.path)
    assert ledger.path.read_bytes() == data


def test_a_clock_that_jumps_back_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Setting the wall clock back a day between intent and reply, and between attempts, changes neither states nor sums."""
    wall = iter([2e9, 2e9 - 86_400, 2e9 - 1, 5.0, 6.0, 7.0])
    monkeypatch.setattr(time, "time", lambda: next(wall))
    ledger = Ledger(tmp_path / "ledger.sqlite")
    request = make_request("q")

    async def run() -> None:
        number = await ledger.write_intent(request, Spend(1, 22, 0.5))
        await ledger.write_failure(request, number, BackendError("lost", is_maybe_paid=True))
        await write(ledger, "q")

    asyncio.run(run())
    assert sorted((row["attempt"], row["state"]) for row in ledger.list_requests()) == [(1, "unknown"), (2, "done")]
    assert ledger.sum_spend() == Spend(2, 29, 0.75)
    ledger.close()


def test_a_moved_folder_goes_on(tmp_path: Path) -> None:
    """A ledger that is moved together with its log answers as before."""
    (tmp_path / "here").mkdir()
    ledger = Ledger(tmp_path / "here" / "ledger.sqlite")
    asyncio.run(write(ledger, "q"))
    shutil.copytree(tmp_path / "here", tmp_path / "there")  # while it is open, as after a crash: the log is not merged
    ledger.close()
    again = Ledger(tmp_path / "there" / "ledger.sqlite")
    reply = again.read_reply(make_request("q").key)
    assert reply is not None
    assert (reply.text, reply.reasoning_tokens, reply.cached_tokens) == ("to q", 2, 1)
    again.close()


def test_a_folder_that_became_read_only_is_said(tmp_path: Path) -> None:
    """Once the ledger has become read-only, the next intent is refused before anything is sent."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    asyncio.run(write(ledger, "q"))
    ledger.close()
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger._writer = sqlite3.connect(f"{ledger.path.as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)
    with pytest.raises(StorageError, match=r"readonly database.*The request in flight \(annotate, stage 0, domain 'd'"):
        asyncio.run(ledger.write_intent(make_request("r"), Spend(1, 22, 0.0)))
    assert len(list(ledger.list_requests())) == 1
    ledger.close()
