"""What a run folder says of its run. Needs no lock and no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from limbeck.errors import DataError
from limbeck.run_folder.folder import RunFolder
from limbeck.system.files import read_json
from limbeck.teacher.client.budget import Spend
from limbeck.teacher.client.ledger import Ledger


def read_status(path: Path) -> dict[str, Any]:
    """State, stage, step, spend against each cap, and domains of a run folder (``limbeck status``). Needs no lock.

    Raises:
        DataError: the folder holds no run.
    """
    folder = RunFolder(path)
    state = folder.state
    if not state:
        raise DataError(f"{path}: no run here (run.json is missing)")
    caps = folder.config["budget"]
    spent = read_spend(path / "ledger.sqlite")
    domains: dict[str, dict[str, int]] = {name: {"pool": count} for name, count in state["domains"].items()}
    kept = 0
    stages = []
    for index in range(state["stages"]):
        each = folder.round(index) if folder.config["method"]["name"] == "gold" else folder.stage(index)
        quotas = each.path / "quotas.json"
        if quotas.exists():
            facts = read_json(quotas)["domains"]
            stages.append(
                {"stage": index, "is_done": each.is_done, "domains": facts, "scored": sum_scored(each.path / "selection.json")}
            )
            for name, entry in facts.items():
                counts = {key: entry[key] for key in ("quota", "real", "synthesized", "duplicates")}
                kept += counts["real"] + counts["synthesized"] + counts["duplicates"]
                target = domains.setdefault(name, {"pool": sum(state["domains"].values())})
                for key, count in counts.items():
                    target[key] = target.get(key, 0) + count
    return {
        "state": "stopped" if state["status"] == "running" and not folder.is_held else state["status"],
        "stage": state.get("stage"),
        "step": state.get("step"),
        "stages": stages,
        "spend": {
            "examples": {"spent": kept, "cap": caps["max_examples"]},
            "requests": {"spent": spent.requests, "cap": caps["max_requests"]},
            "tokens": {"spent": spent.tokens, "cap": caps["max_tokens"]},
            "cost_usd": {"spent": spent.cost_usd, "cap": caps["max_cost_usd"]},
        },
        "teacher": state.get("teacher"),
        "models": state.get("models"),
        "planned": state.get("planned"),
        "planned_by_purpose": sum_planned(path / "plan.json"),
        "spent_by_purpose": sum_spent(path / "ledger.sqlite"),
        "domains": domains,
        "overlap": state.get("overlap"),
        "diversity": read_diversity(path),
        "warnings": list((state.get("warnings") or {}).values()),
        "error": state.get("error"),
    }


def sum_scored(path: Path) -> dict[str, int] | None:
    """How many candidates a stage scored by IFD, and of how many the score is doubtful; None where it scored none by it."""
    rows = read_json(path)["domains"].values() if path.exists() else ()
    return {name: sum(row[name] for row in rows) for name in next(iter(rows))} if rows else None


def read_diversity(path: Path) -> dict[str, Any] | None:
    """How varied the inventions of a run folder are, as its last stage found; None where there are none."""
    file = path / "diversity.json"
    return dict(read_json(file)) if file.exists() else None


def sum_planned(path: Path) -> dict[str, dict[str, dict[str, float | None]]] | None:
    """What a plan foresaw by purpose: requests, tokens and money as low, likely and high; None where it does not say."""
    rows = read_json(path).get("requests") if path.exists() else None
    if rows is None:
        return None
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    for row in rows:
        entry = found.setdefault(row["purpose"], {})
        for name, parts in _PLANNED.items():
            for bound in ("low", "likely", "high"):
                values = [row[part][bound] for part in parts]
                before = entry.setdefault(name, {}).get(bound, 0)
                entry[name][bound] = None if before is None or None in values else before + sum(values)
    return found


_PLANNED = {
    "requests": ("requests",),
    "tokens": ("prompt_tokens", "completion_tokens"),
    "prompt_tokens": ("prompt_tokens",),
    "completion_tokens": ("completion_tokens",),
    "cost_usd": ("cost_usd",),
}


def sum_spent(path: Path) -> dict[str, dict[str, float]]:
    """What was really asked by purpose. Attempts of which nobody knows what they cost count in `tokens` and `cost_usd` with all
    that was reserved for them, as they do against the caps."""
    if not path.exists():
        return {}
    ledger = Ledger(path, is_read_only=True)
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
        entry = found.setdefault(row["purpose"], dict.fromkeys(_PLANNED, 0))  # a run may go on between the two readings
        entry["tokens"] += row["reserved_tokens"] - (row["prompt_tokens"] or 0) - (row["completion_tokens"] or 0)
        entry["cost_usd"] += row["reserved_usd"] - (row["cost_usd"] or 0)
    return found


def read_spend(path: Path) -> Spend:
    """All that a run spent, by its ledger; nothing where it has none."""
    if not path.exists():
        return Spend()  # the run ended before it opened its ledger
    ledger = Ledger(path, is_read_only=True)
    try:
        return ledger.sum_spend()
    finally:
        ledger.close()
