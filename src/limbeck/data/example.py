"""Examples, where they come from, and why they are rejected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from limbeck.hashing import canonical_json, hash_text

OTHER_ANSWERS = "other_answers"
"""The key of an example's `meta` for further gold answers: each of them is right, too."""


def make_example_id(domain: str, fields: Mapping[str, str]) -> str:
    """The stable id of an example: 16 hex digits of the hash of its domain and fields, independent of the template."""
    return hash_text(canonical_json({"domain": domain, "fields": dict(fields)}))[:16]


@dataclass(frozen=True)
class Provenance:
    """Where an example comes from.

    Attributes:
        kind: ``real`` (a row of the user's data) or ``synthesized`` (written by the teacher).
        request: ledger key of the request that wrote it, for synthesized examples.
        seeds: ids of the seed examples shown in that request.
        copy: 0 for an original; 1, 2, … for repeats made by ``tail: duplicate``.
    """

    kind: str = "real"
    request: str | None = None
    seeds: tuple[str, ...] = ()
    copy: int = 0


@dataclass(frozen=True)
class Example:
    """One example. `question` is rendered from `fields`; `id` depends on `domain` and `fields` only."""

    id: str
    domain: str
    fields: Mapping[str, str]
    question: str
    answer: str
    answer_type: str
    rationale: str | None = None
    teacher_answer: str | None = None
    provenance: Provenance = field(default_factory=Provenance)
    stage: int | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # The same order for examples from the data and from the sorted JSON of a run folder.
        object.__setattr__(self, "fields", dict(sorted(self.fields.items())))

    def but(self, **changes: Any) -> Example:  # noqa: ANN401 (the fields of this class)
        """A copy of this example with some attributes changed."""
        return replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary in the order of the attributes; `from_json` reads it back."""
        return asdict(self)

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Example:
        """Read an example that `to_json` wrote."""
        provenance = dict(row["provenance"])
        provenance["seeds"] = tuple(provenance["seeds"])
        return cls(**{**row, "provenance": Provenance(**provenance)})


@dataclass(frozen=True)
class Rejected:
    """A dropped example (or a reply that never became one), with the reason.

    Attributes:
        stage: the stage that dropped it.
        domain: the domain it would have counted for.
        reason: one word of a fixed set, such as ``answer_mismatch``; counted in reports.
        example_id: id of the example, if there was one.
        request: ledger key of the teacher request behind it, if there was one.
        detail: the details, for the user.
    """

    stage: int
    domain: str
    reason: str
    example_id: str | None = None
    request: str | None = None
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary in the order of the attributes."""
        return asdict(self)


def count_reasons(rejected: Sequence[Rejected]) -> dict[str, int]:
    """How often each reason occurs, most frequent first, ties by name."""
    counts: dict[str, int] = {}
    for one in rejected:
        counts[one.reason] = counts.get(one.reason, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def explain_rejects(rejected: Sequence[Rejected], most: int | None = None) -> str:
    """The `most` most frequent reasons with their shares, such as ``malformed 60%, truncated 40%``."""
    reasons = list(count_reasons(rejected).items())[:most]
    return ", ".join(f"{reason} {count / len(rejected):.0%}" for reason, count in reasons)
