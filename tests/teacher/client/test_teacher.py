"""Asking: the ledger answers first, caps are kept, failures are recorded, and order never matters."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import BudgetExhausted, ConfigError, DataError, StorageError, TeacherError
from limbeck.teacher.backends.scripted import ScriptedBackend
from limbeck.teacher.client import teacher as teacher_module
from limbeck.teacher.client.budget import Budget, BudgetSettings, Spend
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.client.teacher import Teacher
from limbeck.teacher.request import About, BackendError, Reply, TeacherRequest
from limbeck.teacher.settings import Prices, TeacherSettings

PRICES = Prices(prompt_usd_per_mtok=1.0, completion_usd_per_mtok=2.0)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher_module, "FIRST_BACKOFF_S", 0.0)


def make_teacher(
    path: Path, script: Callable[[TeacherRequest], str | Reply | BaseException], *, prices: Prices | None = None, **caps: float
) -> tuple[Teacher, ScriptedBackend]:
    """A teacher over the ledger at `path`, with the caps given."""
    backend = ScriptedBackend(script)
    ledger = Ledger(path)
    budget = Budget(BudgetSettings(max_examples=100, **caps), ledger.sum_spend())  # type: ignore[arg-type]
    return Teacher(
        backend, ledger, budget, TeacherSettings(backend="scripted", model="m", prices=prices, max_tokens=10)
    ), backend


def make_requests(teacher: Teacher, texts: list[str]) -> list[TeacherRequest]:
    return [teacher.make_request(text, About("annotate", 0, "d")) for text in texts]


def test_key_is_the_hash_of_what_is_sent() -> None:
    """The key depends on model, messages, sampling and sample index, and on nothing that is not sent."""
    base = TeacherRequest(
        "m", ({"role": "user", "content": "q"},), {"temperature": 0.0, "max_tokens": 5}, About("annotate", 0, "d")
    )
    same = TeacherRequest(
        "m", ({"role": "user", "content": "q"},), {"max_tokens": 5, "temperature": 0.0}, About("verify", 3, "e")
    )
    assert base.key == same.key
    others = [
        TeacherRequest("n", base.messages, base.sampling, base.about),
        TeacherRequest("m", ({"role": "user", "content": "Q"},), base.sampling, base.about),
        TeacherRequest("m", base.messages, {"temperature": 0.1, "max_tokens": 5}, base.about),
        TeacherRequest("m", base.messages, base.sampling, base.about, sample=1),
    ]
    assert len({base.key, *(other.key for other in others)}) == 5


def test_token_bound_by_hand() -> None:
    """The bound of a request is its UTF-8 bytes plus 16 per message plus the reply's limit."""
    request = TeacherRequest("m", ({"role": "user", "content": "ab×"},), {"max_tokens": 10}, About("annotate", 0, "d"))
    assert request.token_bound == 4 + 16 + 10


def test_outcomes_come_in_the_order_asked(tmp_path: Path) -> None:
    """Replies that arrive in reverse order are returned in the order of the requests."""

    class Reversed(ScriptedBackend):
        async def send(self, request: TeacherRequest) -> Reply:
            await asyncio.sleep(0.002 * (9 - int(request.messages[0]["content"])))
            return await super().send(request)

    teacher, _ = make_teacher(tmp_path / "ledger.sqlite", lambda request: "")
    teacher.backend = Reversed(lambda request: "reply to " + request.messages[0]["content"])
    texts = [str(n) for n in range(10)]
    outcomes = teacher.ask_many(make_requests(teacher, texts))
    assert [outcome.reply.text for outcome in outcomes if outcome.reply] == [f"reply to {text}" for text in texts]


def test_a_spent_cap_stays_spent(tmp_path: Path) -> None:
    """Once a cap does not allow a request, none that follow are sent, even if smaller ones are in flight."""

    class Slow(ScriptedBackend):
        async def send(self, request: TeacherRequest) -> Reply:
            await asyncio.sleep(0.01)
            return await super().send(request)

    teacher, _ = make_teacher(tmp_path / "ledger.sqlite", lambda request: "x", max_tokens=1000)
    teacher.backend = Slow(lambda request: Reply("x", "m", "stop", 100, 10))
    outcomes = teacher.ask_many(make_requests(teacher, ["a" * 800, "b" * 2000, *(f"{n}" * 200 for n in range(6))]))
    reasons = [outcome.reason for outcome in outcomes]
    assert reasons[1] == "budget"
    assert isinstance(teacher.budget.exhausted, BudgetExhausted)
    assert set(reasons[reasons.index("budget") :]) == {"budget"}


def test_second_run_asks_nothing(tmp_path: Path) -> None:
    """A reply in the ledger answers the same request in a later process without sending or spending anything."""
    first, backend = make_teacher(tmp_path / "ledger.sqlite", lambda request: "four")
    first.ask_many(make_requests(first, ["2 + 2", "3 + 1"]))
    first.ledger.close()
    second, silent = make_teacher(tmp_path / "ledger.sqlite", lambda request: "five")
    outcomes = second.ask_many(make_requests(second, ["3 + 1", "2 + 2"]))
    assert [outcome.reply.text for outcome in outcomes if outcome.reply] == ["four", "four"]
    assert (len(backend.asked), len(silent.asked), second.budget.spent.requests) == (2, 0, 2)


def test_equal_requests_are_sent_once(tmp_path: Path) -> None:
    """The same request twice in one call is sent once, and both get its reply."""
    teacher, backend = make_teacher(tmp_path / "ledger.sqlite", lambda request: "x")
    outcomes = teacher.ask_many(make_requests(teacher, ["same", "same"]))
    assert [bool(outcome.reply) for outcome in outcomes] == [True, True]
    assert len(backend.asked) == 1


def test_equal_requests_keep_what_they_are_about(tmp_path: Path) -> None:
    """Two examples with the same prompt share one paid reply, and each outcome is about its own example."""
    teacher, backend = make_teacher(tmp_path / "ledger.sqlite", lambda request: "x")
    outcomes = teacher.ask_many([teacher.make_request("same", About("annotate", 0, domain)) for domain in ("a", "b")])
    assert [outcome.request.about.domain for outcome in outcomes] == ["a", "b"]
    assert len(backend.asked) == 1


def test_ledger_paths_may_hold_any_character(tmp_path: Path) -> None:
    """A ledger in a folder whose name contains `#`, `?` or `%` can be read."""
    folder = tmp_path / "lr#2 ?50%"
    folder.mkdir()
    teacher, _ = make_teacher(folder / "ledger.sqlite", lambda request: "x")
    teacher.ask_many(make_requests(teacher, ["q"]))
    teacher.ledger.close()
    assert [row["done"] for row in Ledger(folder / "ledger.sqlite", is_read_only=True).summarize()] == [1]


def test_broken_characters_of_a_reply_are_marked(tmp_path: Path) -> None:
    """A lone surrogate in a reply is stored as a question mark instead of ending the run."""
    teacher, _ = make_teacher(tmp_path / "ledger.sqlite", lambda request: "a\ud800b")
    (outcome,) = teacher.ask_many(make_requests(teacher, ["q"]))
    assert outcome.reply is not None
    assert outcome.reply.text == "a?b"


def test_reply_is_durable_with_its_facts(tmp_path: Path) -> None:
    """A row of the ledger contains request, reply, the model that answered, tokens, cost, times and what it was about."""
    reply = Reply("ok", "m-2024", "stop", prompt_tokens=100, completion_tokens=50)
    teacher, _ = make_teacher(tmp_path / "ledger.sqlite", lambda request: reply, prices=PRICES)
    teacher.ask_many(make_requests(teacher, ["q"]))
    (row,) = teacher.ledger.list_requests()
    assert (row["state"], row["attempt"], row["purpose"], row["stage"], row["domain"]) == ("done", 1, "annotate", 0, "d")
    assert (row["model"], row["finish_reason"], row["prompt_tokens"], row["completion_tokens"]) == ("m-2024", "stop", 100, 50)
    assert row["cost_usd"] == pytest.approx(100e-6 + 2 * 50e-6)
    assert row["sent_at"] <= row["done_at"]


def test_intent_is_written_before_the_request_leaves(tmp_path: Path) -> None:
    """While a request is at the teacher, another connection sees its intent in the ledger."""
    seen: list[str] = []

    def look(request: TeacherRequest) -> str:
        with sqlite3.connect(tmp_path / "ledger.sqlite") as db:
            seen.extend(row[0] for row in db.execute("SELECT state FROM requests"))
        return "x"

    teacher, _ = make_teacher(tmp_path / "ledger.sqlite", look)
    teacher.ask_many(make_requests(teacher, ["q"]))
    assert seen == ["intent"]


def test_crash_leaves_unknown_and_asks_again_once(tmp_path: Path) -> None:
    """A request in flight when its process died is `unknown`, counts as spent in full, and is asked once more."""
    first, _ = make_teacher(tmp_path / "ledger.sqlite", lambda request: KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        first.ask_many(make_requests(first, ["q"]))
    first.ledger.close()
    ledger = Ledger(tmp_path / "ledger.sqlite")
    assert ledger.mark_unknown() == 1
    assert ledger.sum_spend() == Spend(1, 1 + 16 + 10, 0.0)
    ledger.close()
    second, backend = make_teacher(tmp_path / "ledger.sqlite", lambda request: "x")
    second.ask_many(make_requests(second, ["q"]))
    assert [(row["state"], row["attempt"]) for row in second.ledger.list_requests()] == [("unknown", 1), ("done", 2)]
    assert len(backend.asked) == 1


def test_transient_failures_are_asked_again_and_all_attempts_counted(tmp_path: Path) -> None:
    """Two transient failures and a reply count as three attempts in the ledger and three requests in the budget."""
    said = iter([BackendError("busy", is_transient=True), BackendError("busy", is_transient=True), "x"])
    teacher, _ = make_teacher(tmp_path / "ledger.sqlite", lambda request: next(said))
    (outcome,) = teacher.ask_many(make_requests(teacher, ["q"]))
    assert outcome.reply is not None
    assert [row["state"] for row in teacher.ledger.list_requests()] == ["failed", "failed", "done"]
    assert teacher.budget.spent.requests == 3


def test_lasting_failure_is_not_asked_again(tmp_path: Path) -> None:
    """A request whose failure a retry can't fix is sent once and comes back with its reason, next to the replies."""
    script = lambda request: BackendError("bad request", is_transient=False) if "bad" in request.messages[0]["content"] else "x"  # noqa: E731
    teacher, backend = make_teacher(tmp_path / "ledger.sqlite", script)
    bad, good = teacher.ask_many(make_requests(teacher, ["bad", "good"]))
    assert (bad.reason, bad.detail, bad.reply) == ("failed", "bad request", None)
    assert good.reply is not None
    assert len(backend.asked) == 2


def test_a_teacher_that_fails_everything_is_an_error(tmp_path: Path) -> None:
    """When every request fails, the run stops with the teacher's last error instead of spending more."""
    teacher, _ = make_teacher(tmp_path / "ledger.sqlite", lambda request: BackendError("no such key", is_transient=False))
    with pytest.raises(TeacherError, match=r"all 2 requests failed.*no such key"):
        teacher.ask_many(make_requests(teacher, ["a", "b"]))


def test_a_few_failures_after_replies_are_no_end(tmp_path: Path) -> None:
    """A teacher that has answered before may fail a small batch without ending the run, but not a large one."""
    script = lambda request: BackendError("no", is_transient=False) if "bad" in request.messages[0]["content"] else "x"  # noqa: E731
    teacher, _ = make_teacher(tmp_path / "ledger.sqlite", script)
    teacher.ask_many(make_requests(teacher, ["good"]))
    assert [outcome.reason for outcome in teacher.ask_many(make_requests(teacher, ["bad"]))] == ["failed"]
    with pytest.raises(TeacherError, match="all 8 requests failed"):
        teacher.ask_many(make_requests(teacher, [f"bad {n}" for n in range(8)]))


def test_request_cap_holds(tmp_path: Path) -> None:
    """With a cap of three requests, five are asked, three leave, and two come back with the reason `budget`."""
    teacher, backend = make_teacher(tmp_path / "ledger.sqlite", lambda request: "x", max_requests=3)
    outcomes = teacher.ask_many(make_requests(teacher, list("abcde")))
    assert [outcome.reason for outcome in outcomes] == ["", "", "", "budget", "budget"]
    assert len(backend.asked) == 3
    assert isinstance(teacher.budget.exhausted, BudgetExhausted)
    assert (teacher.budget.exhausted.cap, teacher.budget.exhausted.limit, teacher.budget.exhausted.spent) == (
        "max_requests",
        3,
        3,
    )


def test_over_reservation_is_given_back_before_giving_up(tmp_path: Path) -> None:
    """Requests that reserve more than they use wait for each other, so over-reservation leaves no cap unused."""
    reply = Reply("ok", "m", prompt_tokens=1, completion_tokens=1)
    # Each reserves 1 + 16 + 10 = 27 tokens and uses 2: a cap of 35 allows five of them, one after the other.
    teacher, backend = make_teacher(tmp_path / "ledger.sqlite", lambda request: reply, max_tokens=35)
    outcomes = teacher.ask_many(make_requests(teacher, list("abcde")))
    assert [outcome.reason for outcome in outcomes] == [""] * 5
    assert (len(backend.asked), teacher.budget.spent.tokens, teacher.budget.reserved) == (5, 10, Spend())


def test_money_cap_needs_prices(tmp_path: Path) -> None:
    """A money cap with an unknown price is a config error before anything is asked."""
    with pytest.raises(ConfigError, match=r"max_cost_usd = 1.*prices"):
        make_teacher(tmp_path / "ledger.sqlite", lambda request: "x", max_cost_usd=1.0)


@dataclass
class Counted:
    """A server that treats each request by its fate, after so many turns of the loop, and counts the spend."""

    fates: list[Fate]
    requests: int = 0
    tokens: int = 0
    hashes: Mapping[str, str] = field(default_factory=dict)

    async def send(self, request: TeacherRequest) -> Reply:
        fate = self.fates[int(request.messages[0]["content"])]
        for _ in range(fate.turns):
            await asyncio.sleep(0)
        self.requests += fate.kind != "unsent"
        prompt, completion = (
            int(share * bound)
            for share, bound in zip(fate.shares, (request.token_bound - 10, request.reply_token_bound), strict=True)
        )
        if fate.kind == "reply":
            self.tokens += prompt + completion
            return Reply("x", "m", "stop", prompt, completion)
        raise BackendError(
            "no",
            is_transient=fate.kind != "lasting",
            is_maybe_paid=fate.kind == "lost",
            is_unsent=fate.kind == "unsent",
            is_throttled=fate.kind == "throttled",
        )

    def can_answer(self, about: About) -> bool:
        return True

    async def close(self) -> None:
        return


@dataclass(frozen=True)
class Fate:
    """What happens to a request, how long it takes, and which shares of the bounds its reply costs."""

    kind: str
    turns: int
    shares: tuple[float, float]


FATES = st.builds(
    Fate,
    st.sampled_from(["reply", "reply", "transient", "lasting", "lost", "unsent", "throttled"]),
    st.integers(0, 6),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
)


@settings(max_examples=500, deadline=None)
@given(
    fates=st.lists(FATES, max_size=20),
    prices=st.tuples(st.floats(0, 100), st.floats(0, 100)),
    concurrency=st.integers(1, 20),
    max_requests=st.none() | st.integers(0, 40),
    max_tokens=st.none() | st.integers(0, 800),
    max_cost_usd=st.none() | st.floats(0, 0.02),
)
def test_no_cap_is_ever_passed(
    fates: list[Fate],
    prices: tuple[float, float],
    concurrency: int,
    max_requests: int | None,
    max_tokens: int | None,
    max_cost_usd: float | None,
) -> None:
    """With any failures, costs and order, the spend stays within every cap, and ledger, budget and server agree."""
    caps = {"max_requests": max_requests, "max_tokens": max_tokens, "max_cost_usd": max_cost_usd}
    budget = Budget(BudgetSettings(max_examples=100, **caps))  # type: ignore[arg-type]
    memory = Path("/dev/shm")  # noqa: S108 (thousands of commits, and nothing here is about a disk)
    folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    server, ledger = Counted(fates), Ledger(folder / "ledger.sqlite")
    config = TeacherSettings(
        backend="scripted",
        model="m",
        max_tokens=10,
        deadline_s=0.001,
        max_attempts=3,
        max_concurrency=concurrency,
        prices=Prices(prompt_usd_per_mtok=prices[0], completion_usd_per_mtok=prices[1]),
    )
    with contextlib.suppress(TeacherError), Teacher(server, ledger, budget, config) as teacher:  # type: ignore[arg-type]
        teacher.ask_many(make_requests(teacher, [str(n) for n in range(len(fates))]))
    spent, written = budget.spent, ledger.sum_spend()
    unknown = sum(row["reserved_tokens"] for row in ledger.list_requests(("unknown",)))
    ledger.close()
    shutil.rmtree(folder)
    assert max_requests is None or spent.requests <= max_requests
    assert max_tokens is None or spent.tokens <= max_tokens
    assert max_cost_usd is None or spent.cost_usd <= max_cost_usd + 1e-12
    assert budget.reserved == Spend()
    assert spent.requests == written.requests == server.requests
    assert spent.tokens == written.tokens == server.tokens + unknown
    assert spent.cost_usd == pytest.approx(written.cost_usd)


def test_ledger_summary_by_purpose_stage_and_domain(tmp_path: Path) -> None:
    """The summary has one line per purpose, stage and domain, with attempts by state and tokens summed."""
    teacher, _ = make_teacher(tmp_path / "ledger.sqlite", lambda request: Reply("x", "m", "stop", 3, 2))
    requests = [teacher.make_request(f"{d}{n}", About("annotate", 1, d)) for d in "ab" for n in range(2)]
    teacher.ask_many([*requests, teacher.make_request("s", About("synthesize", 1, "b"))])
    rows = teacher.ledger.summarize()
    assert [(r["purpose"], r["stage"], r["domain"], r["requests"], r["done"], r["prompt_tokens"]) for r in rows] == [
        ("annotate", 1, "a", 2, 2, 6),
        ("annotate", 1, "b", 2, 2, 6),
        ("synthesize", 1, "b", 1, 1, 3),
    ]


def test_a_ledger_without_a_table_is_empty(tmp_path: Path) -> None:
    """A ledger whose process died before it made the table reads as empty."""
    (tmp_path / "ledger.sqlite").touch()
    ledger = Ledger(tmp_path / "ledger.sqlite", is_read_only=True)
    assert ledger.sum_spend() == Spend()
    assert ledger.summarize() == list(ledger.list_requests()) == []


def test_missing_and_broken_ledgers_are_said(tmp_path: Path) -> None:
    """A missing ledger is a data error, and a file that is not a database is a storage error that names it."""
    with pytest.raises(DataError, match="no ledger here"):
        Ledger(tmp_path / "none.sqlite", is_read_only=True)
    (tmp_path / "broken.sqlite").write_text("this is no database, " * 100)
    with pytest.raises(StorageError, match=r"broken\.sqlite"):
        Ledger(tmp_path / "broken.sqlite")
