"""The model card of a run: what the student is, what it was trained on, and its accuracy in each domain."""

from __future__ import annotations

from limbeck.reports.markdown import escape
from limbeck.run_folder.folder import RunFolder
from limbeck.run_folder.metrics import Metrics
from limbeck.teacher.tables import BACKENDS


def write_card(folder: RunFolder) -> str:
    """Return the card as Markdown, built from the run's files."""
    config = folder.config
    teacher, kinds = config["teacher"], {"real": 0, "synthesized": 0, "duplicates": 0}
    for stage in folder.stages:
        for entry in stage.quotas.read()["domains"].values():
            for kind in kinds:
                kinds[kind] += entry[kind]
    is_simulated = teacher["backend"] in BACKENDS and BACKENDS[teacher["backend"]].is_simulated
    lines = [
        f"# {escape(config['name'])}",
        "",
        f"A student distilled with limbeck from `{teacher['model']}` ({teacher['backend']}"
        f"{', a simulated teacher' if is_simulated else ''}) into `{config['student']['model']}`.",
        "",
        f"- Task: {escape(config['task']['instruction'])}",
        f"- Method: {folder.state['method']}, seed {config['seed']}",
        f"- Training set: {sum(kinds.values())} examples ({', '.join(f'{count} {kind}' for kind, count in kinds.items())})",
    ]
    if folder.metrics.exists():
        lines += _describe_metrics(Metrics(folder.metrics.read()))
    return "\n".join([*lines, ""])


def _describe_metrics(metrics: Metrics) -> list[str]:
    before = metrics.values["baseline"]
    lines = ["", "| domain | n | before | after |", "|---|---|---|---|"]
    for row in metrics.domains:
        untouched = before["domains"][row.domain]["accuracy"]
        lines.append(f"| {escape(row.domain)} | {row.count} | {untouched:.3f} | {row.accuracy:.3f} |")
    total = f"| **macro** | {metrics.values['examples']} | {before['accuracy_macro']:.3f} | {metrics.accuracy_macro:.3f} |"
    return [*lines, total]
