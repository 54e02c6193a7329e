"""Tables and status lines of the CLI: styled by Rich on a terminal, plain text elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from limbeck.run_folder.status import Status
from limbeck.system.terminal import make_printable


def clean(text: object, most: int | None = None) -> str:
    """Make text safe for a terminal: no control characters, no Rich markup, at most `most` characters of the text."""
    return escape(make_printable(text)[:most])


def make_console(width: int = 120) -> Console:
    """Return a console on standard output; if that is not a terminal, make it wide enough for the tables."""
    console = Console()
    return console if console.is_terminal else Console(width=width)


def print_metrics(metrics: Mapping[str, Any]) -> None:
    """Print accuracy by domain and overall with 95% intervals, next to the untouched student's and the teacher's if known."""
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


def _show_metric(part: Mapping[str, Any], key: str, is_signed: bool) -> str:
    if part.get(key) is None:
        return ""
    low, high = part[f"{key}_ci95"]
    return escape(f"{part[key]:{'+' if is_signed else ''}.3f} [{low:.2f}, {high:.2f}]")


def print_status(status: Status) -> None:
    """Print the state, step, spend and domains of a run."""
    console = make_console()
    step = f", stage {status.stage + 1}" if status.stage is not None else ""
    console.print(f"{status.state}{step}{': ' + clean(status.step) if status.step else ''}", highlight=False)
    if status.error:
        console.print(clean(status.error), highlight=False)
    breaker = status.teacher
    if breaker is not None and breaker["state"] != "closed":
        console.print(
            f"teacher: {breaker['state']}, next attempt after {breaker['pause_s']:g} s; last error: "
            f"{clean(breaker['last_error'])}",
            highlight=False,
        )
    models = status.models or {}
    if len(models) > 1:
        named = ", ".join(f"{clean(model)} {count}" for model, count in models.items())
        console.print(f"models that answered: {named}", highlight=False)
    scored = {entry.stage: entry.scored for entry in status.stages if entry.scored}
    if scored:
        console.print(describe_scored(scored), highlight=False)
    for text in status.warnings:
        console.print(f"warning: {clean(text)}", highlight=False)
    if status.diversity is not None:
        console.print(clean(status.diversity["text"]), highlight=False)
    table = Table(title="spend", box=SIMPLE_HEAD)
    for column in ("what", "spent", "planned", "cap"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for name, entry in status.spend.items():
        planned = (status.planned or {}).get(name)
        likely = planned["likely"] if isinstance(planned, dict) else planned
        table.add_row(name, *("–" if value is None else f"{value:.6g}" for value in (entry["spent"], likely, entry["cap"])))
    console.print(table)
    if status.planned_by_purpose is not None and (status.planned_by_purpose or status.spent_by_purpose):
        console.print(compare_by_purpose(status.planned_by_purpose, status.spent_by_purpose))
    domains = Table(title="domains", box=SIMPLE_HEAD)
    columns = ("pool", "quota", "real", "synthesized", "duplicates")
    for column in ("domain", *columns):
        domains.add_column(column, justify="left" if column == "domain" else "right")
    for name, entry in status.domains.items():
        domains.add_row(clean(name), *(str(entry.get(column, 0)) for column in columns))
    console.print(domains)


def describe_scored(scored: Mapping[int, Mapping[str, int]]) -> str:
    """Describe in one line the share of each stage's candidates whose IFD is doubtful."""
    parts = [
        f"{what} in " + ", ".join(f"{entry[name] / entry['scored']:.0%} (stage {stage + 1})" for stage, entry in scored.items())
        for name, what in (("above_one", "IFD above 1"), ("truncated", "output cut"), ("dropped", "dropped"))
        if name != "dropped" or any(entry[name] for entry in scored.values())
    ]
    return f"scored candidates: {'; '.join(parts)}"


def compare_by_purpose(planned: Mapping[str, Any], spent: Mapping[str, Any]) -> Table:
    """Return a table of planned and actual requests, tokens and cost by purpose."""
    table = Table(title="planned vs. actual", box=SIMPLE_HEAD)
    for column in ("purpose", "what", "low", "likely", "high", "actual"):
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


def print_ledger(rows: Sequence[Mapping[str, Any]], *, is_summary: bool) -> None:
    """Print the ledger as a table; a summary ends in a line of totals."""
    summed = ("requests", "done", "failed", "unknown", "prompt_tokens", "completion_tokens", "cost_usd")
    listed = ("sent_at", "state", "attempt", "purpose", "stage", "domain", "finish_reason", "model", "key", "error")
    columns = ("purpose", "stage", "domain", *summed) if is_summary else listed
    headings = {"prompt_tokens": "prompt", "completion_tokens": "completion", "cost_usd": "USD", "finish_reason": "finish"}
    table = Table(title="teacher requests, tokens and cost", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
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
