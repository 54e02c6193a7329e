"""Runs the arms of a comparison, each run as its own `limbeck run` process, several at once and none twice."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.config.config import Config
from limbeck.run_folder.comparison import ComparisonFolder
from limbeck.run_folder.folder import RunFolder
from limbeck.system.files import explain_storage
from limbeck.system.interrupts import interruptible
from limbeck.system.processors import count_processors

TEACHER = "teacher"
"""The arm that measures the teacher itself."""
POLL_S = 0.1
STOP_S = 60.0  # how long a run may take to stop before it is killed
ASK_AGAIN_S = 5.0


@dataclass(frozen=True)
class ArmRun:
    """One run of a comparison.

    Attributes:
        arm: the preset, or the name of the reference.
        folder: the comparison's folder.
        config: the config as the run will read it.
        arguments: the arguments of ``limbeck run`` that give this config.
    """

    arm: str
    seed: int
    folder: ComparisonFolder
    config: Config
    arguments: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of the run in messages."""
        return f"{self.arm}, seed {self.seed}"

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.folder.run(self.arm, self.seed)

    @property
    def log(self) -> Path:
        """The file with what the run wrote to stderr, including earlier attempts."""
        return self.folder.log(self.arm, self.seed)

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do: the run is done, or a cap ended it and its caps are still the same."""
        folder = RunFolder(self.path)
        state = folder.state
        if not folder.metrics.exists() or folder.is_held:
            return False
        caps = self.config.budget.model_dump(mode="json")
        return bool(state.get("status") == "done" or (state.get("status") == "budget" and folder.config["budget"] == caps))

    def read_record(self) -> dict[str, Any]:
        """Return ``{exit_code, seconds, jobs, last_line}``; jobs is the most runs at once. Runs started by hand have none."""
        file = self.folder.record(self.arm, self.seed)
        none = {"exit_code": None, "seconds": None, "jobs": 1, "last_line": ""}
        return none | (file.read() if file.exists() else {})

    def read_metrics(self) -> dict[str, Any]:
        """Return the metrics of the finished run."""
        return RunFolder(self.path).metrics.read()


def run_all(runs: Sequence[ArmRun], jobs: int, on_note: Callable[[str], None]) -> None:
    """Run what is not finished, at most `jobs` at once, and record how each run ended. A failure does not stop the others.

    An interruption (Ctrl-C, SIGTERM, SIGHUP) is passed on to all active runs; then it waits until they have stopped.
    """
    waiting = [run for run in runs if not run.is_finished]
    if len(waiting) < len(runs):
        on_note(f"{len(runs) - len(waiting)} of {len(runs)} runs are finished already")
    going: dict[int, tuple[ArmRun, subprocess.Popen[bytes], float]] = {}
    try:
        with interruptible():  # runs left behind would keep asking a teacher that costs money
            while waiting or going:
                while waiting and len(going) < jobs:
                    run = waiting.pop(0)
                    process = _start(run, jobs)
                    going[process.pid] = run, process, time.monotonic()
                    on_note(f"{run.name}: started ({len(waiting)} waiting)")
                time.sleep(POLL_S)
                for pid, (run, process, began) in list(going.items()):
                    if process.poll() is not None:
                        del going[pid]
                        _write_record(run, process.returncode, time.monotonic() - began, jobs)
                        on_note(_describe_end(run))
    finally:
        _stop([process for _, process, _ in going.values()])
        for run, process, began in going.values():
            _write_record(run, process.returncode, time.monotonic() - began, jobs)


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Interrupt runs and wait until they have recorded it; repeat the signal, since a library may swallow one."""
    began, asked = time.monotonic(), -math.inf
    while going := [process for process in processes if process.poll() is None]:
        now = time.monotonic()
        if now - asked >= ASK_AGAIN_S:
            asked = now
            for process in going:
                process.terminate() if now - began < STOP_S else process.kill()
        time.sleep(POLL_S)


def _start(run: ArmRun, jobs: int) -> subprocess.Popen[bytes]:
    environment = dict(os.environ)
    if jobs > 1:  # more threads than processors in total would slow all runs down
        environment.setdefault("OMP_NUM_THREADS", str(max(1, count_processors() // jobs)))
    with explain_storage(run.log):
        run.log.parent.mkdir(parents=True, exist_ok=True)
        with run.log.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 (our own command, no shell)
                [sys.executable, "-P", "-m", "limbeck", "run", *run.arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )


def _write_record(run: ArmRun, code: int, seconds: float, jobs: int) -> None:
    before = run.read_record()
    lines = run.log.read_text("utf-8", "replace").split("\n")
    last = next((" ".join(line.split())[:500] for line in reversed(lines) if line.strip()), "")
    if code < 0:
        last = f"ended by signal {-code}; last message: {last}"
    exit_code = code if code >= 0 else 130 if code == -signal.SIGTERM else 1
    record = {"exit_code": exit_code, "seconds": (before["seconds"] or 0.0) + seconds, "jobs": max(before["jobs"], jobs)}
    run.folder.record(run.arm, run.seed).write({**record, "last_line": last})


def _describe_end(run: ArmRun) -> str:
    record = run.read_record()
    if run.is_finished:
        return f"{run.name}: accuracy_macro {run.read_metrics()['accuracy_macro']:.3f} after " + (f"{record['seconds']:.0f} s")
    return f"{run.name}: failed with exit code {record['exit_code']}: {record['last_line']}"
