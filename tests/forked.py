"""What `tests.zygote` runs in its forks: a `limbeck` command, whose events a test may watch or kill it at."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import transformers
import trl  # noqa: F401 (loaded before the forks)
from transformers import LlamaForCausalLM

import limbeck.engines.local
import limbeck.runner.run  # noqa: F401
from limbeck.cli import main as cli
from limbeck.fake_teacher import server as fake_server  # noqa: F401
from limbeck.student import fine_tune, generate, model, scores  # noqa: F401
from limbeck.teacher.backends.openai_compatible import OpenAIBackend
from limbeck.teacher.client import ledger  # noqa: F401
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.request import Reply, TeacherRequest


class Observer:
    """Records the events of a command, and kills it at the requested one."""

    def __init__(self, events: str | None, kill: Sequence[Any] | None) -> None:
        self._file = None if events is None else Path(events).open("w", 1, "utf-8")  # noqa: SIM115 (lives as long as the fork)
        self._name, self._number = kill or (None, 0)
        self._counts: Counter[str] = Counter()

    def see(self, name: str) -> None:
        self._counts[name] += 1
        if self._file is not None:
            self._file.write(f"{name}\n")
        if name == self._name and self._counts[name] == self._number:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        """Add events around commits, requests, file writes, training steps and evaluation steps."""
        commit, send, sync, rename = Ledger._commit, OpenAIBackend.send, os.fsync, Path.replace
        step, forward = transformers.Trainer.training_step, LlamaForCausalLM.forward

        def watch_commit(book: Ledger, writes: Sequence[Callable[[sqlite3.Connection], Any]]) -> list[Any]:
            self.see("commit begins")
            results = commit(book, [*writes, lambda db: self.see("commit written")])
            self.see("commit done")
            return results[:-1]

        async def watch_send(backend: OpenAIBackend, request: TeacherRequest) -> Reply:
            self.see(f"{request.about.purpose} sent")
            reply = await send(backend, request)
            self.see(f"{request.about.purpose} answered")
            return reply

        def watch_sync(descriptor: int) -> None:
            sync(descriptor)
            self.see("file synced")

        def watch_rename(path: Path, target: Path) -> Path:
            self.see("file renamed")
            return rename(path, target)

        def watch_step(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            self.see("training step")
            return step(*args, **kwargs)

        def watch_forward(student: LlamaForCausalLM, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            if not student.training:
                self.see("evaluation step")
            return forward(student, *args, **kwargs)

        Ledger._commit = watch_commit  # type: ignore[method-assign]
        OpenAIBackend.send = watch_send  # type: ignore[method-assign]
        os.fsync = watch_sync  # type: ignore[assignment]
        Path.replace = watch_rename  # type: ignore[method-assign,assignment]
        transformers.Trainer.training_step = watch_step
        LlamaForCausalLM.forward = watch_forward  # type: ignore[method-assign]


def run(command: dict[str, Any], descriptors: Sequence[int]) -> None:
    """Run a command in this fork with these descriptors as stdin, stdout and stderr, and end the fork with its exit code."""
    for stream, descriptor in enumerate(descriptors):
        os.dup2(descriptor, stream)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(command["env"])
    os.chdir(command["cwd"])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN if number in command.get("ignored", ()) else usual)
    sys.executable = os.environ.get("PYTHON_OF_FORKS", sys.executable)
    Observer(command.get("events"), command.get("kill")).watch()
    sys.argv = ["limbeck", *command["args"]]
    code: object = 0
    try:
        cli.main()
    except SystemExit as ended:
        code = ended.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0)
