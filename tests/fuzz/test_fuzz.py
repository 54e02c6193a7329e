"""A small part of ``make fuzz``, which runs 10,000 cases per target."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from tests.fuzz.raw_server import make_response, serve_bytes
from tests.fuzz.runner import SEED, run_cases
from tests.fuzz.targets import KEY, TARGETS, check_error, check_stored, hurry

from limbeck.teacher.backends.openai_compatible import OpenAIBackend
from limbeck.teacher.request import About, BackendError, TeacherRequest
from limbeck.teacher.settings import TeacherSettings

CASES = 200
RESPONSES = 300


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_only_documented_errors_come_out(name: str, tmp_path: Path) -> None:
    """Any config, data file, server response, reply or template is either read or refused, and quickly."""
    with hurry():
        ends, failures = run_cases(name, TARGETS[name], range(CASES), tmp_path)
    assert not failures, "\n".join(failures.values())
    assert sum(ends.values()) == CASES
    assert len(ends) > 1, f"all cases of {name} ended the same way: {ends}"


def test_any_bytes_of_a_server_are_a_reply_or_a_backend_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a real connection, broken HTTP, framing or compression raises `BackendError`, and an intact reply is read."""
    monkeypatch.setenv("FUZZ_KEY", KEY)
    ends = asyncio.run(_ask_all([make_response(random.Random(f"{SEED}/raw/{number}")) for number in range(RESPONSES)]))
    assert ends["replied"] > RESPONSES // 20
    assert ends["failed"] > RESPONSES // 4


async def _ask_all(answers: list[bytes]) -> dict[str, int]:
    ends = {"replied": 0, "failed": 0}
    request = TeacherRequest("m", ({"role": "user", "content": "2 + 2"},), {"max_tokens": 50}, About("annotate", 0, "d"))
    count = len(answers)
    async with serve_bytes(answers) as url:
        settings = TeacherSettings(
            backend="openai_compatible", model="m", base_url=url, api_key_env="FUZZ_KEY", timeout_s=3.0, max_tokens=50
        )
        for _ in range(count):
            backend = OpenAIBackend(settings)
            try:
                check_stored(await backend.send(request))
                ends["replied"] += 1
            except BackendError as error:
                check_error(error)
                ends["failed"] += 1
            finally:
                await backend.close()
    return ends
