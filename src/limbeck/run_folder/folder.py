"""The run folder: all files of a run, including everything that reports need and that a run resumes from."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from limbeck.data.example import Example, Rejected
from limbeck.errors import ConfigError, DataError
from limbeck.evaluation.metrics import Prediction
from limbeck.run_folder.files import JsonFile, RowsFile
from limbeck.run_folder.plan import Plan
from limbeck.run_folder.stage import StageFolder
from limbeck.system.files import explain_storage, is_locked, write_text

LOCK, LEDGER, CONFIG, STATE, PLAN, PROBE = "lock", "ledger.sqlite", "config.yaml", "run.json", "plan.json", "probe.json"
# Files that a folder may contain before a run starts there: a probe's, and those that a run writes before its state.
_BEFORE_A_RUN = frozenset({LOCK, CONFIG, PROBE, LEDGER, f"{LEDGER}-wal", f"{LEDGER}-shm"})
_LOCK_TIMEOUT_S = 0.2  # `is_held` shares the lock for a moment to test it
_STAGE = re.compile(r"(?:stage|round)_(\d+)")


class RunFolder:
    """The folder of one run. `open` locks it for this process; readers need no lock."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[RunFolder]:
        """Open the folder, creating it if necessary, and lock it for this process until the context ends.

        Raises:
            ConfigError: another process holds it; the message names its pid and host.
            StorageError: the folder can't be written.
        """
        with explain_storage(path):
            path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path / LOCK, timeout=_LOCK_TIMEOUT_S)
            try:
                lock.acquire()
            except Timeout:
                holder = _read_holder(path) or "another process"
                raise ConfigError(f"{path} is in use by {holder}; wait for it to end, or choose another --out") from None
            with contextlib.suppress(PermissionError):  # Windows locks the content too
                (path / LOCK).write_text(f"pid {os.getpid()} on {socket.gethostname()}", "utf-8")
        try:
            yield cls(path)
        finally:
            lock.release()

    @property
    def is_held(self) -> bool:
        """Whether a process is running in the folder now."""
        path = self.path / LOCK
        try:
            return path.exists() and is_locked(path)
        except OSError:  # this process can't read the lock, or the file system has none, so it can only look up the holder
            return _is_alive(_read_holder(self.path))

    @property
    def is_free(self) -> bool:
        """Whether a run may start here: the folder is empty, or contains only a probe and its ledger."""
        names = {path.name for path in self.path.iterdir() if not path.name.endswith(".tmp")}
        return names <= _BEFORE_A_RUN and (LEDGER not in names or PROBE in names)

    @property
    def state(self) -> dict[str, Any]:
        """``run.json``: status, versions, seed and what the run is doing; empty before the first write.

        Raises:
            DataError: the file is damaged.
        """
        file = self._state
        return file.read() if file.exists() else {}

    def update_state(self, **facts: object) -> None:
        """Change some entries of ``run.json``."""
        self._state.write({**self.state, **facts})

    @property
    def _state(self) -> JsonFile[dict[str, Any]]:
        return JsonFile(self.path / STATE, dict)

    @property
    def has_config(self) -> bool:
        """Whether ``config.yaml`` exists."""
        return (self.path / CONFIG).exists()

    @property
    def config(self) -> dict[str, Any]:
        """``config.yaml`` as plain values.

        Raises:
            DataError: the file is missing or damaged.
        """
        path = self.path / CONFIG
        try:
            values = yaml.safe_load(path.read_text("utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise DataError(f"{path}: {error}; the folder is damaged, choose another --out") from error
        if not isinstance(values, dict):
            raise DataError(f"{path}: expected a mapping of settings; the folder is damaged, choose another --out")
        return values

    def write_config(self, values: Mapping[str, Any]) -> None:
        """Write ``config.yaml``."""
        write_text(self.path / CONFIG, yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True))

    @property
    def ledger(self) -> Path:
        """The ledger's database."""
        return self.path / LEDGER

    @property
    def plan(self) -> JsonFile[Plan]:
        """The plan made before the run asked anything."""
        return JsonFile(self.path / PLAN, Plan.from_json, "delete it, so that the run plans again, or choose another --out")

    @property
    def probe(self) -> JsonFile[dict[str, Any]]:
        """What a probe asked before the run, and what it cost."""
        return JsonFile(self.path / PROBE, dict)

    @property
    def left_out(self) -> RowsFile[Rejected]:
        """Training rows that leak into dev or test."""
        return RowsFile(self.path / "left_out.jsonl", lambda row: Rejected(**row))

    @property
    def premixed(self) -> RowsFile[Example]:
        """What was synthesized before stage 0 (``pooling: premixed``)."""
        return RowsFile(self.path / "premixed.jsonl", Example.from_json)

    @property
    def premixed_rejected(self) -> RowsFile[Rejected]:
        """What was synthesized before stage 0 and rejected."""
        return RowsFile(self.path / "premixed_rejected.jsonl", lambda row: Rejected(**row))

    @property
    def diversity(self) -> JsonFile[dict[str, Any]]:
        """How varied all synthesized examples are."""
        return JsonFile(self.path / "diversity.json", dict)

    @property
    def student(self) -> Path:
        """The folder of the final student."""
        return self.path / "student"

    @property
    def training_rows(self) -> RowsFile[dict[str, Any]]:
        """The final training set as conversational rows."""
        return RowsFile(self.path / "train.jsonl", dict)

    @property
    def metrics(self) -> JsonFile[dict[str, Any]]:
        """The metrics of the final student on the test rows."""
        return JsonFile(self.path / "metrics.json", dict)

    @property
    def baseline_predictions(self) -> RowsFile[Prediction]:
        """The untouched student's predictions on the test rows."""
        return RowsFile(self.path / "baseline" / "predictions.jsonl", lambda row: Prediction(**row))

    @property
    def teacher_predictions(self) -> RowsFile[Prediction]:
        """The teacher's own predictions on the test rows."""
        return RowsFile(self.path / "teacher" / "predictions.jsonl", lambda row: Prediction(**row))

    def write_card(self, text: str) -> None:
        """Write the model card."""
        write_text(self.path / "README.md", text)

    def stage(self, index: int) -> StageFolder:
        """The folder of one stage of BalDistill."""
        return StageFolder(self.path / f"stage_{index}")

    def round(self, index: int) -> StageFolder:
        """The folder of one round of GOLD."""
        return StageFolder(self.path / f"round_{index}")

    @property
    def final(self) -> StageFolder:
        """The folder of the student that is trained after the last round (GOLD)."""
        return StageFolder(self.path / "final")

    @property
    def stages(self) -> list[StageFolder]:
        """The stages or rounds that have collected examples, in order."""
        found = [StageFolder(path) for path in self.path.glob("*_*") if _STAGE.fullmatch(path.name)]
        return sorted((stage for stage in found if stage.quotas.exists()), key=lambda stage: stage.index)

    def is_student_final(self, training_set: Sequence[Example]) -> bool:
        """Whether `student` was trained on exactly these examples, according to `training_rows`, which is written after it."""
        if not self.training_rows.exists() or not self.student.exists():
            return False
        # With separate objectives an example has two rows, the second for its rationale.
        ids = [row["id"] for row in self.training_rows.read() if row.get("objective") != "rationale"]
        return ids == [example.id for example in training_set]


def find_ledger(path: Path) -> Path:
    """Find the ledger of a path, which is a run folder or the ledger itself."""
    return path / LEDGER if path.is_dir() else path


def _read_holder(path: Path) -> str:
    """``pid N on HOST`` of the process that holds or last held a folder, or an empty string."""
    try:
        return (path / LOCK).read_text("utf-8").strip()
    except (OSError, ValueError):
        return ""


def _is_alive(holder: str) -> bool:
    """Whether a holder may still be running; one on another host can't be checked and counts as running."""
    match = re.fullmatch(r"pid (\d+) on (.*)", holder)
    if match is None:
        return False
    if match[2] != socket.gethostname() or os.name == "nt":  # Windows has no signal that only tests
        return True
    try:
        os.kill(int(match[1]), 0)
    except ProcessLookupError:
        return False
    except OSError:  # it runs as another user
        return True
    return True
