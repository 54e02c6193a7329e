"""A plan as tables: quotas, requests by purpose, what it rests on, and what was really asked beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from limbeck.reports.terminal import clean, make_console


def print_plan(plan: dict[str, Any]) -> None:
    """Quotas by domain and stage, then requests, tokens, money and time as low, likely and high."""
    console = make_console()
    stages, totals = plan["stages"], plan["totals"]
    step = "stage" if plan["method"] == "baldistill" else "round"
    title = f"quota by {step}; T tail, + to be synthesized, = repeated, ? missing"
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("domain", "pool", *(f"{step} {entry['stage'] + 1}" for entry in stages)):
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
    if plan["requests"]:
        console.print(_show_purposes(plan["requests"]))
    for text in describe_assumptions(plan["assumptions"]):
        console.print(clean(text), highlight=False)
    for text in plan["warnings"]:
        console.print(f"warning: {clean(text)}", highlight=False)


def print_probe(facts: dict[str, Any]) -> None:
    """What a probe asked and paid, and what of it the run need not pay again."""
    paid = facts["paid"]
    asked = ", ".join(f"{count} {purpose}" for purpose, count in facts["asked"].items()) or "nothing"
    text = (
        f"probe: asked {asked} of {facts['wanted']} wanted; paid for {paid['requests']} requests, {paid['tokens']:,} tokens, "
        f"{paid['cost_usd']:.4f} USD. {facts['reusable']} of the replies are those that `limbeck run --out {facts['folder']}` "
        "asks for first and does not pay again."
    )
    console = make_console()
    console.print(clean(text), highlight=False)
    if facts["ended_by"] is not None:
        console.print(clean(f"the probe ended early: {facts['ended_by']}"), highlight=False)


def _show_purposes(rows: Sequence[dict[str, Any]]) -> Table:
    """The requests by purpose, over all stages and domains (`--json` has them apart)."""
    table = Table(title="by purpose: low / likely / high", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("purpose", "requests", "prompt tokens", "completion tokens", "USD"):
        table.add_column(name, justify="left" if name == "purpose" else "right")
    sums: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        entry = sums.setdefault(row["purpose"], {})
        for name in ("requests", "prompt_tokens", "completion_tokens", "cost_usd"):
            if row[name]["likely"] is not None:
                before = entry.get(name, [0.0, 0.0, 0.0])
                entry[name] = [have + more for have, more in zip(before, row[name].values(), strict=True)]
    for purpose, entry in sums.items():
        cells = (
            " / ".join(f"{value:,.{4 if name == 'cost_usd' else 0}f}" for value in entry[name]) if name in entry else "–"
            for name in ("requests", "prompt_tokens", "completion_tokens", "cost_usd")
        )
        table.add_row(clean(purpose), *cells)
    return table


def describe_assumptions(assumptions: dict[str, Any]) -> list[str]:
    """What a plan's numbers rest on, in lines."""
    learned = assumptions["learned"]
    lines = [f"prompts counted by: {assumptions['tokenizer']}; chat template: {assumptions['chat_template']}"]
    if learned is None:
        return [*lines, f"replies guessed by: {assumptions['reply_tokens']}; --ledger RUN or --probe N would know better"]
    counts = ", ".join(f"{count} {purpose}" for purpose, count in learned["replies"].items())
    kept = ", ".join(
        f"{entry['kept']} of {entry['kept'] + entry['rejected']} {purpose}" for purpose, entry in learned["kept"].items()
    )
    return [*lines, f"replies learned from {learned['source']}: {counts}{f'; kept {kept}' if kept else ''}"]


def _show_share(share: dict[str, Any]) -> str:
    marks = (("synthesize", "+"), ("duplicate", "="), ("missing", "?"))
    extra = "".join(f" {mark}{share[name]}" for name, mark in marks if share[name])
    return f"{'T ' if share['role'] == 'tail' else ''}{share['quota']}{extra}"
