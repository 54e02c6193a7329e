"""Everything in a run folder, as typed objects that are read when first used."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from limbeck.data.example import Example, Rejected
from limbeck.errors import DataError
from limbeck.evaluation.metrics import Prediction
from limbeck.run_folder.folder import RunFolder
from limbeck.run_folder.metrics import Metrics
from limbeck.run_folder.plan import Plan
from limbeck.run_folder.rows import Rows
from limbeck.run_folder.status import Status, read_status
from limbeck.teacher.client.ledger import Ledger, LedgerRow


class Run:
    """A run, read from its folder. Each attribute is read once, when it is first used.

    Raises:
        DataError: the folder contains no run, or one of its files is damaged.
        StorageError: the ledger can't be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = RunFolder(path)
        if not self._folder.state:
            raise DataError(f"{path}: no run here (run.json is missing)")

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @cached_property
    def status(self) -> Status:
        """State, stage, spend against each cap, and domains."""
        return read_status(self.path)

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The config as plain values."""
        return self._folder.config

    @cached_property
    def plan(self) -> Plan | None:
        """The plan that was made before anything was asked."""
        return self._folder.plan.read() if self._folder.plan.exists() else None

    @cached_property
    def metrics(self) -> Metrics | None:
        """The metrics of the final student; None before the end, or without test rows."""
        return Metrics(self._folder.metrics.read()) if self._folder.metrics.exists() else None

    @cached_property
    def examples(self) -> Rows[Example]:
        """All kept examples, in the order kept; GOLD's probes too."""
        kept: list[Example] = []
        for stage in self._folder.stages:
            kept += stage.examples.read() if stage.examples.exists() else []
            for row in stage.probes.read() if stage.probes.exists() else ():
                kept.append(Example.from_json({name: value for name, value in row.items() if name != "scores"}))
        return Rows(kept)

    @cached_property
    def rejected(self) -> Rows[Rejected]:
        """Everything that was rejected or left out, each with its reason."""
        files = [stage.rejected for stage in self._folder.stages]
        files += [self._folder.premixed_rejected, self._folder.left_out]
        return Rows(one for file in files if file.exists() for one in file.read())

    @cached_property
    def requests(self) -> Rows[LedgerRow]:
        """Every attempt in the ledger, in the order sent."""
        if not self._folder.ledger.exists():
            return Rows()
        ledger = Ledger(self._folder.ledger, is_read_only=True)
        try:
            return Rows(map(LedgerRow.from_row, ledger.list_requests()))
        finally:
            ledger.close()

    @cached_property
    def predictions(self) -> Rows[Prediction]:
        """The final student's predictions on the test rows; empty before the end."""
        files = [stage.test_predictions for stage in (*self._folder.stages, self._folder.final)]
        found = [file for file in files if file.exists()]
        return Rows(found[-1].read()) if found else Rows()

    @property
    def student(self) -> Path | None:
        """The folder of the final student, or None if there is none yet."""
        return self._folder.student if self._folder.student.exists() else None


def read_run(folder: str | Path) -> Run:
    """Read a run folder: status, metrics, plan, examples, rejects and the requests of the ledger.

    Raises:
        DataError: the folder contains no run.
    """
    return Run(Path(folder))
