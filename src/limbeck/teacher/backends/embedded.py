"""`embedded`: a real LLM without an API key: a llama.cpp server that limbeck starts on loopback and stops with the run.

It speaks the OpenAI protocol, so `OpenAIBackend` does everything except start and stop it. Any GGUF file works.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from limbeck.data.task import Task
from limbeck.errors import ConfigError
from limbeck.packaged import PREFIX, find_packaged
from limbeck.teacher.backends.openai_compatible import OpenAIBackend
from limbeck.teacher.request import BackendError, Reply, TeacherRequest
from limbeck.teacher.settings import TeacherSettings

START_TIMEOUT_S = 180.0
MAX_STARTS = 4
MAGIC = b"GGUF"


class EmbeddedBackend(OpenAIBackend):
    """The server and its client. The server starts at the first request and again if it dies, at most `MAX_STARTS` times.

    Raises:
        ConfigError: the file is missing or not a GGUF file, or `xllamacpp` is not installed.
    """

    def __init__(self, settings: TeacherSettings) -> None:
        self.path = find_gguf(settings.model)
        if find_spec("xllamacpp") is None:
            raise ConfigError("teacher.backend: embedded needs the xllamacpp wheel: pip install -e '.[embedded]'")
        self._secret = secrets.token_urlsafe(24)
        super().__init__(settings.model_copy(update={"base_url": "http://127.0.0.1:9/v1"}))  # replaced once the server listens
        self._key = self._secret
        self._process: subprocess.Popen[str] | None = None
        self._slots: asyncio.Semaphore | None = None
        self._start_count = 0

    async def send(self, request: TeacherRequest) -> Reply:
        """Make one attempt at one request; at most one per slot is sent at once, so that none waits in the server's queue."""
        if self._slots is None:
            self._slots = asyncio.Semaphore(self._settings.embedded.slots)
        async with self._slots:
            return await super().send(request)

    async def check(self) -> str:
        """Check that the port is free. The file was checked on opening, and the model is not loaded, since that takes time."""
        if self._process is None:
            check_port(self._settings.embedded.port)
        return ""

    async def close(self) -> None:
        """Close the connections and stop the server."""
        await super().close()
        self._slots = None
        if self._process is not None:
            stop(self._process)
            self._process = None

    def _open(self) -> ClientSession:
        if self._process is None or self._process.poll() is not None:
            self._start()
        return super()._open()

    def _start(self) -> None:
        """Start the server and block until its model is loaded; no request could proceed meanwhile."""
        self._start_count += 1
        if self._start_count > MAX_STARTS:
            raise BackendError(f"the llama.cpp server of {self.path.name} died {MAX_STARTS} times", is_fatal=True)
        embedded = self._settings.embedded
        check_port(embedded.port)
        self._process, self._url = start_server(
            {
                "path": str(self.path),
                "alias": self._settings.model_name,
                "key": self._secret,
                "slots": embedded.slots,
                "context": embedded.context,
                "threads": embedded.threads,
                "port": embedded.port,
            }
        )


def find_gguf(model: str) -> Path:
    """The GGUF file that ``teacher.model`` names: a packaged model, or a path.

    Raises:
        ConfigError: the file can't be read or is not a GGUF file.
    """
    path = find_packaged(model.removeprefix(PREFIX)) if model.startswith(PREFIX) else Path(model)
    try:
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
    except OSError as error:
        fault = error.strerror or error
        raise ConfigError(f"teacher.model {model}: {fault}; expected a .gguf file or {PREFIX}NAME") from error
    if magic != MAGIC:
        raise ConfigError(f"teacher.model {path} is not a GGUF file: it begins with {magic!r}, not {MAGIC!r}")
    return path


def check_port(port: int | None) -> None:
    """Refuse a port that another program listens on; llama.cpp would only report that it could not start.

    Raises:
        BackendError: the port is in use.
    """
    if port is None:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise BackendError(
                f"teacher.embedded.port = {port} can't be used ({error.strerror or error}); set another port, or null for any "
                "free one",
                is_fatal=True,
            ) from error


def start_server(settings: Mapping[str, Any]) -> tuple[subprocess.Popen[str], str]:
    """Start the server process and return it with its base URL once the model is loaded.

    Raises:
        BackendError: the server did not start; the message quotes its last output.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "limbeck.teacher.backends.llama_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 (pipes, by the lines above)
        too_late = threading.Timer(START_TIMEOUT_S, process.kill)
        too_late.start()
        try:
            process.stdin.write(json.dumps(dict(settings)) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            too_late.cancel()
        answer = json.loads(line) if line.strip() else {}
        if "url" in answer:
            return process, answer["url"]
        stop(process)
        log.seek(0)
        said = answer.get("error") or " ".join(log.read()[-300:].split()) or f"no answer within {START_TIMEOUT_S:g} s"
        raise BackendError(
            f"the llama.cpp server could not load {Path(settings['path']).name} with {settings['slots']} slots of "
            f"{settings['context']} tokens: {said}",
            is_fatal=True,
        )


def stop(process: subprocess.Popen[str]) -> None:
    """Kill a server process and wait for it to end."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def open_embedded(settings: TeacherSettings, task: Task) -> EmbeddedBackend:
    """Open the backend of the settings; the task is not used."""
    return EmbeddedBackend(settings)
