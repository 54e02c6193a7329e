"""The run folder: every file of a run; all that a report needs, and all that resumes."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import yaml

from limbeck.data.example import Example
from limbeck.errors import ConfigError, DataError
from limbeck.system.files import explain_storage, read_json, read_json_lines, write_json, write_text

TAKE_TRIES, TAKE_PAUSE_S = 10, 0.02


@dataclass(frozen=True)
class StageFolder:
    """``stage_<i>/``: `examples.jsonl` ends the collecting, ``student/`` the training, `done` the stage."""

    path: Path

    @property
    def is_done(self) -> bool:
        """Whether the stage's marker is there, which is written last."""
        return (self.path / "done").exists()

    @property
    def student(self) -> Path:
        """Where the stage's student is."""
        return self.path / "student"

    @property
    def is_collected(self) -> bool:
        """Whether the stage's examples are complete."""
        return (self.path / "examples.jsonl").exists() and not self.is_cut_short

    @property
    def is_cut_short(self) -> bool:
        """Whether a cap of the budget ended the collecting before the quotas were filled."""
        return (self.path / "examples.jsonl").exists() and read_json(self.path / "quotas.json")["is_cut_short"]

    def drop_student(self) -> None:
        """Throw the student away, whose weights another has been trained on from."""
        shutil.rmtree(self.student, ignore_errors=True)

    def read_scores(self) -> list[dict[str, Any]] | None:
        """The stage's scores, or None where none were written."""
        path = self.path / "scores.jsonl"
        return read_json_lines(path) if path.exists() else None

    def mark_done(self) -> None:
        """Write the marker."""
        write_text(self.path / "done", "")

    def restart(self) -> None:
        """Throw away all that followed the choosing in a stage that was cut short; what it paid for is in the ledger."""
        kept_back = ("scores.jsonl", "selection.json", "held_out.jsonl", "feedback.jsonl", "examples.jsonl", "quotas.json")
        for path in self.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in kept_back:
                path.unlink()
        # These two last and in this order, so that a stage whose restart is interrupted is still one to restart.
        (self.path / "examples.jsonl").unlink()
        (self.path / "quotas.json").unlink()


def _take(lock: IO[str]) -> bool:
    """Whether this process has the lock now. Tried for a moment, since `RunFolder.is_held` takes it to see whether it can."""
    for _ in range(TAKE_TRIES):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(TAKE_PAUSE_S)
        else:
            return True
    return False


class RunFolder:
    """One run's folder. `open` locks it for this process; readers need no lock."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[RunFolder]:
        """The folder, made if need be and held by this process alone until the context ends.

        Raises:
            ConfigError: another process holds it; the message has its pid and host.
        """
        with explain_storage(path):
            path.mkdir(parents=True, exist_ok=True)
            lock = (path / "lock").open("a+", encoding="utf-8")
        with lock:
            if not _take(lock):
                lock.seek(0)
                holder = lock.read().strip() or "another process"
                raise ConfigError(f"{path} is in use by {holder}; wait for it to end, or choose another --out")
            with explain_storage(path):
                lock.truncate(0)
                lock.write(f"pid {os.getpid()} on {socket.gethostname()}")
                lock.flush()
            yield cls(path)

    def is_student_final(self, training_set: Sequence[Example]) -> bool:
        """Whether ``student/`` is there and was trained on just these examples, by ``train.jsonl``, written after it."""
        path = self.path / "train.jsonl"
        if not path.exists() or not (self.path / "student").exists():
            return False
        # Where the objectives are separate an example has two rows, of which this is the second.
        ids = [row["id"] for row in read_json_lines(path) if row.get("objective") != "rationale"]
        return ids == [example.id for example in training_set]

    @property
    def is_held(self) -> bool:
        """Whether a process is running in the folder now."""
        path = self.path / "lock"
        if not path.exists():
            return False
        with path.open(encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def stage(self, index: int) -> StageFolder:
        """The folder of one stage."""
        return StageFolder(self.path / f"stage_{index}")

    def round(self, index: int) -> StageFolder:
        """The folder of one round of GOLD."""
        return StageFolder(self.path / f"round_{index}")

    @property
    def state(self) -> dict[str, Any]:
        """``run.json``: status, versions, seed and what the run is doing; empty before the first write."""
        path = self.path / "run.json"
        return dict(read_json(path)) if path.exists() else {}

    @property
    def config(self) -> dict[str, Any]:
        """``config.yaml`` as plain values.

        Raises:
            DataError: the file is missing or broken.
        """
        path = self.path / "config.yaml"
        try:
            values = yaml.safe_load(path.read_text("utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise DataError(f"{path}: {error}; the folder is damaged, choose another --out") from error
        if not isinstance(values, dict):
            raise DataError(f"{path}: no config in it; the folder is damaged, choose another --out")
        return values

    def update_state(self, **facts: object) -> None:
        """Change some facts of ``run.json``."""
        write_json(self.path / "run.json", {**self.state, **facts})
