"""Shows a comparison as tables: with Rich on a terminal, or as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from limbeck.reports.markdown import escape, write_table
from limbeck.reports.terminal import clean, make_console

COLUMNS = {
    "accuracy_macro": "macro",
    "accuracy_micro": "micro",
    "accuracy_head": "head",
    "accuracy_tail": "tail",
    "accuracy_worst": "worst",
}
SPEND = {
    "examples": ("examples", ",.0f"),
    "requests": ("requests", ",.0f"),
    "tokens": ("tokens", ",.0f"),
    "cost_usd": ("USD", ",.4f"),
    "seconds": ("seconds", ",.0f"),
}
HEAD = ("arm", "seeds", *COLUMNS.values(), *(name for name, _ in SPEND.values()))
WIDTH = 150
PAIR_HEAD = ("a − b", "difference", "95% interval", "p", "p (Holm)", "resolved")


def print_comparison(facts: Mapping[str, Any]) -> None:
    """Print the arms and references, the paired differences of the main metric, notes and warnings."""
    console = make_console(WIDTH)
    table = Table(title=_title(facts), box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in HEAD:
        table.add_column(name, justify="left" if name == "arm" else "right", no_wrap=name == "arm")
    for is_first_beside, row in _list_arms(facts):
        if is_first_beside:
            table.add_section()
        table.add_row(*map(clean, row))
    console.print(table)
    if rows := _list_pairs(facts):
        pairs = Table(title=f"paired differences of {facts['main_metric']} over seeds", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for name in PAIR_HEAD:
            pairs.add_column(name, justify="left" if name == "a − b" else "right")
        for cells in rows:
            pairs.add_row(*map(clean, cells))
        console.print(pairs)
    for text in _list_remarks(facts):
        console.print(clean(text), highlight=False)


def write_markdown(facts: Mapping[str, Any]) -> str:
    """Return the same tables as Markdown."""
    rows = [row for _, row in _list_arms(facts)]
    parts = [
        f"# {escape(facts['name'])}: {len(facts['presets'])} arms, {len(facts['seeds'])} seeds",
        _title(facts) + ".",
        write_table(HEAD, rows),
    ]
    if pairs := _list_pairs(facts):
        parts += [f"Paired differences of {facts['main_metric']} over seeds:", write_table(PAIR_HEAD, pairs)]
    parts.append("\n".join(f"- {escape(text)}" for text in _list_remarks(facts)))
    return "\n\n".join(parts) + "\n"


def _title(facts: Mapping[str, Any]) -> str:
    return f"equal {' and '.join(facts['equal'])}; mean ± half the width of the 95% Student-t interval over seeds"


def _list_arms(facts: Mapping[str, Any]) -> Iterator[tuple[bool, list[str]]]:
    for name, arm in facts["arms"].items():
        yield False, _show_arm(name, arm)
    for place, (name, arm) in enumerate(facts["references"].items()):
        yield place == 0, _show_arm(f"({name})", arm)


def _show_arm(name: str, arm: Mapping[str, Any]) -> list[str]:
    cells = [name, str(len(arm["seeds"]))]
    for key in COLUMNS:
        entry = arm.get(key)
        if entry is None:
            cells.append("–")
        elif entry["ci95"] is None:
            cells.append(f"{entry['mean']:.3f}")
        else:
            cells.append(f"{entry['mean']:.3f} ±{(entry['ci95'][1] - entry['ci95'][0]) / 2:.3f}")
    return cells + [f"{arm[key]['mean']:{form}}" if arm.get(key) else "–" for key, (_, form) in SPEND.items()]


def _list_pairs(facts: Mapping[str, Any]) -> list[list[str]]:
    rows = []
    for pair in facts["pairs"]:
        if pair["metric"] == facts["main_metric"]:
            low_high = "–" if pair["ci95"] is None else "[{:+.3f}, {:+.3f}]".format(*pair["ci95"])
            p, p_holm = ("–" if pair[key] is None else f"{pair[key]:.3f}" for key in ("p", "p_holm"))
            resolved = "yes" if pair["is_resolved"] else "no"
            rows.append([f"{pair['a']} − {pair['b']}", f"{pair['difference']:+.3f}", low_high, p, p_holm, resolved])
    return rows


def _list_remarks(facts: Mapping[str, Any]) -> list[str]:
    charged, asked = facts["charged"], facts["really_asked"]
    lines = [
        f"the runs were charged {charged['requests']:,} requests and {charged['tokens']:,} tokens, each as if it ran alone"
    ]
    if asked is None:
        lines[0] += "; a recorded teacher's replies are not shared"
    else:
        lines[0] += f"; with shared replies, the actual total was {asked['requests']:,} requests and {asked['tokens']:,} tokens"
    if facts["jobs"] > 1:
        lines.append(f"seconds were measured with up to {facts['jobs']} runs at once on this machine")
    return [*lines, *facts["notes"], *(f"warning: {text}" for text in facts["warnings"])]
