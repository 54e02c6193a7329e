"""Specification of the fake teacher: it draws and counts what it does, and the real client recognizes each fault."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from tests.loopback import serving
from tests.support import make_example, write_rows

from limbeck.data.task import Task
from limbeck.errors import ConfigError, DataError
from limbeck.fake_teacher.behaviour import FAULTS, FakeSettings, FakeTeacher, Fault, count_tokens, make_settings, read_faults
from limbeck.fake_teacher.replies import draft_reply
from limbeck.system.files import read_json, read_json_lines
from limbeck.teacher.backends.openai_compatible import OpenAIBackend
from limbeck.teacher.backends.scripted import read_replies
from limbeck.teacher.purposes.generate import Asked, read_parts, write_messages
from limbeck.teacher.purposes.prompts import load_template
from limbeck.teacher.purposes.replies import find_fault, read_synthesis
from limbeck.teacher.purposes.synthesize import write_prompt
from limbeck.teacher.request import About, BackendError, Reply, TeacherRequest
from limbeck.teacher.settings import TeacherSettings

Project = Callable[..., Path]
HINTED = (
    "What is 3 + 4?\n\nThe correct answer is 7. Write down, step by step, how.\nEnd with one line:\nThe answer is: <answer>"
)
MIXED = FakeSettings(
    seed=3, faults={"throttle": 0.2, "fail": 0.2, "cut": 0.1, "truncate": 0.1, "refuse": 0.1, "malformed": 0.1}
)


def ask_about(prompt: str, **sampling: Any) -> TeacherRequest:  # noqa: ANN401
    sent = {"max_tokens": 200, **sampling}
    return TeacherRequest(
        "fake-teacher",
        ({"role": "user", "content": prompt},),
        sent,
        About("annotate", 0, "d", (make_example("Calculate 2 + 2."),)),
    )


def send(url: str, requests: list[TeacherRequest], **values: Any) -> list[Reply | BackendError]:  # noqa: ANN401
    """What the real client makes of each request, one after the other."""

    async def send_all() -> list[Reply | BackendError]:
        backend = OpenAIBackend(TeacherSettings(backend="openai_compatible", model="fake-teacher", base_url=url, **values))
        found: list[Reply | BackendError] = []
        for request in requests:
            try:
                found.append(await backend.send(request))
            except BackendError as error:
                found.append(error)
        await backend.close()
        return found

    return asyncio.run(send_all())


def post(url: str, body: object, **headers: str) -> tuple[int, dict[str, str], str]:
    """Send a chat request as any other client would; returns status, headers and body."""
    sent = Request(f"{url}/chat/completions", json.dumps(body).encode(), headers)  # noqa: S310 (loopback)
    try:
        with urlopen(sent, timeout=20) as response:  # noqa: S310
            return response.status, dict(response.headers), response.read().decode()
    except HTTPError as error:
        return error.code, dict(error.headers), error.read().decode()


def talk(prompt: str, **sampling: object) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": prompt}], **sampling}


def test_the_same_seed_fails_in_the_same_places() -> None:
    """The fate of a request depends on the seed, its body and how often it was seen, not on the order of arrival."""
    requests = [ask_about(f"{number}. {HINTED}") for number in range(20)]

    def try_all(order: list[TeacherRequest], seed: int) -> dict[str, list[str]]:
        with serving(FakeTeacher(MIXED.model_copy(update={"seed": seed}))) as url:
            seen: dict[str, list[str]] = {request.key: [] for request in requests}
            for request, found in zip(order * 2, send(url, order * 2), strict=True):
                text = found.text if isinstance(found, Reply) else str(found).partition("/v1")[2]
                seen[request.key].append(text)
        return seen

    first = try_all(requests, 3)
    assert try_all(requests[::-1], 3) == first
    assert try_all(requests, 4) != first
    assert any(before != after for before, after in first.values())


def test_every_request_gets_one_outcome_near_its_rate() -> None:
    """Outcomes sum to the number of requests, and each kind occurs about as often as configured."""
    server = FakeTeacher(FakeSettings(faults=dict.fromkeys(FAULTS, 0.05)))
    counts = dict.fromkeys((*FAULTS, "answer"), 0)

    class Plain:
        headers: dict[str, str] = {}  # noqa: RUF012 (no request has any)

    for number in range(4000):
        counts[server.react(Plain(), talk(f"question {number}")).outcome] += 1  # type: ignore[arg-type]
    assert sum(counts.values()) == 4000
    assert all(130 <= counts[kind] <= 270 for kind in FAULTS)
    assert 1650 <= counts["answer"] <= 1950


EXCHANGE: list[tuple[Fault, dict[str, Any], dict[str, Any]]] = [
    ("throttle", {"retry_after_s": 1.5}, {"is_transient": True, "is_throttled": True, "retry_after_s": 1.5}),
    ("throttle", {}, {"is_transient": True, "is_throttled": True, "retry_after_s": None}),
    ("fail", {}, {"is_transient": True, "is_throttled": False, "is_maybe_paid": False}),
    ("drop", {}, {"is_transient": True, "is_maybe_paid": True}),
    ("cut", {}, {"is_transient": True, "is_maybe_paid": True}),
    ("stall", {"stall_s": 30.0}, {"is_transient": True, "is_maybe_paid": True}),
]


@pytest.mark.parametrize(("kind", "values", "facts"), EXCHANGE, ids=lambda value: value if isinstance(value, str) else "")
def test_faults_of_the_exchange(kind: Fault, values: dict[str, Any], facts: dict[str, Any]) -> None:
    """The client recognizes a 429, a 500, a dropped connection, a cut reply and a trickling reply."""
    server = FakeTeacher(FakeSettings(faults={kind: 1.0}, **values))
    with serving(server) as url:
        (error,) = send(url, [ask_about(HINTED)], timeout_s=0.4 if kind == "stall" else 30.0)
    assert isinstance(error, BackendError)
    assert {name: getattr(error, name) for name in facts} == facts
    counts = server.describe()
    assert (counts["requests"], counts["served"], counts["outcomes"]) == (1, 0, {kind: 1})
    assert (counts["completion_tokens"] > 0) == (kind in ("cut", "stall"))


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("truncate", "truncated"),
        ("refuse", "refused"),
        ("empty", "empty"),
        ("filter", "filtered"),
        ("malformed", None),
        ("language", "wrong_language"),
    ],
)
def test_faults_of_the_text(kind: Fault, fault: str | None) -> None:
    """Texts that are truncated, refused, empty, filtered, malformed or in another script are whole replies and are paid."""
    server = FakeTeacher(FakeSettings(faults={kind: 1.0}))
    with serving(server) as url:
        (reply,) = send(url, [ask_about(HINTED)])
    assert isinstance(reply, Reply)
    assert find_fault(ask_about(HINTED), reply) == fault
    assert ("The answer is: 7" in reply.text) == (kind == "language")
    assert bool(re.search("[а-я]", reply.text)) == (kind == "language")
    assert (server.describe()["served"], server.describe()["outcomes"]) == (1, {kind: 1})


def test_a_patient_client_gets_a_trickling_reply() -> None:
    """A trickling reply arrives whole in the end and counts as served."""
    server = FakeTeacher(FakeSettings(faults={"stall": 1.0}, stall_s=0.05))
    with serving(server) as url:
        (reply,) = send(url, [ask_about(HINTED)])
    assert isinstance(reply, Reply)
    assert reply.text.endswith("The answer is: 7")
    assert server.describe()["served"] == 1


def test_counts() -> None:
    """`GET /stats` returns the number of replies served, their tokens, and how often each body was answered."""
    requests = [ask_about(HINTED), ask_about("Another question?"), ask_about(HINTED)]
    with serving(FakeTeacher(FakeSettings(cached_tokens=5, reasoning_tokens=9))) as url:
        found = [reply for reply in send(url, requests) if isinstance(reply, Reply)]
        with urlopen(f"{url.removesuffix('/v1')}/stats", timeout=20) as response:  # noqa: S310 (loopback)
            stats = json.load(response)
        status, _, text = post(url, talk("x"))
    assert (stats["requests"], stats["served"], stats["most_at_once"], stats["lost"]) == (3, 3, 1, 0)
    assert sorted(stats["served_by_body"].values()) == [1, 2]
    assert (
        stats["prompt_tokens"]
        == sum(reply.prompt_tokens for reply in found)
        == sum(-(-len(request.messages[0]["content"]) // 4) for request in requests)
    )
    assert stats["completion_tokens"] == sum(reply.completion_tokens for reply in found)
    assert [reply.completion_tokens for reply in found] == [count_tokens(reply.text) + 9 for reply in found]
    usage = json.loads(text)["usage"]
    assert (usage["completion_tokens_details"], usage["prompt_tokens_details"]) == (
        {"reasoning_tokens": 9},
        {"cached_tokens": 1},
    )
    assert status == 200


def test_max_tokens_cuts_the_text() -> None:
    """No reply has more tokens than its request allows: the text is cut and the finish reason is `length`."""
    requests = [ask_about("ä?", max_tokens=5), ask_about(HINTED, max_tokens=500)]
    with serving(FakeTeacher(FakeSettings(reasoning_tokens=3))) as url:
        short, whole = send(url, requests)
    assert isinstance(short, Reply)
    assert isinstance(whole, Reply)
    assert (short.finish_reason, short.completion_tokens, short.text) == ("length", 5, "This is ")
    assert whole.finish_reason == "stop"


def test_replay_by_idempotency_key() -> None:
    """With --idempotent a reply is replayed for its key and not paid again, even if it was lost."""
    server = FakeTeacher(FakeSettings(faults={"cut": 1.0}, is_idempotent=True))
    with serving(server) as url:
        lost = post(url, talk(HINTED), **{"Idempotency-Key": "k-0"})
        again = post(url, talk(HINTED), **{"Idempotency-Key": "k-0"})
        foreign = post(url, talk("another body"), **{"Idempotency-Key": "k-0"})
        other = post(url, talk(HINTED), **{"Idempotency-Key": "k-1"})
    assert "The answer is: 7" in json.loads(again[2])["choices"][0]["message"]["content"]
    assert "Idempotent-Replayed" not in lost[1]
    assert again[1]["Idempotent-Replayed"] == "true"
    assert (foreign[0], "another body" in foreign[2]) == (422, True)
    assert other[2] == lost[2]
    counts = server.describe()
    assert (counts["replayed"], counts["served"], counts["outcomes"]) == (1, 0, {"cut": 2, "invalid": 1, "replay": 1})
    assert counts["prompt_tokens"] == 2 * count_tokens(HINTED)


def test_without_idempotency_the_key_changes_nothing() -> None:
    """By default a repeated request is answered and paid again, as with most servers."""
    server = FakeTeacher()
    with serving(server) as url:
        for _ in range(2):
            post(url, talk(HINTED), **{"Idempotency-Key": "k-0"})
    assert server.describe()["served"] == 2


def test_samples_of_one_body_differ_and_attempts_do_not() -> None:
    """The part before the key's last dash distinguishes samples; another attempt at the same sample gets the same reply."""
    prompt = make_synthesis_prompt()
    with serving(FakeTeacher()) as url:
        texts = [post(url, talk(prompt), **{"Idempotency-Key": key})[2] for key in ("a-0", "a-1", "b-0")]
    assert texts[0] == texts[1] != texts[2]


def test_capacity() -> None:
    """Requests beyond the capacity get a 429, and the others are answered."""
    server = FakeTeacher(FakeSettings(capacity=3, latency_s=1.0))
    with serving(server) as url, ThreadPoolExecutor(8) as threads:
        statuses = sorted(threads.map(lambda number: post(url, talk(f"question {number}"))[0], range(8)))
    assert statuses[:3] == [200, 200, 200]
    assert 429 in statuses
    counts = server.describe()
    assert counts["outcomes"]["capacity"] == statuses.count(429)
    assert counts["served"] == statuses.count(200)
    assert counts["most_at_once"] > 3


def test_outage() -> None:
    """After the given number of requests the server is out of order for a time, and then answers again."""
    server = FakeTeacher(FakeSettings(outage=(2, 0.3)))
    with serving(server) as url:
        statuses = [post(url, talk("q"))[0] for _ in range(3)]
        while statuses[-1] == 503:
            statuses.append(post(url, talk("q"))[0])
    assert statuses[:3] == [200, 200, 503]
    assert statuses[-1] == 200


def test_the_model_changes() -> None:
    """After the given number of replies the server answers under another model name."""
    with serving(FakeTeacher(FakeSettings(model_change_after=2))) as url:
        found = send(url, [ask_about(f"{number}") for number in range(3)])
    names = [reply.model for reply in found if isinstance(reply, Reply)]
    assert names == ["fake-teacher", "fake-teacher", "fake-teacher-changed"]


def test_a_client_that_goes_away() -> None:
    """A reply whose client did not wait is made and counted as lost, not as served."""
    server = FakeTeacher(FakeSettings(latency_s=1.0))
    with serving(server) as url:
        send(url, [ask_about(HINTED)], timeout_s=0.5)
        send(url, [ask_about("another one, to wait for the first")])
    counts = server.describe()
    assert (counts["requests"], counts["lost"], counts["served"]) == (2, 1, 1)


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ([1], "no JSON object"),
        ({"model": "m"}, "messages"),
        (talk("x", stream=True), "whole replies only"),
        (talk("x", max_tokens=0), "max_tokens: a whole number"),
    ],
)
def test_bad_requests(body: object, part: str) -> None:
    """A body that is not a valid chat request gets a 400 that names what is expected."""
    with serving(FakeTeacher()) as url:
        status, _, text = post(url, body)
    assert (status, part in text) == (400, True)


def make_synthesis_prompt(*, is_json: bool = False) -> str:
    shown = [make_example("Calculate 31 + 14.", "45"), make_example("Calculate 70 - 1.", "69", rationale="One less.")]
    task = Task(answer="number")
    return write_prompt(load_template("synthesize"), task, "sums", shown, is_domain_answer=False, is_json=is_json)


@pytest.mark.parametrize("is_json", [False, True])
def test_synthesis_prompts_get_a_new_example(is_json: bool) -> None:
    """A synthesis prompt gets an example in the requested form: one of those it shows, with other numbers."""
    messages = [{"role": "user", "content": make_synthesis_prompt(is_json=is_json)}]
    texts = [draft_reply(messages, draw).write() for draw in ("a", "b", "a")]
    assert texts[0] == texts[2] != texts[1]
    parts = read_synthesis(texts[0], Task(answer="number"))
    assert parts.fields is not None
    assert re.fullmatch(r"Calculate \d{3} [+-] \d{3}\.", parts.fields["question"])
    assert parts.rationale
    assert (parts.answer_text or "").strip().isdigit()
    assert parts.fields["question"] not in messages[0]["content"]


def test_generation_prompts_get_a_new_example() -> None:
    """A generation prompt gets one text, or fields and answer, in the form its conversation shows, even without examples."""
    review = make_example("x", "good", "good", fields={"text": "A warm film about 2 old friends."}, answer_type="label")
    task = Task(answer="label", labels={"good": "", "bad": ""}, fields=("text",))
    asked = Asked(task, ["good", "bad"], is_label_asked=True, draws_attributes=False)
    template = load_template("generate")
    messages = write_messages(template, asked, "good", [review], attributes={}, is_unlike=False)
    fields, *_ = read_parts(draft_reply(messages, "a").write(), asked)
    assert fields is not None
    assert fields["text"] != review.fields["text"]
    assert re.fullmatch(r"A \w+ \w+ \w+ \d+ old \w+\.", fields["text"])

    sums = Asked(Task(answer="number"), ["sums"], is_label_asked=False, draws_attributes=False)
    for shown in ([make_example("Calculate 31 + 14.", "45")], []):
        messages = write_messages(template, sums, "sums", shown, attributes={}, is_unlike=False)
        fields, answer, _ = read_parts(draft_reply(messages, "a").write(), sums)
        assert fields is not None
        assert (answer or "").strip().isdigit()


def test_other_prompts() -> None:
    """A prompt with labels gets one of them; any other prompt gets a fixed sentence with an answer."""
    labels = [{"role": "user", "content": "Which?\n\nAnswer with one of good, bad and nothing else."}]
    assert draft_reply(labels, "a").write() in ("good", "bad")
    assert draft_reply([{"role": "user", "content": "Hello?"}], "a").write().endswith("The answer is: 4")
    prefixed = [{"role": "user", "content": "The correct answer is 2.5. Write down all.\nEnd with one line:\n#### <answer>"}]
    assert draft_reply(prefixed, "a").write().endswith("\n#### 2.5")


def test_replies_of_a_file(tmp_path: Path) -> None:
    """Rows of {match, text} take precedence, with their finish reason; a row without text is a data error with its place."""
    path = write_rows(
        tmp_path / "r.jsonl", [{"match": "3 + 4", "text": "Seven."}, {"match": "Hm", "text": "x", "finish_reason": "length"}]
    )
    with serving(FakeTeacher(replies=read_replies(path))) as url:
        found = send(url, [ask_about(HINTED), ask_about("Hm"), ask_about("What else?")])
    assert [(reply.text[:6], reply.finish_reason) for reply in found if isinstance(reply, Reply)] == [
        ("Seven.", "stop"),
        ("x", "length"),
        ("This i", "stop"),
    ]
    with pytest.raises(DataError, match=r"r\.jsonl:1: no column 'text'"):
        read_replies(write_rows(path, [{"match": "x"}]))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"faults": {"throttle": 0.7, "fail": 0.6}},
            r"faults: the shares sum to 1\.3, more than 1 \(throttle 0\.7, fail 0\.6\)",
        ),
        ({"faults": {"cut": 1.5}}, r"faults\.cut: .*less than"),
        ({"outage": (-1, 2.0)}, "outage"),
        ({"latency_s": float("nan")}, "latency_s: "),
    ],
)
def test_bad_settings(values: dict[str, Any], said: str) -> None:
    """Shares that sum to more than one, and values out of range, are config errors that name them."""
    with pytest.raises(ConfigError, match=said):
        make_settings(**values)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["throtle=0.1"], "did you mean 'throttle'\\? Choose from: throttle, fail"),
        (["cut=0.1", "cut=0.2"], "'cut' is given twice"),
        (["cut"], "expected KIND=SHARE with a share from 0 to 1, such as cut=0.1"),
    ],
)
def test_bad_faults(texts: list[str], said: str) -> None:
    """A fault that does not exist, one given twice, and one without a share are config errors with the remedy."""
    assert read_faults(["cut=0.1", "fail=0.2"]) == {"cut": 0.1, "fail": 0.2}
    with pytest.raises(ConfigError, match=said):
        read_faults(texts)


def test_a_port_in_use() -> None:
    """A port that is taken is a config error with the remedy."""
    with serving(FakeTeacher()) as url:
        port = int(url.split(":")[2].removesuffix("/v1"))
        with pytest.raises(ConfigError, match=f"port {port} of 127.0.0.1 can't be used .* or 0 for any free one"):
            asyncio.run(FakeTeacher().start(port))


@contextmanager
def fake_teacher(*flags: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """`limbeck fake-teacher` as a process, and its first line of output."""
    command = [sys.executable, "-m", "limbeck", "fake-teacher", "--json", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        yield process, json.loads(line) if line else {}
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_run_against_the_command(project: Project) -> None:
    """`limbeck run` against an often failing `limbeck fake-teacher` gets all its examples, and the counts of both agree."""
    path = project(budget={"max_examples": 9, "max_requests": 200})
    flags = [
        "--retry-after-s=0.01",
        *(f"--fault={fault}" for fault in ("throttle=0.15", "cut=0.1", "fail=0.1", "malformed=0.1")),
    ]
    with fake_teacher(*flags) as (process, ready):
        assert "worth nothing for training" in ready["note"]
        assert ready["url"] == f"http://127.0.0.1:{ready['port']}/v1"
        teacher = [f"teacher.base_url={ready['url']}", "teacher.backend=openai_compatible", "teacher.model=fake-teacher"]
        sets = [part for value in teacher for part in ("--set", value)]
        command = [sys.executable, "-m", "limbeck", "run", str(path), "--out", str(path.parent / "run"), *sets]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    counts = json.loads(out)
    assert len(read_json_lines(path.parent / "run" / "train.jsonl")) == 9
    assert read_json(path.parent / "run" / "run.json")["models"] == {"fake-teacher": counts["served"]}
    assert counts["requests"] == read_json(path.parent / "run" / "run.json")["spent"]["requests"]
    assert counts["outcomes"]["answer"] >= 9


def test_the_command_says_what_it_is_and_what_it_did() -> None:
    """On Ctrl-C the command prints its counts in one line; a port in use is exit 2 with the remedy."""
    command = [sys.executable, "-m", "limbeck", "fake-teacher"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.match(r"fake teacher: teacher\.base_url=(\S+) \(port (\d+)\); this is a fake", line)
        assert found, line
        post(found[1], talk(HINTED))
        second = subprocess.run([*command, "--port", found[2]], capture_output=True, text=True, check=False)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert second.returncode == 2
    assert f"limbeck: error: port {found[2]} of 127.0.0.1 can't be used" in second.stderr
    assert out.startswith("1 requests (answer 1), 1 replies served, at most 1 at once")
