"""Shows a plan as tables: quotas, requests by purpose, and the assumptions behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from limbeck.reports.terminal import clean, make_console
from limbeck.run_folder.plan import Plan, PlannedRequests, Range
from limbeck.selection.quotas import Share


def print_plan(plan: Plan) -> None:
    """Print quotas by domain and stage, then requests, tokens, cost and time as low, likely and high."""
    console, totals = make_console(), plan.totals
    title = f"quota by {plan.step}; T tail, + to be synthesized, = repeated, ? missing"
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("domain", "pool", *(f"{plan.step} {index + 1}" for index in range(len(plan.stages)))):
        table.add_column(name, justify="left" if name == "domain" else "right")
    for domain in plan.stages[0] if plan.stages else plan.domains:
        size = plan.domains.get(domain, sum(plan.domains.values()))
        table.add_row(clean(domain), str(size), *(_show_share(shares[domain]) for shares in plan.stages))
    console.print(table)
    for text in plan.notes:
        console.print(clean(text), highlight=False)
    kinds = {"real": "real", "synthesize": "to be synthesized", "duplicate": "repeated", "missing": "missing"}
    counts = ", ".join(f"{count} {label}" for name, label in kinds.items() if (count := getattr(totals, name)))
    console.print(f"{totals.examples} examples: {counts}", highlight=False)
    sums = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("", "low", "likely", "high"):
        sums.add_column(name, justify="right" if name else "left")
    for label, planned, digits in (
        ("requests", totals.requests, 0),
        ("tokens", totals.tokens, 0),
        ("USD", totals.cost_usd, 4),
        ("seconds (rough)", totals.seconds, 0),
    ):
        sums.add_row(label, *(["no price"] * 3 if planned is None else (f"{value:,.{digits}f}" for value in planned)))
    console.print(sums)
    if plan.requests:
        console.print(_show_purposes(plan.requests))
    for text in describe_assumptions(plan.assumptions):
        console.print(clean(text), highlight=False)
    for text in plan.warnings:
        console.print(f"warning: {clean(text)}", highlight=False)


def print_probe(facts: Mapping[str, Any]) -> None:
    """Print what a probe asked and what it cost."""
    paid = facts["paid"]
    asked = ", ".join(f"{count} {purpose}" for purpose, count in facts["asked"].items()) or "nothing"
    text = (
        f"probe: asked {asked} (goal: {facts['wanted']}); paid for {paid['requests']} requests, {paid['tokens']:,} tokens, "
        f"{paid['cost_usd']:.4f} USD. `limbeck run --out {facts['folder']}` makes the same requests first and reuses these "
        "replies at no cost."
    )
    console = make_console()
    console.print(clean(text), highlight=False)
    if facts["ended_by"] is not None:
        console.print(clean(f"the probe ended early: {facts['ended_by']}"), highlight=False)


def _show_purposes(rows: Sequence[PlannedRequests]) -> Table:
    """Return a table of the requests by purpose, summed over stages and domains (`--json` lists them separately)."""
    table = Table(title="by purpose: low / likely / high", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("purpose", "requests", "prompt tokens", "completion tokens", "USD"):
        table.add_column(name, justify="left" if name == "purpose" else "right")
    sums: dict[str, PlannedRequests] = {}
    for row in rows:
        sums[row.purpose] = sums[row.purpose].add(row) if row.purpose in sums else row
    for purpose, total in sums.items():
        counts = (_show_range(each, 0) for each in (total.requests, total.prompt_tokens, total.completion_tokens))
        table.add_row(clean(purpose), *counts, _show_range(total.cost_usd, 4))
    return table


def _show_range(planned: Range | None, digits: int) -> str:
    return "–" if planned is None else " / ".join(f"{value:,.{digits}f}" for value in planned)


def describe_assumptions(assumptions: Mapping[str, Any]) -> list[str]:
    """Describe what a plan's numbers are based on, one line each."""
    learned = assumptions["learned"]
    lines = [f"prompt tokens counted by: {assumptions['tokenizer']}; chat template: {assumptions['chat_template']}"]
    if learned is None:
        return [
            *lines,
            f"reply tokens estimated from: {assumptions['reply_tokens']}; --ledger RUN or --probe N is more accurate",
        ]
    counts = ", ".join(f"{count} {purpose}" for purpose, count in learned["replies"].items())
    kept = ", ".join(
        f"{entry['kept']} of {entry['kept'] + entry['rejected']} {purpose}" for purpose, entry in learned["kept"].items()
    )
    return [*lines, f"replies learned from {learned['source']}: {counts}{f'; kept {kept}' if kept else ''}"]


def _show_share(share: Share) -> str:
    marks = ((share.synthesize, "+"), (share.duplicate, "="), (share.missing, "?"))
    extra = "".join(f" {mark}{count}" for count, mark in marks if count)
    return f"{'T ' if share.role == 'tail' else ''}{share.quota}{extra}"
