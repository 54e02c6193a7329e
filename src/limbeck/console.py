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

from limbeck.config import Config
from limbeck.progress import Progress as RunProgress


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
            TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("ETA"), TimeRemainingColumn(), TextColumn("{task.fields[spend]}"), console=self._console,
            transient=True,
        )  # fmt: skip

    def __enter__(self) -> ConsoleProgress:
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()

    def step(self, stage: int | None, text: str, done: int, total: int) -> None:
        """Show a step; on a terminal as a bar, elsewhere one line when it begins."""
        place = f"{self._noun} {stage + 1}/{self._stages}: {text}" if stage is not None else text
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
        """A line of its own."""
        self._console.print(text, markup=False, highlight=False)


def clean(text: object) -> str:
    """Text for a terminal: no control characters, no Rich markup."""
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(text))
    return escape(shown)


def make_console() -> Console:
    """Standard output; wide enough for the tables where it is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=120)


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
    for key in ("accuracy_micro", "accuracy_macro", "accuracy_head", "accuracy_tail", "accuracy_worst", "f1_macro", "f1_micro",
                "rouge_l_macro", "rouge_l_micro"):  # fmt: skip
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
    table = Table(title="spend", box=SIMPLE_HEAD)
    for column in ("what", "spent", "planned", "cap"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for name, entry in facts["spend"].items():
        planned = (facts["planned"] or {}).get(name)
        likely = planned["likely"] if isinstance(planned, dict) else planned
        table.add_row(name, *("–" if value is None else f"{value:.6g}" for value in (entry["spent"], likely, entry["cap"])))
    console.print(table)
    domains = Table(title="domains", box=SIMPLE_HEAD)
    columns = ("pool", "quota", "real", "synthesized", "duplicates")
    for column in ("domain", *columns):
        domains.add_column(column, justify="left" if column == "domain" else "right")
    for name, entry in facts["domains"].items():
        domains.add_row(clean(name), *(str(entry.get(column, 0)) for column in columns))
    console.print(domains)


def print_plan(plan: dict[str, Any]) -> None:
    """Quotas by domain and stage, then requests, tokens, money and time as low, likely and high."""
    console = make_console()
    stages, totals = plan["stages"], plan["totals"]
    title = "quota by stage; T tail, + to be synthesized, = repeated, ? missing"
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("domain", "pool", *(f"stage {entry['stage'] + 1}" for entry in stages)):
        table.add_column(name, justify="left" if name == "domain" else "right")
    for domain in stages[0]["domains"] if stages else plan["domains"]:
        size = plan["domains"].get(domain, sum(plan["domains"].values()))
        table.add_row(clean(domain), str(size), *(_show_share(entry["domains"][domain]) for entry in stages))
    console.print(table)
    for text in plan["notes"]:
        console.print(clean(text), highlight=False)
    kinds = {"real": "real", "synthesize": "to be synthesized", "duplicate": "repeated", "missing": "missing"}
    counts = ", ".join(f"{totals[name]} {label}" for name, label in kinds.items() if totals[name])
    console.print(f"{totals['examples']} examples: {counts}", highlight=False)
    sums = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("", "low", "likely", "high"):
        sums.add_column(name, justify="right" if name else "left")
    for name, label in (("requests", "requests"), ("tokens", "tokens"), ("cost_usd", "USD"), ("seconds", "seconds (rough)")):
        digits = 4 if name == "cost_usd" else 0
        sums.add_row(label, *("no price" if value is None else f"{value:,.{digits}f}" for value in totals[name].values()))
    console.print(sums)
    for text in plan["warnings"]:
        console.print(f"warning: {clean(text)}", highlight=False)


def _show_share(share: dict[str, Any]) -> str:
    marks = (("synthesize", "+"), ("duplicate", "="), ("missing", "?"))
    extra = "".join(f" {mark}{share[name]}" for name, mark in marks if share[name])
    return f"{'T ' if share['role'] == 'tail' else ''}{share['quota']}{extra}"


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
    return f"{value:.4f}" if isinstance(value, float) else clean(value)[:64]
