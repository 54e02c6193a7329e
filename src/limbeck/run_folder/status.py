"""The status of a run, read from its folder. Needs no lock and no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from limbeck.errors import DataError
from limbeck.run_folder.folder import RunFolder
from limbeck.run_folder.plan import BOUNDS
from limbeck.run_folder.stage import StageFolder
from limbeck.teacher.client.budget import Spend
from limbeck.teacher.client.ledger import Ledger

COUNTS = ("quota", "real", "synthesized", "duplicates")


@dataclass(frozen=True)
class StageStatus:
    """One stage or round.

    Attributes:
        stage: its number, from 0.
        is_done: whether it is finished.
        domains: quota, role and counts of each domain.
        scored: how many candidates were scored by IFD, and how many of those scores are doubtful; None if none were.
    """

    stage: int
    is_done: bool
    domains: Mapping[str, Mapping[str, Any]]
    scored: Mapping[str, int] | None


@dataclass(frozen=True)
class Status:
    """State, stage, step, spend against each cap, and domains of a run.

    Attributes:
        state: ``running``, ``stopped`` (its process ended without reporting it), ``interrupted``, ``failed``, ``budget`` (a cap
            ended it) or ``done``.
        stage, step: what it is doing; None if nothing.
        stages: those that have collected examples.
        spend: ``{spent, cap}`` of examples, requests, tokens and cost_usd.
        teacher: details of an outage while the teacher does not answer.
        models: number of replies by model name.
        planned: the plan's totals.
        planned_by_purpose, spent_by_purpose: requests, tokens and money.
        domains: pool size, quota and counts of each domain, over all stages.
        overlap: overlap between the splits.
        diversity: how varied the synthesized examples are.
        warnings: what the user should know.
        error: what ended the run.
    """

    state: str
    stage: int | None
    step: str | None
    stages: Sequence[StageStatus]
    spend: Mapping[str, Mapping[str, float | None]]
    teacher: Mapping[str, Any] | None
    models: Mapping[str, int] | None
    planned: Mapping[str, Any] | None
    planned_by_purpose: Mapping[str, Mapping[str, Mapping[str, float | None]]] | None
    spent_by_purpose: Mapping[str, Mapping[str, float]]
    domains: Mapping[str, Mapping[str, int]]
    overlap: Mapping[str, Any] | None
    diversity: Mapping[str, Any] | None
    warnings: Sequence[str]
    error: str | None

    def to_json(self) -> dict[str, Any]:
        """What ``status --json`` prints."""
        return asdict(self)


def read_status(path: str | Path) -> Status:
    """Read the status of a run folder.

    Raises:
        DataError: the folder contains no run.
    """
    folder = RunFolder(Path(path))
    state = folder.state
    if not state:
        raise DataError(f"{path}: no run here (run.json is missing)")
    caps = folder.config["budget"]
    spent = read_spend(folder)
    stages = [StageStatus(each.index, each.is_done, each.quotas.read()["domains"], sum_scored(each)) for each in folder.stages]
    domains: dict[str, dict[str, int]] = {name: {"pool": count} for name, count in state["domains"].items()}
    kept = 0
    for stage in stages:
        for name, entry in stage.domains.items():
            kept += sum(entry[key] for key in COUNTS if key != "quota")
            target = domains.setdefault(name, {"pool": sum(state["domains"].values())})
            for key in COUNTS:
                target[key] = target.get(key, 0) + entry[key]
    return Status(
        state="stopped" if state["status"] == "running" and not folder.is_held else state["status"],
        stage=state.get("stage"),
        step=state.get("step"),
        stages=stages,
        spend={
            "examples": {"spent": kept, "cap": caps["max_examples"]},
            "requests": {"spent": spent.requests, "cap": caps["max_requests"]},
            "tokens": {"spent": spent.tokens, "cap": caps["max_tokens"]},
            "cost_usd": {"spent": spent.cost_usd, "cap": caps["max_cost_usd"]},
        },
        teacher=state.get("teacher"),
        models=state.get("models"),
        planned=state.get("planned"),
        planned_by_purpose=sum_planned(folder),
        spent_by_purpose=sum_spent(folder),
        domains=domains,
        overlap=state.get("overlap"),
        diversity=read_diversity(folder),
        warnings=list((state.get("warnings") or {}).values()),
        error=state.get("error"),
    )


def sum_scored(stage: StageFolder) -> dict[str, int] | None:
    """How many candidates a stage scored by IFD, and how many of those scores are doubtful; None if it scored none."""
    rows = list(stage.selection.read()["domains"].values()) if stage.selection.exists() else []
    return {name: sum(row[name] for row in rows) for name in rows[0]} if rows else None


def read_diversity(folder: RunFolder) -> dict[str, Any] | None:
    """How varied a run's inventions are, as measured in its last stage; None if there are none."""
    return folder.diversity.read() if folder.diversity.exists() else None


def sum_planned(folder: RunFolder) -> dict[str, dict[str, dict[str, float | None]]] | None:
    """The plan by purpose: requests, tokens and money as low, likely and high; None without a plan."""
    if not folder.plan.exists():
        return None
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    for row in folder.plan.read().requests:
        entry = found.setdefault(row.purpose, {})
        for name, parts in _PLANNED.items():
            for bound in BOUNDS:
                ranges = [getattr(row, part) for part in parts]
                values: list[float | None] = [None if each is None else getattr(each, bound) for each in ranges]
                before = entry.setdefault(name, {}).get(bound, 0)
                entry[name][bound] = None if before is None or None in values else before + sum(filter(None, values))
    return found


_PLANNED = {
    "requests": ("requests",),
    "tokens": ("prompt_tokens", "completion_tokens"),
    "prompt_tokens": ("prompt_tokens",),
    "completion_tokens": ("completion_tokens",),
    "cost_usd": ("cost_usd",),
}


def sum_spent(folder: RunFolder) -> dict[str, dict[str, float]]:
    """What was actually asked, by purpose.

    Attempts whose cost is unknown count in `tokens` and `cost_usd` with what was reserved for them, as they do for the caps.
    """
    if not folder.ledger.exists():
        return {}
    ledger = Ledger(folder.ledger, is_read_only=True)
    try:
        rows = ledger.summarize()
        unknown = list(ledger.list_requests(("unknown", "intent")))
    finally:
        ledger.close()
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        entry = found.setdefault(row["purpose"], dict.fromkeys(_PLANNED, 0))
        for name in ("requests", "prompt_tokens", "completion_tokens", "cost_usd"):
            entry[name] += row[name]
        entry["tokens"] += row["prompt_tokens"] + row["completion_tokens"]
    for row in unknown:
        entry = found.setdefault(
            row["purpose"], dict.fromkeys(_PLANNED, 0)
        )  # a running run may add requests between the two reads
        entry["tokens"] += row["reserved_tokens"] - (row["prompt_tokens"] or 0) - (row["completion_tokens"] or 0)
        entry["cost_usd"] += row["reserved_usd"] - (row["cost_usd"] or 0)
    return found


def read_spend(folder: RunFolder) -> Spend:
    """Everything that a run spent, according to its ledger; nothing without one."""
    if not folder.ledger.exists():
        return Spend()  # the run ended before it opened its ledger
    ledger = Ledger(folder.ledger, is_read_only=True)
    try:
        return ledger.sum_spend()
    finally:
        ledger.close()
