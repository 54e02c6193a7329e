"""Specification of the `embedded` backend, with a real llama.cpp server and the packaged SmolLM2."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from limbeck.errors import ConfigError, TeacherError
from limbeck.teacher.backends.embedded import EmbeddedBackend, start_server, stop
from limbeck.teacher.client import teacher as teacher_module
from limbeck.teacher.client.budget import Budget, BudgetSettings
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.client.teacher import Teacher, check_teacher
from limbeck.teacher.request import About, BackendError, TeacherRequest
from limbeck.teacher.settings import EmbeddedSettings, TeacherSettings

pytest.importorskip("xllamacpp")
SMALL = EmbeddedSettings(slots=4, context=512)
MODEL = "packaged:smollm2-135m-instruct"


@pytest.fixture(autouse=True)
def _needs_the_model(monkeypatch: pytest.MonkeyPatch, packaged_model: Path) -> None:
    monkeypatch.setattr(teacher_module, "FIRST_BACKOFF_S", 0.01)


@pytest.fixture
def teacher(tmp_path: Path) -> Iterator[Teacher]:
    """A teacher that is the packaged SmolLM2 behind a llama.cpp server, at temperature 0."""
    settings = TeacherSettings(backend="embedded", model=MODEL, temperature=0.0, max_tokens=12, embedded=SMALL)
    ledger = Ledger(tmp_path / "ledger.sqlite")
    with Teacher(EmbeddedBackend(settings), ledger, Budget(BudgetSettings(max_examples=9)), settings) as made:
        yield made
    ledger.close()


def ask(teacher: Teacher, *questions: str) -> list[str]:
    outcomes = teacher.ask_many([teacher.make_request(question, About("annotate", 0, "d")) for question in questions])
    return [outcome.reply.text if outcome.reply else outcome.detail for outcome in outcomes]


def get_process(teacher: Teacher) -> subprocess.Popen[str]:
    backend = teacher.backend
    assert isinstance(backend, EmbeddedBackend)
    assert backend._process is not None
    return backend._process


def test_a_real_model_answers(teacher: Teacher) -> None:
    """The server starts at the first request and answers more requests than it has slots, with its own token counts."""
    assert all(ask(teacher, *(f"What is the capital of country number {n}?" for n in range(7))))
    rows = list(teacher.ledger.list_requests())
    assert {(row["state"], row["model"]) for row in rows} == {("done", "smollm2-135m-instruct")}
    assert all(0 < row["completion_tokens"] <= 12 and row["prompt_tokens"] > 10 for row in rows)


def test_requests_hold_no_path(teacher: Teacher, packaged_model: Path) -> None:
    """Requests name the model and never a path of this machine, also for a GGUF file."""
    by_path = TeacherSettings(backend="embedded", model=str(packaged_model))
    assert by_path.model_name == packaged_model.stem
    assert teacher.make_request("q", About("annotate", 0, "d")).body["model"] == "smollm2-135m-instruct"
    assert EmbeddedBackend(by_path).path == packaged_model


def test_it_stops_with_the_run(tmp_path: Path) -> None:
    """Closing the teacher ends its server."""
    settings = TeacherSettings(backend="embedded", model=MODEL, max_tokens=2, embedded=SMALL)
    ledger = Ledger(tmp_path / "ledger.sqlite")
    with Teacher(EmbeddedBackend(settings), ledger, Budget(BudgetSettings(max_examples=9)), settings) as teacher:
        ask(teacher, "Hello?")
        process = get_process(teacher)
        assert process.poll() is None
    assert process.poll() is not None


def test_it_stops_when_its_parent_is_killed() -> None:
    """A server whose parent is killed by SIGKILL ends too, since its standard input closes."""
    code = f"""
import json, sys, time
from limbeck.teacher.backends.embedded import find_gguf, start_server
settings = {{"path": str(find_gguf({MODEL!r})), "alias": "m", "key": "k", "slots": 1, "context": 256, "threads": 1}}
process, url = start_server(settings)
print(process.pid, flush=True)
time.sleep(60)
"""
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    for _ in range(100):
        try:
            if Path(f"/proc/{child}/stat").read_text().split()[2] == "Z":
                return
            os.kill(child, 0)
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    pytest.fail("the server outlived its parent")


def test_a_server_that_dies_is_started_again(teacher: Teacher) -> None:
    """A server that is killed during a run is started again and answers the next requests."""
    first = ask(teacher, "What is the capital of France?")
    get_process(teacher).kill()
    get_process(teacher).wait()
    assert ask(teacher, "What is the capital of France?") == first  # from the ledger
    ask(teacher, "What is the capital of Italy?")
    assert [row["state"] for row in teacher.ledger.list_requests()] == ["done", "done"]
    assert get_process(teacher).poll() is None


def test_a_server_that_keeps_dying_ends_the_asking(teacher: Teacher, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a few starts a server that does not stay up ends the asking with an error."""
    backend = teacher.backend
    assert isinstance(backend, EmbeddedBackend)
    backend._start_count = 4
    with pytest.raises(TeacherError, match="died 4 times"):
        ask(teacher, "Hello?")


def test_strangers_are_refused(teacher: Teacher) -> None:
    """The server accepts requests only with the secret that this process generated."""
    ask(teacher, "Hello?")
    backend = teacher.backend
    assert isinstance(backend, EmbeddedBackend)
    backend._key = "guess"
    with pytest.raises(TeacherError, match="answered 401"):
        ask(teacher, "Hello again?")


def test_replies_by_json_schema(tmp_path: Path) -> None:
    """The server constrains replies to a JSON schema if the request has one."""
    settings = TeacherSettings(backend="embedded", model=MODEL, max_tokens=60, embedded=SMALL, json_schema=True)
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "string", "enum": ["yes", "no"]}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    ledger = Ledger(tmp_path / "ledger.sqlite")
    with Teacher(EmbeddedBackend(settings), ledger, Budget(BudgetSettings(max_examples=9)), settings) as teacher:
        (outcome,) = teacher.ask_many([teacher.make_request("Is it raining?", About("synthesize", 0, "d"), schema=schema)])
    assert outcome.reply is not None
    assert json.loads(outcome.reply.text)["answer"] in ("yes", "no")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"No such file or directory; expected a \.gguf file or packaged:NAME"),
        (b"GG", "is not a GGUF file: it begins with b'GG'"),
        (b"PK\x03\x04x", "is not a GGUF file: it begins with b'PK"),
    ],
)
def test_files_that_are_no_gguf(tmp_path: Path, content: bytes | None, message: str) -> None:
    """A missing file and a file of another kind are refused before anything is started."""
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        EmbeddedBackend(TeacherSettings(backend="embedded", model=str(path)))


def test_a_gguf_that_is_broken_inside(tmp_path: Path) -> None:
    """A file that starts like a GGUF file but can't be loaded is an error that names it."""
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF" + b"\x00" * 500)
    settings = TeacherSettings(backend="embedded", model=str(path), embedded=SMALL)
    backend = EmbeddedBackend(settings)
    request = TeacherRequest("m", ({"role": "user", "content": "q"},), {"max_tokens": 3}, About("annotate", 0, "d"))
    with pytest.raises(BackendError, match=r"could not load broken\.gguf with 4 slots of 512 tokens") as raised:
        asyncio.run(backend.send(request))
    assert raised.value.is_fatal


def test_a_server_that_is_asked_for_too_much() -> None:
    """A prompt longer than a slot's context fails only that request."""
    settings = TeacherSettings(backend="embedded", model=MODEL, embedded=EmbeddedSettings(slots=1, context=256))
    backend = EmbeddedBackend(settings)
    long = TeacherRequest("m", ({"role": "user", "content": "word " * 2000},), {"max_tokens": 3}, About("annotate", 0, "d"))

    async def send() -> None:
        try:
            await backend.send(long)
        finally:
            await backend.close()

    with pytest.raises(BackendError, match=r"answered 400.*context") as raised:
        asyncio.run(send())
    assert not raised.value.is_transient
    assert not raised.value.is_fatal


def test_start_and_stop_by_hand(packaged_model: Path) -> None:
    """`start_server` returns a process and the URL it listens on, and `stop` ends it."""
    how = {"path": str(packaged_model), "alias": "m", "key": "k", "slots": 1, "context": 256, "threads": 1}
    process, url = start_server(how)
    assert url.startswith("http://127.0.0.1:")
    stop(process)
    assert process.returncode is not None


def test_a_port_in_use_is_said_before_anything_is_loaded() -> None:
    """A port that another program uses is an error that names it and the remedy, and a free port passes."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = TeacherSettings(backend="embedded", model=MODEL, embedded=SMALL.model_copy(update={"port": port}))
        with pytest.raises(TeacherError, match=rf"teacher\.embedded\.port = {port} can't be used \(Address already in use\)"):
            check_teacher(EmbeddedBackend(settings), settings)
    assert check_teacher(EmbeddedBackend(settings), settings) == ""
