"""Runs untrusted parsing in a subprocess with time and memory limits.

Questions and answers are lines of JSON, so answers are data, never code.
"""

from __future__ import annotations

import atexit
import importlib
import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO, Any

from limbeck.errors import ConfigError

try:
    import resource
except ImportError:  # Windows has no resource limits; there only the timeout limits a worker
    resource = None  # type: ignore[assignment]

START_TIMEOUT_S = 60.0
CPU_LIMIT_S = 60
"""Processor seconds after which a worker ends itself, in case its parent is gone."""
MAX_BYTES = 2 * 2**30


class WorkerLost(Exception):
    """The worker did not answer in time, or died."""


class Worker:
    """A subprocess that calls functions of limbeck by name. It starts with the first question and restarts if it was lost."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._loaded: set[str] = set()
        self._lock = threading.Lock()
        atexit.register(self.stop)

    def ask(self, function: str, question: object, timeout_s: float) -> Any:  # noqa: ANN401 (whatever the function returns)
        """Call a function in the subprocess and return its value; question and value are JSON.

        Args:
            function: ``module:name``; the subprocess imports its module before the time starts.
            question: the one argument.
            timeout_s: seconds the function may take.

        Raises:
            WorkerLost: no answer within `timeout_s` seconds, or the subprocess died, for example for lack of memory.
            ConfigError: the subprocess can't be started.
        """
        with self._lock:
            try:
                process = self._start(function)
                return self._exchange(process, [function, question], timeout_s)
            except (WorkerLost, BrokenPipeError) as error:
                self.stop()
                raise WorkerLost(str(error)) from error
            except BaseException:
                self.stop()  # otherwise the next question would get this one's answer
                raise

    def stop(self) -> None:
        """Kill the subprocess, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
        self._process, self._loaded = None, set()

    def _start(self, function: str) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.stop()
            # -P: a file in the working folder must not take the place of a library.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "limbeck.system.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            self._answers = queue.SimpleQueue()
            threading.Thread(target=_collect, args=(self._process.stdout, self._answers), daemon=True).start()
        if function not in self._loaded:
            try:
                self._exchange(self._process, [function], START_TIMEOUT_S)
            except (WorkerLost, BrokenPipeError) as error:
                self.stop()
                raise ConfigError(
                    f"the subprocess for {function} did not start within {START_TIMEOUT_S:g} s; check limbeck's installation"
                ) from error
            self._loaded.add(function)
        return self._process

    def _exchange(self, process: subprocess.Popen[bytes], message: object, timeout_s: float) -> Any:  # noqa: ANN401
        assert process.stdin is not None  # noqa: S101 (a pipe, by `_start`)
        process.stdin.write(json.dumps(message).encode() + b"\n")
        process.stdin.flush()
        try:
            line = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            raise WorkerLost(f"no answer within {timeout_s:g} s") from None
        if not line:
            raise WorkerLost("it used too much memory or time")
        return json.loads(line)


def _collect(stream: IO[bytes], answers: queue.SimpleQueue[bytes]) -> None:
    """Pass on a stream's lines, then an empty one at its end. Runs in a thread: pipes have no timeouts on Windows."""
    try:
        for line in stream:
            answers.put(line)
    except ValueError:  # closed by `stop`
        pass
    answers.put(b"")


_WORKER = Worker()


def run_limited(function: str, question: object, timeout_s: float) -> Any:  # noqa: ANN401
    """Call `Worker.ask` of this process's worker.

    Raises:
        WorkerLost, ConfigError: see `Worker.ask`.
    """
    return _WORKER.ask(function, question, timeout_s)


def _load(function: str) -> Callable[[Any], object]:
    module, _, name = function.partition(":")
    found: Callable[[Any], object] = getattr(importlib.import_module(module), name)
    return found


def serve() -> None:
    """Answer the questions on standard input until it ends. Runs in the subprocess."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    if resource is not None:
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (MAX_BYTES if hard == resource.RLIM_INFINITY else min(MAX_BYTES, hard), hard))
    out, sys.stdout = sys.stdout, sys.stderr  # a library's prints must not mix with the answers
    for line in sys.stdin:
        function, *question = json.loads(line)
        answer: object = None
        if not question:
            _load(function)
        else:
            _limit_cpu(CPU_LIMIT_S)
            answer = _load(function)(question[0])
        text = json.dumps(answer)
        _limit_cpu(0)
        print(text, file=out, flush=True)


def _limit_cpu(seconds: float) -> None:
    """End the process after so many seconds of processor time, whatever code it is running; 0 removes the limit."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


if __name__ == "__main__":
    serve()
