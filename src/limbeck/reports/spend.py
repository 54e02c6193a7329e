"""Compares actual teacher requests with the plan."""

from __future__ import annotations

from limbeck.run_folder.plan import PlanTotals


def compare_with_plan(totals: PlanTotals, requests: int, tokens: int, cost_usd: float) -> str:
    """Return one line that compares the teacher's actual requests, tokens and cost with the planned ones."""
    parts = []
    for name, unit, real in (("requests", "requests", requests), ("tokens", "tokens", tokens), ("cost_usd", "USD", cost_usd)):
        planned, digits = getattr(totals, name), 2 if name == "cost_usd" else 0
        if planned is not None:
            low, likely, high = (f"{value:,.{digits}f}" for value in planned)
            parts.append(f"{real:,.{digits}f} {unit} (planned {low} to {high}, likely {likely})")
    return "teacher: " + ", ".join(parts)
