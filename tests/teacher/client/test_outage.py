"""A teacher that goes down, changes its name or counts oddly: what limbeck does, reports and pays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.loopback import Loopback, Reaction, chat, refuse, serving

from limbeck.errors import TeacherError
from limbeck.fake_teacher.behaviour import FakeSettings, FakeTeacher
from limbeck.teacher.backends.openai_compatible import OpenAIBackend
from limbeck.teacher.client import teacher as teacher_module
from limbeck.teacher.client.budget import Budget, BudgetSettings
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.client.teacher import Teacher
from limbeck.teacher.request import About, Reply
from limbeck.teacher.settings import Prices, TeacherSettings


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher_module, "FIRST_BACKOFF_S", 0.01)


class Heard:
    """Collects the notes and states that a teacher reports."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.states: list[Mapping[str, Any]] = []


@contextmanager
def teach(url: str, path: Path, heard: Heard | None = None, **changes: Any) -> Iterator[Teacher]:  # noqa: ANN401
    """A teacher at a URL with a ledger in a file."""
    heard = heard or Heard()
    settings = TeacherSettings(
        backend="openai_compatible",
        model="m",
        base_url=url,
        api_key_env="NO_KEY",
        **{"max_tokens": 10, "timeout_s": 5, **changes},
    )
    ledger = Ledger(path)
    budget = Budget(BudgetSettings(max_examples=100), ledger.sum_spend())
    try:
        with Teacher(
            OpenAIBackend(settings), ledger, budget, settings, on_note=heard.notes.append, on_state=heard.states.append
        ) as teacher:
            yield teacher
    finally:
        ledger.close()


def ask(teacher: Teacher, count: int) -> list[Reply | None]:
    requests = [teacher.make_request(f"question {n}", About("annotate", 0, "d")) for n in range(count)]
    return [outcome.reply for outcome in teacher.ask_many(requests)]


def test_an_outage_costs_no_request_its_attempts(tmp_path: Path) -> None:
    """A teacher that answers 503 for a second is retried by one request at a time, and then all are answered."""
    heard, server = Heard(), FakeTeacher(FakeSettings(outage=(10, 1.0), latency_s=0.01))
    with serving(server) as url, teach(url, tmp_path / "ledger.sqlite", heard, max_attempts=4, max_concurrency=16) as teacher:
        assert all(ask(teacher, 60))
    states = [facts["state"] for facts in heard.states]
    assert (states[0], states[-1]) == ("open", "closed")
    assert states.count("half-open") >= 2
    refused = server.describe()["outcomes"]["outage"]
    assert refused < 60  # eight open the breaker, sixteen are in flight then, and one at a time retries; otherwise hundreds
    said = [note.split(":")[0] for note in heard.notes]
    assert said == ["the teacher is not answering", "the teacher is answering again"] * (len(said) // 2)


def test_a_teacher_that_stays_away_ends_the_run_and_can_be_gone_on_with(tmp_path: Path) -> None:
    """After `deadline_s` without any answer the run ends with the remedy; what was answered before is not asked again."""
    path = tmp_path / "ledger.sqlite"
    with (
        serving(FakeTeacher(FakeSettings(outage=(10, 600.0), latency_s=0.01))) as url,
        pytest.raises(TeacherError, match=r"503.*deadline of 0\.5 s.*run the same command again"),
        teach(url, path, deadline_s=0.5, max_concurrency=8) as teacher,
    ):
        ask(teacher, 40)
    server = FakeTeacher(FakeSettings())
    with serving(server) as url, teach(url, path) as teacher:
        stored = sum(row["done"] for row in teacher.ledger.summarize())
        assert all(ask(teacher, 40))
    assert stored >= 1
    assert server.describe()["served"] == 40 - stored


def test_a_teacher_that_never_answered_anybody_is_not_waited_for(tmp_path: Path) -> None:
    """If a run's first requests all fail, it ends after a few tries, long before the deadline."""
    with (
        Loopback(lambda n, body: Reaction(refuse("down"), 500)) as server,
        pytest.raises(TeacherError, match="500: down"),
        teach(server.url, tmp_path / "ledger.sqlite", deadline_s=10**6, max_concurrency=8, max_attempts=4) as teacher,
    ):
        ask(teacher, 30)
    assert len(server.seen) <= 8 + 8 + 4  # those that opened the breaker, those in flight then, and the retries


def test_a_lost_reply_is_asked_for_under_the_same_key_and_paid_once(tmp_path: Path) -> None:
    """A server that keeps replies by `Idempotency-Key` works only once for a request whose reply was lost."""
    server = FakeTeacher(FakeSettings(faults={"cut": 0.5}, is_idempotent=True))
    with serving(server) as url, teach(url, tmp_path / "ledger.sqlite", max_attempts=20) as teacher:
        assert all(ask(teacher, 40))
        unknown = teacher.ledger.summarize()[0]["unknown"]
    assert unknown > 5
    counts = server.describe()
    assert counts["outcomes"]["cut"] + counts["outcomes"].get("answer", 0) == 40
    assert counts["replayed"] == unknown


def test_a_refused_attempt_gets_another_key(tmp_path: Path) -> None:
    """After a 500 the next attempt has a new key, even in a later process; after a lost reply it has the same one."""
    reactions: list[Callable[[], Any]] = [
        lambda: Reaction(refuse("oops"), 500),
        lambda: Reaction(chat(), is_dropped=True),
        lambda: Reaction(refuse("no"), 400),
        lambda: Reaction(chat()),
    ]
    keys = []

    def react(number: int, body: dict[str, Any]) -> Reaction:
        keys.append(server.seen[-1][0]["Idempotency-Key"].rpartition("-"))
        return reactions[number]()  # type: ignore[no-any-return]

    with Loopback(react) as server:
        with pytest.raises(TeacherError), teach(server.url, tmp_path / "ledger.sqlite") as teacher:
            ask(teacher, 1)
        with teach(server.url, tmp_path / "ledger.sqlite") as teacher:
            assert all(ask(teacher, 1))
    assert len({key for key, _, _ in keys}) == 1
    assert [count for _, _, count in keys] == ["0", "1", "1", "2"]


def test_another_model_is_said_once(tmp_path: Path) -> None:
    """A model that answers under a new name is reported once, even if the name changed between two processes."""
    heard = Heard()
    for after, notes in ((3, 1), (0, 2)):
        settings = FakeSettings(model="m-1" if after else "m-3", model_change_after=after or None)
        with serving(FakeTeacher(settings)) as url, teach(url, tmp_path / "ledger.sqlite", heard) as teacher:
            ask(teacher, 6 if after else 9)
        assert len(heard.notes) == notes, heard.notes
    assert "before: 'm-1'" in heard.notes[0]
    assert "now answers as 'm-3'" in heard.notes[1]


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29}, (20, 9, 0, 0)),
        (
            {
                "prompt_tokens": 20,
                "completion_tokens": 9,
                "completion_tokens_details": {"reasoning_tokens": 6},
                "prompt_tokens_details": {"cached_tokens": 16},
            },
            (20, 9, 6, 16),
        ),
        # Reasoning that is not counted in the completion tokens, only in the total.
        (
            {
                "prompt_tokens": 20,
                "completion_tokens": 3,
                "total_tokens": 29,
                "completion_tokens_details": {"reasoning_tokens": 6},
            },
            (20, 9, 6, 0),
        ),
        (
            {
                "prompt_tokens": 20,
                "completion_tokens": 9,
                "completion_tokens_details": {"reasoning_tokens": 99},
                "prompt_tokens_details": {"cached_tokens": 99},
            },
            (20, 9, 9, 20),
        ),
        (
            {"prompt_tokens": 20, "completion_tokens": 9, "completion_tokens_details": None, "prompt_tokens_details": "x"},
            (20, 9, 0, 0),
        ),
        ({}, (10 + 16, 10, 0, 0)),
    ],
)
def test_tokens_of_every_kind_are_counted(usage: dict[str, Any], counts: tuple[int, ...], tmp_path: Path) -> None:
    """Reasoning and cached tokens are counted and never exceed what they are part of; without counts the upper bound counts."""
    path = tmp_path / "ledger.sqlite"
    with Loopback(lambda n, body: {**chat(), "usage": usage}) as server, teach(server.url, path, prices=PRICES) as teacher:
        ask(teacher, 1)
        (row,) = teacher.ledger.list_requests()
    names = ("prompt_tokens", "completion_tokens", "reasoning_tokens", "cached_tokens")
    assert tuple(row[name] for name in names) == counts
    prompt, completion, _, cached = counts
    assert row["cost_usd"] == pytest.approx(((prompt - cached) * 2 + cached * 0.5 + completion * 8) / 1e6)


PRICES = Prices(prompt_usd_per_mtok=2, completion_usd_per_mtok=8, cached_prompt_usd_per_mtok=0.5)


def test_a_charge_above_the_bound_is_said(tmp_path: Path) -> None:
    """If a server counts more tokens than a request can have, its count is charged and the user is told once."""
    heard, usage = Heard(), {"prompt_tokens": 5000, "completion_tokens": 7}
    path = tmp_path / "ledger.sqlite"
    with Loopback(lambda n, body: {**chat(), "usage": usage}) as server, teach(server.url, path, heard) as teacher:
        ask(teacher, 3)
        assert teacher.budget.spent.tokens == 3 * 5007
    assert len(heard.notes) == 1
    assert "counts 5007 tokens for a request that can have at most 36" in heard.notes[0]


def test_prompts_that_no_server_can_answer_end_one_run_and_not_the_next(tmp_path: Path) -> None:
    """Two requests that always fail look like an outage if only two may be in flight; the same command again rejects them."""

    def react(number: int, body: dict[str, Any]) -> Any:  # noqa: ANN401
        is_poison = "question 4" in body["messages"][0]["content"] or "question 5" in body["messages"][0]["content"]
        return Reaction(refuse("oops"), 500) if is_poison else chat()

    path = tmp_path / "ledger.sqlite"
    how = {"max_concurrency": 2, "deadline_s": 1.5, "max_attempts": 3}
    with Loopback(react) as server:
        with pytest.raises(TeacherError, match="run the same command again"), teach(server.url, path, **how) as teacher:
            ask(teacher, 6)
        with teach(server.url, path, **how) as teacher:
            assert [reply is not None for reply in ask(teacher, 6)] == [True] * 4 + [False] * 2


def test_a_teacher_that_throttles_everybody_ends_the_run(tmp_path: Path) -> None:
    """If every request is throttled for `deadline_s`, the run ends instead of trying them all in turn."""
    with Loopback(lambda n, body: Reaction(refuse("slow down"), 429)) as server:
        message = pytest.raises(TeacherError, match=r"slow down.*run the same command again")
        with message, teach(server.url, tmp_path / "ledger.sqlite", deadline_s=0.3, max_concurrency=4) as teacher:
            ask(teacher, 500)
        assert len(server.seen) < 250


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "invalid content in: 'my insufficient credits story'"),
        (500, "could not read 'insufficient_quota'"),
        (403, "your input was flagged: 'how to get access to the key'"),
    ],
)
def test_a_prompt_that_an_error_quotes_ends_no_run(status: int, message: str, tmp_path: Path) -> None:
    """Words about money and keys count in an error's code, and in its message only if that can't quote the prompt."""

    def react(number: int, body: dict[str, Any]) -> Any:  # noqa: ANN401
        return Reaction(refuse(message), status) if "question 1" in body["messages"][0]["content"] else chat()

    with Loopback(react) as server, teach(server.url, tmp_path / "l.sqlite", max_concurrency=1, max_attempts=2) as teacher:
        assert [reply is not None for reply in ask(teacher, 3)] == [True, False, True]


def test_an_attempt_that_never_left_keeps_the_key(tmp_path: Path) -> None:
    """After a lost reply and then a refused connection, the next process repeats the key of the lost one."""
    path, keys = tmp_path / "ledger.sqlite", []

    def react(number: int, body: dict[str, Any]) -> Reaction:
        keys.append(server.seen[-1][0]["Idempotency-Key"])
        return Reaction(chat(), is_dropped=number == 0)

    with Loopback(react) as server:
        with pytest.raises(TeacherError), teach(server.url, path, max_attempts=1) as teacher:
            ask(teacher, 1)
        with pytest.raises(TeacherError), teach("http://127.0.0.1:9/v1", path, deadline_s=0.05) as teacher:
            ask(teacher, 1)
        with teach(server.url, path) as teacher:
            assert all(ask(teacher, 1))
    assert len(keys) == 2
    assert keys[0] == keys[1]


def test_names_that_change_with_each_reply_are_told_a_few_times(tmp_path: Path) -> None:
    """A server that names its model differently in each reply causes only a few notes."""
    heard, path = Heard(), tmp_path / "ledger.sqlite"
    with Loopback(lambda n, body: {**chat(), "model": f"m{n}" * 500}) as server, teach(server.url, path, heard) as teacher:
        assert all(ask(teacher, 60))
    assert len(heard.notes) <= 6
    assert max(map(len, heard.notes)) < 2000
