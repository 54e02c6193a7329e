"""A plan as a record: what a run will do and cost, as in ``plan.json`` and ``limbeck plan --json``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from limbeck.run_folder.rows import Rows
from limbeck.selection.quotas import Share

BOUNDS = ("low", "likely", "high")


@dataclass(frozen=True)
class Range:
    """An estimate of a number that is not known yet."""

    low: float
    likely: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.likely + other.likely, self.high + other.high)

    def __mul__(self, other: Range | float) -> Range:
        by = other if isinstance(other, Range) else Range(other, other, other)
        return Range(self.low * by.low, self.likely * by.likely, self.high * by.high)

    def __iter__(self) -> Iterator[float]:
        return iter((self.low, self.likely, self.high))


NOTHING = Range(0, 0, 0)


@dataclass(frozen=True)
class PlannedRequests:
    """What one stage will ask about one domain for one purpose, in the ledger's terms.

    Attributes:
        domain: `GLOBAL` if a quota is not split by domain.
        requests: number of attempts that are sent.
        prompt_tokens, completion_tokens: totals over all of them.
        cost_usd: None if the teacher has no prices.
        seconds: waiting time.
    """

    stage: int
    domain: str
    purpose: str
    requests: Range
    prompt_tokens: Range
    completion_tokens: Range
    cost_usd: Range | None
    seconds: Range = NOTHING

    def add(self, other: PlannedRequests) -> PlannedRequests:
        """Add more requests of the same stage, domain and purpose."""
        return replace(
            self,
            requests=self.requests + other.requests,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            seconds=self.seconds + other.seconds,
            cost_usd=None if self.cost_usd is None or other.cost_usd is None else self.cost_usd + other.cost_usd,
        )

    def to_json(self) -> dict[str, Any]:
        """The record as a plain dictionary; an unknown cost has nulls."""
        facts = asdict(self)
        del facts["seconds"]  # only part of the totals
        return {**facts, "cost_usd": facts["cost_usd"] or dict.fromkeys(BOUNDS)}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> PlannedRequests:
        """Read what `to_json` wrote."""
        ranges = {name: _read_range(row[name]) for name in ("requests", "prompt_tokens", "completion_tokens", "cost_usd")}
        return cls(**{**row, **ranges})


@dataclass(frozen=True)
class PlanTotals:
    """The sums of a plan.

    Attributes:
        examples: rows of the final training set: `real` + `synthesize` + `duplicate`.
        missing: examples that the quotas want but that can't be obtained.
        requests, tokens: of the teacher.
        cost_usd: of the teacher; None if it has no prices.
        seconds: of the teacher, training and measuring.
    """

    examples: int
    real: int
    synthesize: int
    duplicate: int
    missing: int
    requests: Range
    tokens: Range
    cost_usd: Range | None
    seconds: Range

    def to_json(self) -> dict[str, Any]:
        """The record as a plain dictionary; an unknown cost has nulls."""
        facts = asdict(self)
        return {**facts, "cost_usd": facts["cost_usd"] or dict.fromkeys(BOUNDS)}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> PlanTotals:
        """Read what `to_json` wrote."""
        ranges = {name: _read_range(facts[name]) for name in ("requests", "tokens", "cost_usd", "seconds")}
        return cls(**{**facts, **ranges})


@dataclass(frozen=True)
class Plan:
    """What a run will do and cost.

    Attributes:
        method: its name.
        step: what a step of its loop is called, ``stage`` or ``round``.
        domains: size of each domain in the pool.
        stages: the share of each domain in each stage or round.
        requests: to the teacher, by stage, domain and purpose.
        totals: their sums.
        notes: what the data's guards found.
        warnings: what the user may not want.
        assumptions: what the numbers are based on.
        probe: what a probe asked and what it cost, if there was one.
    """

    method: str
    step: str
    domains: Mapping[str, int]
    stages: Sequence[Mapping[str, Share]]
    requests: Rows[PlannedRequests]
    totals: PlanTotals
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    assumptions: Mapping[str, Any] = field(default_factory=dict)
    probe: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """The content of ``plan.json``; ``plan --json`` also prints the probe."""
        return {
            "method": self.method,
            "step": self.step,
            "domains": dict(self.domains),
            "stages": [
                {"stage": index, "domains": {name: asdict(share) for name, share in shares.items()}}
                for index, shares in enumerate(self.stages)
            ],
            "requests": [row.to_json() for row in self.requests],
            "totals": self.totals.to_json(),
            "notes": list(self.notes),
            "warnings": list(self.warnings),
            "assumptions": dict(self.assumptions),
        }

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Plan:
        """Read the plan that `to_json` wrote."""
        return cls(
            method=facts["method"],
            step=facts["step"],
            domains=facts["domains"],
            stages=[{name: Share(**share) for name, share in entry["domains"].items()} for entry in facts["stages"]],
            requests=Rows(map(PlannedRequests.from_json, facts["requests"])),
            totals=PlanTotals.from_json(facts["totals"]),
            notes=facts["notes"],
            warnings=facts["warnings"],
            assumptions=facts["assumptions"],
        )


def _read_range(bounds: Mapping[str, float | None]) -> Range | None:
    low, likely, high = (bounds[name] for name in BOUNDS)
    return None if low is None or likely is None or high is None else Range(low, likely, high)
