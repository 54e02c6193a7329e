"""Progress on stderr: bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from limbeck.config.config import Config
from limbeck.methods.table import METHODS
from limbeck.progress import Progress as RunProgress
from limbeck.reports.terminal import clean
from limbeck.system.terminal import make_printable


class ConsoleProgress(RunProgress):
    """Shows progress on stderr: stage, step, done of total, requests and cost against the caps, time left."""

    def __init__(self, config: Config) -> None:
        self._stages = config.method.step_count
        self._step = METHODS[config.method.name].step
        self._caps = config.budget
        self._console = Console(stderr=True)
        self._spend = ""
        self._shown = ""
        self._task: TaskID | None = None
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[spend]}"),
            console=self._console,
            transient=True,
        )

    def __enter__(self) -> ConsoleProgress:
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()

    def step(self, stage: int | None, text: str, done: int, total: int) -> None:
        """Show a step: on a terminal as a bar, elsewhere as one line when it begins."""
        place = make_printable(f"{self._step} {stage + 1}/{self._stages}: {text}" if stage is not None else text)
        if not self._console.is_terminal:
            if place != self._shown:
                self._console.print(f"{place}{f'  [{self._spend}]' if self._spend else ''}", markup=False, highlight=False)
            self._shown = place
            return
        if place != self._shown or self._task is None:
            if self._task is not None:
                self._bars.remove_task(self._task)
            self._task = self._bars.add_task(escape(place), total=total or None, spend=self._spend)
            self._shown = place
        self._bars.update(self._task, completed=done, total=total or None, spend=self._spend)

    def spend(self, domain: str | None, requests: int, tokens: int, cost_usd: float) -> None:
        """Show the spend, and the domain of the last request, next to the step."""
        cap = self._caps.max_requests
        self._spend = f"{requests}{f'/{cap}' if cap is not None else ''} requests"
        if cost_usd or self._caps.max_cost_usd is not None:
            self._spend += f", {cost_usd:.4f} USD"
        if domain is not None:
            self._spend += f", last {clean(domain)}"
        if self._task is not None:
            self._bars.update(self._task, spend=self._spend)

    def note(self, text: str) -> None:
        """Print a note on its own line, made printable, since it may contain names from a server or a file."""
        self._console.print(make_printable(text), markup=False, highlight=False)
