"""Makes a table of `docs/reproduction.md` from a `limbeck compare` folder, next to the numbers of the BalDistill paper.

``python benchmarks/reproduction.py NAME FOLDER`` saves the comparison without its single runs as
``benchmarks/results/repro_NAME.json`` and prints the tables. ``--paper R52`` adds macro and micro F1 from the paper's Table 2
(Llama-3-8B, the smaller budget).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from record import RESULTS
from tutor_report import make_table, show, show_interval, show_p

from limbeck.system.files import read_json, write_json

METRICS = {"f1_macro": "F1 macro", "f1_micro": "F1 micro", "accuracy_macro": "accuracy macro", "accuracy_tail": "tail"}
# Macro / micro F1 from Table 2; balance-cot and active-cot from Table 3 (macro only). All but random-label have rationales.
PAPER = {
    "R52": {
        "untouched": "0.9 / 2.3",
        "random-label": "46.0 / 91.4",
        "random-cot": "59.7 / 89.5",
        "duplicate-cot": "46.6 / 71.8",
        "balance-cot": "51.5 / –",
        "active-cot": "59.5 / –",
        "baldistill-n": "59.6 / 82.5",
        "baldistill-a": "58.9 / 87.5",
    }
}


def main() -> None:
    """Save the result and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--paper", choices=sorted(PAPER))
    arguments = parser.parse_args()
    facts = read_json(arguments.folder / "compare.json")
    write_json(RESULTS / f"repro_{arguments.name}.json", {key: value for key, value in facts.items() if key != "runs"})
    said = "\n".join(f"- {line}" for line in (*facts["warnings"], *facts["notes"]))
    print(show_arms(facts, PAPER.get(arguments.paper, {})), show_pairs(facts), said, sep="\n\n")


def show_arms(facts: Mapping[str, Any], paper: Mapping[str, str]) -> str:
    """A table of each arm and reference, in %."""
    arms = {**facts["arms"], **facts["references"]}
    metrics = [metric for metric in METRICS if any(arm.get(metric) for arm in arms.values())]
    rows = []
    for name, arm in arms.items():
        seconds = f"{arm['seconds']['mean']:.0f}" if arm.get("seconds") else "–"
        row = [f"`{name}`", *(show(arm.get(metric)) for metric in metrics), seconds]
        rows.append([*row, paper.get(name, "–")] if paper else row)
    head = ["arm", *(METRICS[metric] for metric in metrics), "seconds a run"]
    return make_table([*head, "paper, F1 macro / micro"] if paper else head, rows)


def show_pairs(facts: Mapping[str, Any]) -> str:
    """A table of the paired differences in the main metric, in points."""
    metric = facts["main_metric"]
    rows = []
    for pair in facts["pairs"]:
        if pair["metric"] == metric:
            rows.append(
                [
                    f"`{pair['a']}` − `{pair['b']}`",
                    f"{100 * pair['difference']:+.1f}",
                    show_interval(pair["ci95"]),
                    show_p(pair["p_holm"]),
                ]
            )
    return make_table([f"a − b, {metric}", "points", "95% interval", "p (Holm)"], rows)


if __name__ == "__main__":
    main()
