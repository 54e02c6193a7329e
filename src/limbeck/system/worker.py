"""A process for work on text that nobody vouches for: it may hang, grow without end or die, and harms nobody.

Questions and answers are lines of JSON, so that what comes back is data and never code, however the work went wrong.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from limbeck.errors import ConfigError

START_TIMEOUT_S = 60.0
CPU_LIMIT_S = 60
"""Processor time after which a worker ends by itself, since whoever asked may be gone."""
MAX_BYTES = 2 * 2**30
_CHUNK = 65_536


class WorkerLost(Exception):
    """The worker gave no answer in time, or died; the next question starts another one."""


class Worker:
    """The process of one module that calls `serve`; it starts at the first question and again after it was lost."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.stop)

    def ask(self, question: object, timeout_s: float) -> Any:  # noqa: ANN401 (whatever the module answers)
        """The answer to a question, both JSON values.

        Raises:
            WorkerLost: no answer within `timeout_s` seconds; or none at all, where the question took too much memory.
            ConfigError: the worker can't be started.
        """
        process = self._start()
        try:
            return self._exchange(process, json.dumps(question).encode() + b"\n", timeout_s)
        except (WorkerLost, BrokenPipeError) as error:
            self.stop()
            raise WorkerLost(str(error)) from error
        except BaseException:
            self.stop()  # else the next question would get the answer to this one
            raise

    def stop(self) -> None:
        """Kill the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
        self._process = None

    def _start(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.stop()
            # -P: a file in the working folder must not take the place of a library's.
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-P", "-m", self._module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            try:
                self._exchange(self._process, b"", START_TIMEOUT_S)
            except (WorkerLost, BrokenPipeError) as error:
                self.stop()
                raise ConfigError(
                    f"the process of {self._module} did not start within {START_TIMEOUT_S:g} s; is limbeck installed whole?"
                ) from error
        return self._process

    @staticmethod
    def _exchange(process: subprocess.Popen[bytes], line: bytes, timeout_s: float) -> Any:  # noqa: ANN401
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 (pipes, by `_start`)
        process.stdin.write(line)
        process.stdin.flush()
        end, chunks = time.monotonic() + timeout_s, [b""]
        while not chunks[-1].endswith(b"\n"):
            left_s = end - time.monotonic()
            if left_s <= 0 or not select.select([process.stdout], [], [], left_s)[0]:
                raise WorkerLost(f"no answer within {timeout_s:g} s")
            chunks.append(os.read(process.stdout.fileno(), _CHUNK))
            if not chunks[-1]:
                raise WorkerLost("it took too much memory, or time")
        return json.loads(b"".join(chunks))


def serve(answer: Callable[[Any], object]) -> None:
    """Answer the questions of standard input until it ends; what a module that a `Worker` runs does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever asks
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_BYTES if hard == resource.RLIM_INFINITY else min(MAX_BYTES, hard), hard))
    out, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no answer
    print("true", file=out, flush=True)
    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_PROF, CPU_LIMIT_S)  # ends the process, in whatever code it is
        text = json.dumps(answer(json.loads(line)))
        signal.setitimer(signal.ITIMER_PROF, 0)
        print(text, file=out, flush=True)
