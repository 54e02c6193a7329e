"""The runs of a comparison: each a `limbeck run` in a process of its own, some at once, none done twice."""

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
from limbeck.run_folder.folder import RunFolder
from limbeck.system.files import explain_storage, read_json, write_json
from limbeck.system.interrupts import interruptible

TEACHER = "teacher"
"""The arm that measures the teacher itself."""
POLL_S = 0.1
STOP_S = 60.0  # how long a run that is told to stop may take to say so
ASK_AGAIN_S = 5.0


@dataclass(frozen=True)
class ArmRun:
    """One run of a comparison.

    Attributes:
        arm: the preset, or what the run is measured beside the arms for.
        config: as the run will read it.
        arguments: of ``limbeck run``, which give that config.
    """

    arm: str
    seed: int
    folder: Path
    config: Config
    arguments: tuple[str, ...]

    @property
    def name(self) -> str:
        """For a person."""
        return f"{self.arm}, seed {self.seed}"

    @property
    def log(self) -> Path:
        """What the run wrote to stderr, over all its processes."""
        return self.folder.with_name(f"{self.folder.name}.log")

    @property
    def record(self) -> Path:
        """How the run's last process ended, how long all of them took, and beside how many others."""
        return self.folder.with_name(f"{self.folder.name}.json")

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing more to do: it is done, or was ended by the caps that it would have now too."""
        folder = RunFolder(self.folder)
        state = folder.state
        if not (self.folder / "metrics.json").exists() or folder.is_held:
            return False
        caps = self.config.budget.model_dump(mode="json")
        return bool(state.get("status") == "done" or (state.get("status") == "budget" and folder.config["budget"] == caps))

    def read_record(self) -> dict[str, Any]:
        """``{exit_code, seconds, jobs, last_line}``, jobs the most runs at once; a run that another hand made has no record."""
        none = {"exit_code": None, "seconds": None, "jobs": 1, "last_line": ""}
        return none | (dict(read_json(self.record)) if self.record.exists() else {})


Tell = Callable[[str], None]


def run_all(runs: Sequence[ArmRun], jobs: int, tell: Tell) -> None:
    """Run what is not finished, at most `jobs` at once; how each ended is in its record. One that fails stops no other.

    An interruption (Ctrl-C, SIGTERM, SIGHUP) is passed on to all of them and waited for.
    """
    waiting = [run for run in runs if not run.is_finished]
    if len(waiting) < len(runs):
        tell(f"{len(runs) - len(waiting)} of {len(runs)} runs are finished already")
    going: dict[int, tuple[ArmRun, subprocess.Popen[bytes], float]] = {}
    try:
        with interruptible():  # runs that go on would ask a teacher that costs money
            while waiting or going:
                while waiting and len(going) < jobs:
                    run = waiting.pop(0)
                    process = _start(run, jobs)
                    going[process.pid] = run, process, time.monotonic()
                    tell(f"{run.name}: begun ({len(waiting)} waiting)")
                time.sleep(POLL_S)
                for pid, (run, process, began) in list(going.items()):
                    if process.poll() is not None:
                        del going[pid]
                        _write_record(run, process.returncode, time.monotonic() - began, jobs)
                        tell(_describe_end(run))
    finally:
        _stop([process for _, process, _ in going.values()])
        for run, process, began in going.values():
            _write_record(run, process.returncode, time.monotonic() - began, jobs)


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Interrupt runs and wait until they have said so in their folders; again and again, since a library may swallow one."""
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
    if jobs > 1:  # together no more threads than there are processors, or all of them crawl
        environment.setdefault("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // jobs)))
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
        last = f"ended by signal {-code}; before that: {last}"
    exit_code = code if code >= 0 else 130 if code == -signal.SIGTERM else 1
    record = {"exit_code": exit_code, "seconds": (before["seconds"] or 0.0) + seconds, "jobs": max(before["jobs"], jobs)}
    write_json(run.record, {**record, "last_line": last})


def _describe_end(run: ArmRun) -> str:
    record = run.read_record()
    if run.is_finished:
        return f"{run.name}: accuracy_macro {read_json(run.folder / 'metrics.json')['accuracy_macro']:.3f} after " + (
            f"{record['seconds']:.0f} s"
        )
    return f"{run.name}: failed with exit code {record['exit_code']}: {record['last_line']}"
