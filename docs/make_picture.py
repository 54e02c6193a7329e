"""Draw the picture in the README: accuracy by domain before and after a run.

python docs/make_picture.py runs/quickstart docs/quickstart.svg
"""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path

from limbeck import read_run

WIDTH, LEFT, RIGHT, ROW, TOP = 760, 210, 60, 30, 64
BEFORE, AFTER, INK, PALE = "#9aa5b1", "#0b7285", "#1f2933", "#e4e7eb"


def draw(run_folder: Path) -> str:
    """The chart as SVG: a pair of bars for each domain, the largest pool first, and for the macro average."""
    run = read_run(run_folder)
    after = run.metrics
    before = after.baseline if after else None
    if after is None or before is None:
        raise SystemExit(f"{run_folder} has no metrics yet")
    accuracies = [{row.domain: row.accuracy for row in metrics.domains} for metrics in (before, after)]
    sizes = {name: entry["pool"] for name, entry in run.status.domains.items()}
    rows = [
        (f"{name} ({sizes[name]})", *(accuracy[name] for accuracy in accuracies))
        for name in sorted(sizes, key=lambda name: (-sizes[name], name))
    ]
    rows.append(("macro average", before.accuracy_macro, after.accuracy_macro))
    height = TOP + ROW * len(rows) + 34
    scale = WIDTH - LEFT - RIGHT
    title = f"Accuracy by domain: {len(run.examples)} examples, {run.status.spend['requests']['spent']:.0f} teacher requests"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" '
        f'font-size="13" fill="{INK}" role="img" aria-label="{escape(title)}">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="26" font-size="16" font-weight="600">{escape(title)}</text>',
        f'<rect x="16" y="38" width="12" height="12" fill="{BEFORE}"/><text x="34" y="49">untouched student</text>',
        f'<rect x="176" y="38" width="12" height="12" fill="{AFTER}"/><text x="194" y="49">distilled student</text>',
    ]
    for tick in range(0, 101, 20):
        x = LEFT + scale * tick / 100
        parts.append(f'<line x1="{x:.0f}" y1="{TOP}" x2="{x:.0f}" y2="{height - 30}" stroke="{PALE}"/>')
        parts.append(f'<text x="{x:.0f}" y="{height - 12}" text-anchor="middle">{tick}%</text>')
    for place, (name, first, second) in enumerate(rows):
        y = TOP + ROW * place + 4
        weight = ' font-weight="600"' if place == len(rows) - 1 else ""
        parts.append(f'<text x="{LEFT - 10}" y="{y + 15}" text-anchor="end"{weight}>{escape(name)}</text>')
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{scale * first:.1f}" height="9" fill="{BEFORE}"/>')
        parts.append(f'<rect x="{LEFT}" y="{y + 10}" width="{scale * second:.1f}" height="11" fill="{AFTER}"/>')
        parts.append(f'<text x="{LEFT + scale * second + 6:.1f}" y="{y + 20}" font-size="12"{weight}>{second:.0%}</text>')
    return "\n".join([*parts, "</svg>\n"])


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(draw(Path(sys.argv[1])), "utf-8")
