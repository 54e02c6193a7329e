"""Specification of the `openai_compatible` backend, tested against a real HTTP server on this machine."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.loopback import Loopback, Reaction, chat, refuse

from limbeck.errors import ConfigError, TeacherError
from limbeck.teacher.backends import openai_compatible
from limbeck.teacher.backends.http_parts import read_proxy, read_retry_after
from limbeck.teacher.backends.openai_compatible import OpenAIBackend
from limbeck.teacher.client import teacher as teacher_module
from limbeck.teacher.client.budget import Budget, BudgetSettings
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.client.teacher import Outcome, Teacher, check_teacher
from limbeck.teacher.request import About, BackendError, Reply
from limbeck.teacher.settings import TeacherSettings

KEY = "sk-marked-0123456789"
SCHEMA = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
React = Callable[[int, dict[str, Any]], Any]


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher_module, "FIRST_BACKOFF_S", 0.001)
    monkeypatch.setenv("TEACHER_KEY", KEY)


@contextmanager
def serve(
    tmp_path: Path,
    react: React,
    *,
    caps: dict[str, int] | None = None,
    models: tuple[str, ...] | Reaction = ("served-model",),
    **values: Any,  # noqa: ANN401
) -> Iterator[tuple[Teacher, Loopback]]:
    """A server with this reaction, and a teacher that asks it."""
    with Loopback(react, models=models) as server:
        options = {"model": "served-model", "max_tokens": 50, "base_url": server.url, "api_key_env": "TEACHER_KEY", **values}
        configured = TeacherSettings(backend="openai_compatible", **options)
        ledger = Ledger(tmp_path / "ledger.sqlite")
        budget = Budget(BudgetSettings(max_examples=10, **caps or {}), ledger.sum_spend())
        with Teacher(OpenAIBackend(configured), ledger, budget, configured) as teacher:
            yield teacher, server
        ledger.close()


def ask(teacher: Teacher, count: int = 1, **values: Any) -> list[Outcome]:  # noqa: ANN401
    return teacher.ask_many([teacher.make_request(f"question {n}", About("annotate", 0, "d"), **values) for n in range(count)])


def replies(outcomes: list[Outcome]) -> list[Reply]:
    return [outcome.reply for outcome in outcomes if outcome.reply]


def states(teacher: Teacher) -> list[str]:
    return [row["state"] for row in teacher.ledger.list_requests()]


def fail_first(reaction: Reaction, times: int = 1) -> React:
    return lambda number, body: reaction if number < times else chat()


def test_what_is_sent_and_what_is_read(tmp_path: Path) -> None:
    """A request is a chat completion with the key as bearer token, and text, model, finish reason and usage are read."""
    with serve(tmp_path, lambda number, body: chat("4"), extra_body={"top_p": 0.5}) as (teacher, server):
        (outcome,) = ask(teacher)
    assert outcome.reply == Reply("4", "served-model", "stop", 11, 7)
    ((headers, body),) = server.seen
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert body == {
        "model": "served-model",
        "messages": [{"role": "user", "content": "question 0"}],
        "temperature": 0.7,
        "max_tokens": 50,
        "top_p": 0.5,
    }


def test_without_a_key_none_is_sent(tmp_path: Path) -> None:
    """If the environment has no key, requests carry none, since local servers need none."""
    with serve(tmp_path, lambda number, body: chat(), api_key_env="NO_SUCH_KEY") as (teacher, server):
        ask(teacher)
    assert "Authorization" not in server.seen[0][0]


def test_reasoning_models_fields(tmp_path: Path) -> None:
    """The reply limit can be sent as max_completion_tokens, and a null temperature is not sent."""
    values = {"max_tokens_field": "max_completion_tokens", "temperature": None}
    with serve(tmp_path, lambda number, body: chat(), **values) as (teacher, server):
        assert teacher.make_request("abcd", About("annotate", 0, "d")).token_bound == 4 + 16 + 50
        ask(teacher)
    assert set(server.seen[0][1]) == {"model", "messages", "max_completion_tokens"}


@pytest.mark.parametrize("status", [429, 500, 502, 503, 529])
def test_passing_failures_are_asked_again(tmp_path: Path, status: int) -> None:
    """A 429 or 5xx is retried and recorded as failed, and costs a request but no tokens."""
    with serve(tmp_path, fail_first(Reaction(refuse("busy"), status), times=2)) as (teacher, server):
        assert replies(ask(teacher))
        assert (states(teacher), teacher.budget.spent.requests) == (["failed", "failed", "done"], 3)
        assert teacher.budget.spent.tokens == 18
    assert len(server.seen) == 3


def test_attempts_are_bounded(tmp_path: Path) -> None:
    """A server that always fails is asked max_attempts times, and the error quotes its last message."""
    with (
        serve(tmp_path, lambda number, body: Reaction(refuse("on fire"), 503), max_attempts=3) as (teacher, server),
        pytest.raises(TeacherError, match=r"all 1 requests failed.*answered 503: on fire"),
    ):
        ask(teacher)
    assert len(server.seen) == 3


def test_retry_after_is_obeyed(tmp_path: Path) -> None:
    """A 429 with Retry-After is not retried before that time."""
    reaction = Reaction(refuse("slow down"), 429, {"Retry-After": "0.4"})
    begin = time.monotonic()
    with serve(tmp_path, fail_first(reaction)) as (teacher, _):
        assert replies(ask(teacher))
    assert time.monotonic() - begin >= 0.4


def test_a_wait_beyond_the_deadline_is_not_begun(tmp_path: Path) -> None:
    """If Retry-After exceeds the deadline, the run ends at once with an error, even if other requests are waiting."""
    reaction = Reaction(refuse("come back later"), 429, {"Retry-After": "3600"})
    with (
        serve(tmp_path, lambda number, body: reaction) as (teacher, server),
        pytest.raises(TeacherError, match=r"come back later: the teacher asks to wait 3,600 s, .* teacher\.deadline_s = 900"),
    ):
        ask(teacher)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("reaction", "said"),
    [
        (Reaction(chat(), delay_s=1.0), r"no complete reply within 0\.3 s"),
        (Reaction(is_dropped=True), r"the connection broke"),
        (Reaction(json.dumps(chat())[:60]), r"cut off or not JSON \(60 bytes"),
        (Reaction(json.dumps(chat()), headers={"Content-Encoding": "gzip"}), r"the connection broke"),
    ],
)
def test_lost_replies_are_asked_again_and_count_in_full(tmp_path: Path, reaction: Reaction, said: str) -> None:
    """A time-out, a dropped connection or a truncated reply may have been charged, so it is unknown and counts as reserved."""
    with serve(tmp_path, fail_first(reaction), timeout_s=0.3) as (teacher, _):
        assert replies(ask(teacher))
        first, second = teacher.ledger.list_requests()
        assert (first["state"], second["state"]) == ("unknown", "done")
        bound = len("question 0") + 16 + 50
        assert teacher.budget.spent.tokens == bound + 18 == teacher.ledger.sum_spend().tokens
    assert re.search(said, first["error"])


@pytest.mark.parametrize("status", [408, 504, 524])
def test_gateway_timeouts_may_have_been_paid(tmp_path: Path, status: int) -> None:
    """After a gateway time-out the server behind it may have answered, so the attempt is unknown and counts in full."""
    with serve(tmp_path, fail_first(Reaction(refuse("upstream timed out"), status))) as (teacher, _):
        assert replies(ask(teacher))
        assert states(teacher) == ["unknown", "done"]
        assert teacher.budget.spent.tokens == len("question 0") + 16 + 50 + 18


def test_being_told_to_wait_is_no_failure(tmp_path: Path) -> None:
    """Throttled attempts do not count towards max_attempts, so every request is answered before the deadline."""
    react = lambda number, body: chat() if number % 3 == 2 else Reaction(refuse("slow down"), 429)  # noqa: E731
    with serve(tmp_path, react, max_attempts=2, max_concurrency=8) as (teacher, _):
        assert len(replies(ask(teacher, 12))) == 12


def test_the_deadline_counts_from_the_first_attempt(tmp_path: Path) -> None:
    """A request that waited long for its turn and then fails once still has its full deadline."""

    def react(number: int, body: dict[str, Any]) -> Any:  # noqa: ANN401
        return Reaction(refuse("oops"), 500) if number == 8 else Reaction(chat(), delay_s=0.1)

    with serve(tmp_path, react, max_concurrency=1, deadline_s=0.5) as (teacher, _):
        assert len(replies(ask(teacher, 10))) == 10


def test_all_wait_where_one_is_told_to(tmp_path: Path) -> None:
    """While the teacher asks to wait, no other request is sent either."""
    arrivals: list[float] = []

    def react(number: int, body: dict[str, Any]) -> Any:  # noqa: ANN401
        arrivals.append(time.monotonic())
        return Reaction(refuse("slow down"), 429, {"Retry-After": "0.5"}) if number == 0 else Reaction(chat(), delay_s=0.05)

    with serve(tmp_path, react, max_concurrency=2) as (teacher, _):
        assert len(replies(ask(teacher, 8))) == 8
    assert sum(arrival < arrivals[0] + 0.45 for arrival in arrivals) <= 2  # those that were on their way together


@pytest.mark.timeout(60)
def test_a_fatal_answer_wakes_those_who_wait(tmp_path: Path) -> None:
    """After a fatal answer, requests that wait for Retry-After do not delay the error."""

    def react(number: int, body: dict[str, Any]) -> Any:  # noqa: ANN401
        is_first = body["messages"][0]["content"] == "question 0"
        wait = Reaction(refuse("slow down"), 503, {"Retry-After": "300"})
        return wait if is_first else Reaction(refuse("no such key"), 401, delay_s=0.2)

    with serve(tmp_path, react) as (teacher, _), pytest.raises(TeacherError, match="was refused"):
        ask(teacher, 2)


@pytest.mark.parametrize(("proxy_status", "is_fatal"), [(407, True), (502, False)])
def test_a_proxy_that_refuses(monkeypatch: pytest.MonkeyPatch, *, proxy_status: int, is_fatal: bool) -> None:
    """A proxy's refusal costs nothing, and the message contains neither its user nor its password."""
    import socket
    import threading

    listener = socket.create_server(("127.0.0.1", 0))

    def refuse_connect() -> None:
        connection, _ = listener.accept()
        connection.recv(4096)
        connection.sendall(f"HTTP/1.1 {proxy_status} No\r\nContent-Length: 0\r\n\r\n".encode())
        connection.close()

    thread = threading.Thread(target=refuse_connect, daemon=True)
    thread.start()
    monkeypatch.setenv("https_proxy", f"http://alice:S3CRET@127.0.0.1:{listener.getsockname()[1]}")
    monkeypatch.setenv("no_proxy", "")
    backend = OpenAIBackend(TeacherSettings(backend="openai_compatible", model="m", base_url="https://teacher.example/v1"))

    async def call() -> None:
        try:
            await backend._call("GET", "/models", None, 5.0)
        finally:
            await backend.close()

    with pytest.raises(BackendError, match=f"the proxy set in the environment answered {proxy_status}") as raised:
        asyncio.run(call())
    thread.join(5)
    listener.close()
    assert (raised.value.is_fatal, raised.value.is_unsent, raised.value.is_maybe_paid) == (is_fatal, True, False)
    assert "alice" not in str(raised.value)


def test_a_prompt_that_a_moderator_refuses(tmp_path: Path) -> None:
    """A 403 about one prompt fails only that request and is not taken for a refused key."""

    def react(number: int, body: dict[str, Any]) -> Any:  # noqa: ANN401
        is_bad = body["messages"][0]["content"] == "question 1"
        return Reaction(refuse("your input was flagged by moderation"), 403) if is_bad else chat()

    with serve(tmp_path, react) as (teacher, _):
        assert [outcome.reason for outcome in ask(teacher, 3)] == ["", "failed", ""]


@pytest.mark.parametrize("status", [200, 400])
def test_bodies_that_nest_without_end(tmp_path: Path, status: int) -> None:
    """JSON that is nested too deeply to parse is a failure like any broken reply."""
    react = lambda number, body: Reaction("[" * 200_000, status)  # noqa: E731
    with serve(tmp_path, react, max_attempts=1) as (teacher, _), pytest.raises(TeacherError, match="all 1 requests failed"):
        ask(teacher)


def test_absurd_token_counts_are_not_believed(tmp_path: Path) -> None:
    """An impossible token count is replaced by the upper bound."""
    with serve(tmp_path, lambda number, body: {**chat("4"), "usage": {"prompt_tokens": 10**30, "completion_tokens": True}}) as (
        teacher,
        _,
    ):
        (reply,) = replies(ask(teacher))
    assert (reply.prompt_tokens, reply.completion_tokens) == (len("question 0") + 16, 50)


def test_stored_replies_are_found_after_a_schema_was_refused(tmp_path: Path) -> None:
    """A later process finds the replies to requests sent without the schema and sends nothing again."""

    def react(number: int, body: dict[str, Any]) -> Any:  # noqa: ANN401
        return Reaction(refuse("response_format is not supported"), 400) if "response_format" in body else chat()

    with serve(tmp_path, react, json_schema=True) as (teacher, _):
        ask(teacher, 3, schema=SCHEMA)
    with serve(tmp_path, react, json_schema=True) as (teacher, server):
        assert len(replies(ask(teacher, 3, schema=SCHEMA))) == 3
        assert not server.seen


def test_a_refused_key_ends_the_asking(tmp_path: Path) -> None:
    """A refused key is an error that names the key's source but never the key, and it is not retried."""
    react = lambda number, body: Reaction(refuse(f"Incorrect API key provided: {KEY}"), 401)  # noqa: E731
    with serve(tmp_path, react, max_concurrency=2) as (teacher, server):
        with pytest.raises(
            TeacherError, match=r"answered 401: the key from the environment variable TEACHER_KEY was refused"
        ) as raised:
            ask(teacher, 20)
        assert set(states(teacher)) == {"failed"}
    assert len(server.seen) <= 2
    assert KEY not in str(raised.value)
    assert KEY.encode() not in (tmp_path / "ledger.sqlite").read_bytes()


def test_a_missing_key_is_told_from_a_wrong_one(tmp_path: Path) -> None:
    """If a server requires a key and none is set, the error names the variable to set."""
    react = lambda number, body: Reaction(refuse("no key"), 401)  # noqa: E731
    with (
        serve(tmp_path, react, api_key_env="NO_SUCH_KEY") as (teacher, _),
        pytest.raises(TeacherError, match="it requires a key, but the environment variable NO_SUCH_KEY is not set"),
    ):
        ask(teacher)


def test_a_wrong_model_name(tmp_path: Path) -> None:
    """A model that the server does not have is an error that lists the available ones."""
    react = lambda number, body: Reaction(refuse("The model `gpt-5o` does not exist"), 404)  # noqa: E731
    with serve(tmp_path, react, models=("small", "large"), model="gpt-5o") as (teacher, server):
        remark = check_teacher(teacher.backend, teacher.settings)
        assert remark == f"{server.url} does not list model 'gpt-5o'; it lists small, large"
        with pytest.raises(TeacherError, match=r"404 for model 'gpt-5o'.*It lists small, large; set teacher\.model"):
            ask(teacher)


@pytest.mark.parametrize("status", [200, 404])
def test_a_base_url_that_is_no_api(tmp_path: Path, status: int) -> None:
    """A base URL of a web page is an error that reports it, at the check and when asking."""
    page = Reaction("<html>Welcome</html>", status, {"Content-Type": "text/html"})
    with serve(tmp_path, lambda number, body: page, models=page) as (teacher, _):
        if status == 200:
            with pytest.raises(TeacherError, match="no OpenAI-compatible API"):
                check_teacher(teacher.backend, teacher.settings)
        with pytest.raises(TeacherError, match=r"text/html.*no OpenAI-compatible API.*; teacher\.base_url usually ends in /v1"):
            ask(teacher)


def test_a_base_url_that_lacks_its_v1(tmp_path: Path) -> None:
    """If the API is at /v1 below the given base URL, the check reports it."""
    with Loopback(lambda number, body: chat()) as server:
        configured = TeacherSettings(backend="openai_compatible", model="m", base_url=server.url.removesuffix("/v1"))
        backend = OpenAIBackend(configured)
        ledger = Ledger(tmp_path / "ledger.sqlite")
        with (
            Teacher(backend, ledger, Budget(BudgetSettings(max_examples=1)), configured) as teacher,
            pytest.raises(TeacherError, match=r"/v1 does: set teacher\.base_url to that"),
        ):
            check_teacher(teacher.backend, teacher.settings)


def test_an_unreachable_teacher(tmp_path: Path) -> None:
    """An unreachable teacher is an error with its address, at the check and after the attempts."""
    with serve(tmp_path, lambda number, body: chat()) as (teacher, _):
        pass
    gone = TeacherSettings(backend="openai_compatible", model="m", base_url=teacher.settings.base_url, deadline_s=0.05)
    ledger = Ledger(tmp_path / "ledger.sqlite")
    with Teacher(OpenAIBackend(gone), ledger, Budget(BudgetSettings(max_examples=1)), gone) as lonely:
        with pytest.raises(TeacherError, match=r"http://127\.0\.0\.1:\d+/v1: can't be reached; is it running\?"):
            check_teacher(lonely.backend, lonely.settings)
        with pytest.raises(TeacherError, match=r"deadline of 0\.05 s.*run the same command again once the teacher is back"):
            ask(lonely)
        assert lonely.budget.spent.requests == lonely.ledger.sum_spend().requests == 0  # nothing left this machine
        assert "failed" in states(lonely)


def test_check_passes_where_the_model_is_served(tmp_path: Path) -> None:
    """A server that lists the teacher's model, and one that lists nothing at all, pass the check without a chat request."""
    with serve(tmp_path, lambda number, body: chat()) as (teacher, server):
        assert check_teacher(teacher.backend, teacher.settings) == ""
    assert not server.seen
    with serve(tmp_path, lambda number, body: chat(), models=Reaction(refuse("no such path"), 404)) as (teacher, _):
        assert check_teacher(teacher.backend, teacher.settings) == ""


def test_an_account_that_cant_pay(tmp_path: Path) -> None:
    """A 429 because the account has no money left is not retried and ends the asking."""
    react = lambda number, body: Reaction(refuse("You exceeded your current quota", code="insufficient_quota"), 429)  # noqa: E731
    with serve(tmp_path, react) as (teacher, server), pytest.raises(TeacherError, match="the account can't pay"):
        ask(teacher)
    assert len(server.seen) == 1


def test_redirects_are_not_followed(tmp_path: Path) -> None:
    """A redirect is an error with its target, and the key goes nowhere else."""
    with Loopback(lambda number, body: chat()) as other:
        react = lambda number, body: Reaction("", 307, {"Location": other.url + "/chat/completions"})  # noqa: E731
        with serve(tmp_path, react) as (teacher, _), pytest.raises(TeacherError, match=r"redirects to http://127\.0\.0\.1"):
            ask(teacher)
        assert not other.seen


def test_bounded_concurrency_and_kept_connections(tmp_path: Path) -> None:
    """At most max_concurrency requests are in flight, and later calls reuse their connections."""
    with serve(tmp_path, lambda number, body: Reaction(chat(), delay_s=0.02), max_concurrency=4) as (teacher, server):
        assert len(replies(ask(teacher, 20))) == 20
        assert len(replies(teacher.ask_many([teacher.make_request("one more", About("annotate", 0, "d"))]))) == 1
    assert (server.most_at_once, len(server.connections)) == (4, 4)


def test_bad_requests_fail_alone(tmp_path: Path) -> None:
    """A request that the server rejects as bad is not retried, and the others are answered."""

    def react(number: int, body: dict[str, Any]) -> Any:  # noqa: ANN401
        is_bad = body["messages"][0]["content"] == "question 1"
        return Reaction(refuse("maximum context length is 8192 tokens"), 400) if is_bad else chat()

    with serve(tmp_path, react) as (teacher, server):
        outcomes = ask(teacher, 3)
    assert [outcome.reason for outcome in outcomes] == ["", "failed", ""]
    assert "maximum context length" in outcomes[1].detail
    assert len(server.seen) == 3


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        (
            "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
            "max_tokens_field: max_completion_tokens",
        ),
        ("Unsupported parameter: 'max_completion_tokens'.", "max_tokens_field: max_tokens"),
        ("Unsupported value: 'temperature' does not support 0.7 with this model.", "teacher.temperature: null"),
    ],
)
def test_fields_that_a_model_does_not_take(tmp_path: Path, said: str, remedy: str) -> None:
    """If a model refuses a field of every request, the asking ends with an error that names the setting to change."""
    react = lambda number, body: Reaction(refuse(said), 400)  # noqa: E731
    with serve(tmp_path, react) as (teacher, _), pytest.raises(TeacherError, match=remedy):
        ask(teacher)


def test_json_schema_where_the_server_has_it(tmp_path: Path) -> None:
    """With json_schema, requests that have a schema are sent with it, and others without."""
    with serve(tmp_path, lambda number, body: chat(), json_schema=True) as (teacher, server):
        ask(teacher, schema=SCHEMA)
        teacher.ask_many([teacher.make_request("no schema", About("annotate", 0, "d"))])
    form = {"type": "json_schema", "json_schema": {"name": "example", "strict": True, "schema": SCHEMA}}
    assert [body.get("response_format") for _, body in server.seen] == [form, None]


def test_json_schema_where_the_server_refuses_it(tmp_path: Path) -> None:
    """A server that refuses JSON schema is asked without it from then on, and replies are stored under the request as sent."""

    def react(number: int, body: dict[str, Any]) -> Any:  # noqa: ANN401
        return Reaction(refuse("response_format is not supported"), 400) if "response_format" in body else chat()

    with serve(tmp_path, react, json_schema=True, max_concurrency=1) as (teacher, server):
        outcomes = ask(teacher, 3, schema=SCHEMA)
        assert len(replies(outcomes)) == 3
        assert states(teacher).count("failed") == 1
        assert all(teacher.ledger.read_reply(outcome.request.key) for outcome in outcomes)
    assert ["response_format" in body for _, body in server.seen] == [True, False, False, False]


@pytest.mark.parametrize(
    ("message", "reply"),
    [
        (chat("4", reasoning_content="two and two"), ("4", "two and two", "stop")),
        (chat("4", reasoning="two and two"), ("4", "two and two", "stop")),
        (chat("<think>\ntwo and two\n</think>\n\n4"), ("4", "two and two", "stop")),
        (chat([{"type": "thinking", "thinking": "two and two"}, {"type": "text", "text": "4"}]), ("4", "two and two", "stop")),  # type: ignore[arg-type]
        (chat([{"type": "refusal", "refusal": "I can't."}]), ("I can't.", "", "refusal")),  # type: ignore[arg-type]
        (chat([{"type": "text", "text": "fo"}, {"type": "text", "text": "ur"}]), ("four", "", "stop")),  # type: ignore[arg-type]
        (chat(None), ("", "", "stop")),
        (chat(None, refusal="I can't do that."), ("I can't do that.", "", "refusal")),
        ({**chat("4"), "usage": None}, ("4", "", "stop")),
        (chat("half \ud800"), ("half ?", "", "stop")),
    ],
)
def test_what_servers_put_into_a_message(tmp_path: Path, message: dict[str, Any], reply: tuple[str, str, str]) -> None:
    """Reasoning is separated from the answer in every format, parts are joined, and refusals and empty messages are kept."""
    with serve(tmp_path, lambda number, body: message) as (teacher, _):
        (got,) = replies(ask(teacher))
        assert teacher.ledger.read_reply(ask(teacher)[0].request.key) == got
    assert (got.text, got.reasoning, got.finish_reason) == reply


def test_without_usage_the_upper_bound_counts(tmp_path: Path) -> None:
    """If a server reports no token counts, the upper bound is charged, so that caps hold."""
    with serve(tmp_path, lambda number, body: {**chat("4"), "usage": {}}) as (teacher, _):
        (reply,) = replies(ask(teacher))
    assert (reply.prompt_tokens, reply.completion_tokens) == (len("question 0") + 16, 50)


def test_failures_inside_a_good_status(tmp_path: Path) -> None:
    """A reply with status 200 and an error in its body is treated as that error."""
    inside = {"error": {"message": "upstream is busy", "code": 429}}
    with serve(tmp_path, lambda number, body: inside if number == 0 else chat()) as (teacher, _):
        assert replies(ask(teacher))
        assert states(teacher) == ["unknown", "done"]


def test_replies_without_end_are_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply above the byte limit fails the request, which is not retried."""
    monkeypatch.setattr(openai_compatible, "MAX_BODY_BYTES", 1000)
    with (
        serve(tmp_path, lambda number, body: chat("x" * 5000)) as (teacher, server),
        pytest.raises(TeacherError, match="exceeds 1000 bytes"),
    ):
        ask(teacher)
    assert len(server.seen) == 1


def test_proxies_are_not_used_for_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests to a teacher on this machine bypass a proxy that the environment sets."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with serve(tmp_path, lambda number, body: chat()) as (teacher, _):
        assert replies(ask(teacher))
    assert read_proxy("http://teacher.example/v1") == "http://127.0.0.1:9"


def test_tls_is_verified(tmp_path: Path) -> None:
    """A server with an untrusted certificate is refused, and nothing is sent to it."""
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
        "-days",
        "2",
        "-subj",
        "/CN=127.0.0.1",
    ]
    try:
        subprocess.run(made, cwd=tmp_path, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no openssl to make a certificate with")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with Loopback(lambda number, body: chat(), tls=context) as server:
        configured = TeacherSettings(backend="openai_compatible", model="m", base_url=server.url)
        backend = OpenAIBackend(configured)
        with pytest.raises(BackendError, match="TLS certificate can't be verified") as raised:
            asyncio.run(backend.check())
        assert raised.value.is_fatal
        assert not server.seen


@pytest.mark.parametrize(
    ("base_url", "message"),
    [
        (None, "needs teacher.base_url"),
        ("localhost:8000/v1", "is not an http"),
        ("ftp://host/v1", "is not an http"),
        ("http://", "is not an http"),
        ("http://host:99999/v1", "is not an http"),
        ("https://user:secret@host/v1", "contains a user, a query or a fragment"),
        ("https://host/v1?key=secret", "contains a user, a query or a fragment"),
        ("https://host/v1/chat/completions", "ends in the endpoint"),
    ],
)
def test_bad_base_urls(base_url: str | None, message: str) -> None:
    """An invalid base URL is refused before anything is sent, and the message does not repeat a secret in it."""
    with pytest.raises(ConfigError, match=message) as raised:
        OpenAIBackend(TeacherSettings(backend="openai_compatible", model="m", base_url=base_url))
    assert "secret" not in str(raised.value)


def test_key_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key may be in a file that only its owner can read; other files and keys with spaces are refused without a quote."""
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n", "utf-8")
    configured = TeacherSettings(backend="openai_compatible", model="m", base_url="http://h/v1", api_key_file=path)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="can be read by others; run chmod 600"):
        OpenAIBackend(configured)
    path.chmod(0o600)
    assert OpenAIBackend(configured)._key == KEY
    path.write_text("two words", "utf-8")
    with pytest.raises(ConfigError, match="contains no valid key") as raised:
        OpenAIBackend(configured)
    assert "two words" not in str(raised.value)
    path.unlink()
    with pytest.raises(ConfigError, match="No such file"):
        OpenAIBackend(configured)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "3"}, 3.0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "Retry-After": "9"}, 0.25),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    """Retry-After is read as seconds, milliseconds or a date; a past date means no wait, and nonsense is ignored."""
    assert read_retry_after(headers) == seconds


def test_retry_after_as_a_date() -> None:
    """A future date is converted to seconds from now."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 27 < (read_retry_after({"Retry-After": date}) or 0) <= 30


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "content", "usage", "model", "finish_reason", "error", "prompt_tokens", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON | st.builds(lambda inner: {"choices": [{"message": inner}], "usage": inner}, JSON))
@settings(max_examples=300, deadline=None)
def test_any_json_is_a_reply_or_a_backend_error(answer: Any) -> None:  # noqa: ANN401
    """Any JSON that a server sends becomes a reply that can be stored, or a backend error."""
    configured = TeacherSettings(backend="openai_compatible", model="m", base_url="http://h/v1")
    backend = OpenAIBackend(configured)

    async def call(*args: object) -> tuple[int, dict[str, str], bytes]:
        return 200, {}, json.dumps(answer).encode()

    backend._call = call  # type: ignore[method-assign]
    request = Teacher(backend, None, Budget(BudgetSettings(max_examples=1)), configured).make_request(  # type: ignore[arg-type]
        "q", About("annotate", 0, "d")
    )
    try:
        reply = asyncio.run(backend.send(request))
    except BackendError:
        return
    json.dumps(reply.__dict__).encode()
    assert reply.prompt_tokens >= 0
    assert reply.completion_tokens >= 0
