"""What a run folder says of its run. Needs no lock and no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from limbeck.errors import DataError
from limbeck.run_folder import RunFolder
from limbeck.storage import read_json
from limbeck.teacher.budget import Spend
from limbeck.teacher.ledger import Ledger


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
    spent = _sum_spend(path / "ledger.sqlite")
    domains: dict[str, dict[str, int]] = {name: {"pool": count} for name, count in state["domains"].items()}
    kept = 0
    stages = []
    for index in range(state["stages"]):
        each = folder.round(index) if folder.config["method"]["name"] == "gold" else folder.stage(index)
        quotas = each.path / "quotas.json"
        if quotas.exists():
            facts = read_json(quotas)["domains"]
            stages.append({"stage": index, "is_done": each.is_done, "domains": facts})
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
        "planned": state.get("planned"),
        "domains": domains,
        "error": state.get("error"),
    }


def _sum_spend(path: Path) -> Spend:
    if not path.exists():
        return Spend()  # the run ended before it opened its ledger
    ledger = Ledger(path, is_read_only=True)
    try:
        return ledger.sum_spend()
    finally:
        ledger.close()
