"""What the CLI shows: progress and tables, in a terminal by Rich, elsewhere as plain lines."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any

from rich.box import SIMPLE_HEAD
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
from rich.table import Table

from limbeck.config.config import Config
from limbeck.progress import Progress as RunProgress
from limbeck.system.terminal import make_printable


class ConsoleProgress(RunProgress):
    """Progress on stderr: stage, step, done of total, requests and money against the caps, time left."""

    def __init__(self, config: Config) -> None:
        self._stages = config.method.stages
        self._noun = "round" if config.method.name == "gold" else "stage"
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
        """Show a step; on a terminal as a bar, elsewhere one line when it begins."""
        place = make_printable(f"{self._noun} {stage + 1}/{self._stages}: {text}" if stage is not None else text)
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
        """Show the spend and the domain asked about beside the step."""
        cap = self._caps.max_requests
        self._spend = f"{requests}{f'/{cap}' if cap is not None else ''} requests"
        if cost_usd or self._caps.max_cost_usd is not None:
            self._spend += f", {cost_usd:.4f} USD"
        if domain is not None:
            self._spend += f", last {clean(domain)}"
        if self._task is not None:
            self._bars.update(self._task, spend=self._spend)

    def note(self, text: str) -> None:
        """A line of its own; a note may hold names that a server or a file gives."""
        self._console.print(make_printable(text), markup=False, highlight=False)


def clean(text: object, most: int | None = None) -> str:
    """Text for a terminal, at most so many characters of it: no control characters, no Rich markup."""
    return escape(make_printable(text)[:most])


def make_console(width: int = 120) -> Console:
    """Standard output; wide enough for the tables where it is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=width)


def print_metrics(metrics: dict[str, Any]) -> None:
    """Accuracy by domain and in sum, with 95% intervals; beside the untouched student where it was measured."""
    columns = {
        "teacher": metrics.get("teacher"),
        "before": metrics.get("baseline"),
        "after": metrics,
        "gain": metrics.get("gain"),
    }
    names, parts = zip(*((name, part) for name, part in columns.items() if part is not None), strict=True)
    names = names if len(names) > 1 else ("accuracy",)
    tail = set(metrics.get("tail_domains", ()))
    table = Table(title=f"{metrics['examples']} test rows, 95% intervals in brackets", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("domain (* tail)", "n", *names):
        table.add_column(name, justify="left" if name.startswith("domain") else "right", no_wrap=not name.startswith("domain"))
    for domain, entry in metrics["domains"].items():
        cells = [
            _show_metric(part["domains"][domain], "accuracy", name == "gain") for part, name in zip(parts, names, strict=True)
        ]
        table.add_row(clean(domain) + (" *" if domain in tail else ""), str(entry["count"]), *cells)
    table.add_section()
    for key in (
        "accuracy_micro",
        "accuracy_macro",
        "accuracy_head",
        "accuracy_tail",
        "accuracy_worst",
        "f1_macro",
        "f1_micro",
        "rouge_l_macro",
        "rouge_l_micro",
    ):
        if metrics.get(key) is not None:
            table.add_row(key, "", *(_show_metric(part, key, name == "gain") for part, name in zip(parts, names, strict=True)))
    make_console().print(table)


def _show_metric(part: dict[str, Any], key: str, is_signed: bool) -> str:
    if part.get(key) is None:
        return ""
    low, high = part[f"{key}_ci95"]
    return escape(f"{part[key]:{'+' if is_signed else ''}.3f} [{low:.2f}, {high:.2f}]")


def print_status(facts: dict[str, Any]) -> None:
    """State, step, spend and domains of a run."""
    console = make_console()
    step = f", stage {facts['stage'] + 1}" if facts["stage"] is not None else ""
    console.print(f"{facts['state']}{step}{': ' + clean(facts['step']) if facts['step'] else ''}", highlight=False)
    if facts["error"]:
        console.print(clean(facts["error"]), highlight=False)
    breaker = facts["teacher"]
    if breaker is not None and breaker["state"] != "closed":
        console.print(
            f"teacher: {breaker['state']}, asked again after {breaker['pause_s']:g} s; it last said: "
            f"{clean(breaker['last_error'])}",
            highlight=False,
        )
    if len(facts["models"] or ()) > 1:
        console.print(
            "models that answered: " + ", ".join(f"{clean(m)} {n}" for m, n in facts["models"].items()), highlight=False
        )
    scored = {entry["stage"]: entry["scored"] for entry in facts["stages"] if entry["scored"]}
    if scored:
        console.print(describe_scored(scored), highlight=False)
    for text in facts["warnings"]:
        console.print(f"warning: {clean(text)}", highlight=False)
    if facts["diversity"] is not None:
        console.print(clean(facts["diversity"]["text"]), highlight=False)
    table = Table(title="spend", box=SIMPLE_HEAD)
    for column in ("what", "spent", "planned", "cap"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for name, entry in facts["spend"].items():
        planned = (facts["planned"] or {}).get(name)
        likely = planned["likely"] if isinstance(planned, dict) else planned
        table.add_row(name, *("–" if value is None else f"{value:.6g}" for value in (entry["spent"], likely, entry["cap"])))
    console.print(table)
    if facts["planned_by_purpose"] is not None and (facts["planned_by_purpose"] or facts["spent_by_purpose"]):
        console.print(compare_by_purpose(facts["planned_by_purpose"], facts["spent_by_purpose"]))
    domains = Table(title="domains", box=SIMPLE_HEAD)
    columns = ("pool", "quota", "real", "synthesized", "duplicates")
    for column in ("domain", *columns):
        domains.add_column(column, justify="left" if column == "domain" else "right")
    for name, entry in facts["domains"].items():
        domains.add_row(clean(name), *(str(entry.get(column, 0)) for column in columns))
    console.print(domains)


def describe_scored(scored: dict[int, dict[str, int]]) -> str:
    """In a line, the shares of the candidates of each stage whose IFD is doubtful."""
    parts = [
        f"{what} in " + ", ".join(f"{entry[name] / entry['scored']:.0%} (stage {stage + 1})" for stage, entry in scored.items())
        for name, what in (("above_one", "IFD above 1"), ("truncated", "output cut"), ("dropped", "dropped"))
        if name != "dropped" or any(entry[name] for entry in scored.values())
    ]
    return f"scored candidates: {'; '.join(parts)}"


def compare_by_purpose(planned: dict[str, Any], spent: dict[str, Any]) -> Table:
    """What was foreseen beside what was asked, by purpose."""
    table = Table(title="planned against real", box=SIMPLE_HEAD)
    for column in ("purpose", "what", "low", "likely", "high", "real"):
        table.add_column(column, justify="left" if column in ("purpose", "what") else "right")
    for purpose in [*planned, *(name for name in spent if name not in planned)]:
        for name in ("requests", "prompt_tokens", "completion_tokens", "cost_usd"):
            bounds, real = planned.get(purpose, {}).get(name, {}), spent.get(purpose, {}).get(name, 0)
            values = (*(bounds.get(bound, 0 if purpose not in planned else None) for bound in ("low", "likely", "high")), real)
            if name != "cost_usd" or bounds.get("likely") is not None:
                digits = 4 if name == "cost_usd" else 0
                label = name.replace("cost_usd", "USD").replace("_", " ")
                cells = ("–" if value is None else f"{value:,.{digits}f}" for value in values)
                table.add_row(clean(purpose) if name == "requests" else "", label, *cells)
    return table


def print_ledger(rows: Sequence[dict[str, Any]], *, is_summary: bool) -> None:
    """The ledger as a table, with a line of totals."""
    summed = ("requests", "done", "failed", "unknown", "prompt_tokens", "completion_tokens", "cost_usd")
    listed = ("sent_at", "state", "attempt", "purpose", "stage", "domain", "finish_reason", "model", "key", "error")
    columns = ("purpose", "stage", "domain", *summed) if is_summary else listed
    headings = {"prompt_tokens": "prompt", "completion_tokens": "completion", "cost_usd": "USD", "finish_reason": "finish"}
    table = Table(title="teacher requests, tokens and money", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(headings.get(column, column), justify="right" if column in summed else "left")
    for row in rows:
        table.add_row(*(_show(row[column]) for column in columns))
    if is_summary and rows:
        table.add_section()
        table.add_row("all", "", "", *(_show(sum(row[column] for row in rows)) for column in summed))
    make_console().print(table)


def _show(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else clean(value, 64)
