"""Metrics as a record: the content of ``metrics.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from limbeck.run_folder.rows import Rows


@dataclass(frozen=True)
class DomainMetrics:
    """A student's accuracy in one domain.

    Attributes:
        domain: its name.
        count: test rows.
        accuracy: share of correct answers, 0 to 1.
        low, high: the 95% interval.
        is_tail: whether it is one of the tail domains.
    """

    domain: str
    count: int
    accuracy: float
    low: float
    high: float
    is_tail: bool


@dataclass(frozen=True)
class Metrics:
    """Accuracy over all domains, head, tail and worst; `values` has everything, including intervals (``*_ci95``).

    Attributes:
        values: the content of ``metrics.json``.
    """

    values: Mapping[str, Any]

    @property
    def accuracy_micro(self) -> float:
        """Share of correct answers over all rows."""
        return float(self.values["accuracy_micro"])

    @property
    def accuracy_macro(self) -> float:
        """Mean accuracy of the domains."""
        return float(self.values["accuracy_macro"])

    @property
    def accuracy_head(self) -> float | None:
        """Mean accuracy of the head domains; None if there are none."""
        return _to_float(self.values["accuracy_head"])

    @property
    def accuracy_tail(self) -> float | None:
        """Mean accuracy of the tail domains; None if there are none."""
        return _to_float(self.values["accuracy_tail"])

    @property
    def accuracy_worst(self) -> float:
        """Accuracy of the worst domain."""
        return float(self.values["accuracy_worst"])

    @property
    def domains(self) -> Rows[DomainMetrics]:
        """Accuracy by domain."""
        tail = set(self.values.get("tail_domains", ()))
        return Rows(
            DomainMetrics(name, entry["count"], entry["accuracy"], low, high, name in tail)
            for name, entry in self.values["domains"].items()
            for low, high in (entry["accuracy_ci95"],)
        )

    @property
    def baseline(self) -> Metrics | None:
        """The untouched student's metrics, if it was measured."""
        return self._find("baseline")

    @property
    def gain(self) -> Metrics | None:
        """The paired difference to the untouched student, if that was measured."""
        return self._find("gain")

    @property
    def teacher(self) -> Metrics | None:
        """The teacher's own metrics, if it was measured."""
        return self._find("teacher")

    def to_json(self) -> dict[str, Any]:
        """The metrics as a plain dictionary."""
        return dict(self.values)

    def _find(self, name: str) -> Metrics | None:
        found = self.values.get(name)
        return None if found is None else Metrics(found)


def _to_float(value: float | None) -> float | None:
    return None if value is None else float(value)
