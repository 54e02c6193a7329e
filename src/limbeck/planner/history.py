"""Learns from an earlier ledger for a plan: lengths of replies and prompts, attempts, kept shares. Imports no torch."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from limbeck.errors import DataError
from limbeck.planner.ranges import ENOUGH, HIGH, LOW, compute_quantile, measure, measure_share
from limbeck.planner.tokens import TokenCounter
from limbeck.run_folder.folder import RunFolder, find_ledger
from limbeck.run_folder.plan import Range
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.settings import TeacherSettings

COUNTED = 200  # prompts per purpose that are counted again
WROTE = {"synthesize": "probe", "probe": "synthesize"}  # similar replies: one stands in for the other if it has none


@dataclass(frozen=True)
class Learned:
    """What was learned from a ledger.

    Attributes:
        source: the ledger.
        replies: number of replies, by purpose.
        lengths: completion tokens of a reply, by purpose, and by purpose and domain if a domain has at least `ENOUGH`.
        prompt_factors: prompt tokens by the teacher's count divided by those of the plan's count, by purpose.
        attempts: attempts per request, by purpose.
        kept: ``(kept, rejected)`` replies by purpose, if the run's files have them.
        warnings: why the ledger may not fit.
    """

    source: str = ""
    replies: Mapping[str, int] = field(default_factory=dict)
    lengths: Mapping[tuple[str, str | None], Range] = field(default_factory=dict)
    prompt_factors: Mapping[str, Range] = field(default_factory=dict)
    attempts: Mapping[str, Range] = field(default_factory=dict)
    kept: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    warnings: Sequence[str] = ()

    def get_reply(self, purpose: str, domain: str) -> Range | None:
        """Tokens of a reply: for the domain, else for the purpose, else for a purpose with similar replies."""
        for key in ((purpose, domain), (purpose, None), (WROTE.get(purpose, ""), domain), (WROTE.get(purpose, ""), None)):
            if key in self.lengths:
                return self.lengths[key]
        return None

    def get_prompt_factor(self, purpose: str) -> Range | None:
        """The factor that corrects the plan's own count of a prompt."""
        return self.prompt_factors.get(purpose) or self.prompt_factors.get(WROTE.get(purpose, ""))

    def get_attempts(self, purpose: str) -> Range:
        """Attempts per request."""
        return self.attempts.get(purpose, Range(1, 1, 1))

    def compute_kept_share(self, purpose: str) -> Range | None:
        """Share of the replies that are kept, with its 95% interval; None for fewer than `ENOUGH` replies."""
        kept, rejected = self.kept.get(purpose, (0, 0))
        return measure_share(kept, kept + rejected) if kept + rejected >= ENOUGH else None

    def to_json(self) -> dict[str, Any]:
        """The source and the counts, for a plan's ``assumptions``."""
        domains = Counter(purpose for purpose, domain in self.lengths if domain is not None)
        kept = {purpose: {"kept": counts[0], "rejected": counts[1]} for purpose, counts in self.kept.items()}
        return {"source": self.source, "replies": dict(self.replies), "domains": dict(domains), "kept": kept}


UNLEARNED = Learned()


def learn(path: Path, teacher: TeacherSettings, method: Mapping[str, Any], count: TokenCounter) -> Learned:
    """Learn about the requests of a planned run from the ledger of an earlier one.

    Args:
        path: a run folder, or its ledger.
        teacher: the teacher that will be asked.
        method: the method's settings as plain values; replies to requests that it would word differently are left out.
        count: counts tokens like the plan.

    Raises:
        DataError: there is no ledger, or it has no answered request.
        StorageError: it can't be read.
    """
    file = find_ledger(path)
    folder = RunFolder(file.parent)
    before = folder.config.get("method") or {} if folder.has_config else {}
    rows = [row for row in _read(file) if _is_alike(row["purpose"], method, before)]
    done = [row for row in rows if row["state"] == "done"]
    if not done:
        raise DataError(f"{file}: no answered request that this config would also ask, so there is nothing to learn from")
    warnings = []
    models = Counter(str(row["request"].get("model")) for row in done)
    if teacher.model_name not in models:
        warnings.append(
            f"{file}: the replies are from {', '.join(models)}, not from teacher.model {teacher.model_name!r}; "
            "another teacher's may be longer or shorter"
        )
    else:
        done = [row for row in done if row["request"].get("model") == teacher.model_name]
    kept = count_kept(folder, {row["key"]: row["purpose"] for row in rows}, is_annotated=before.get("annotation") != "none")
    if before.get("annotation") not in (None, method.get("annotation")):
        kept.pop("annotate", None)  # the teacher is right more often if it is shown the answer
    replies = Counter(row["purpose"] for row in done)
    return Learned(
        str(file),
        dict(replies),
        measure_lengths(done),
        measure_prompt_factors(done, count),
        measure_attempts(rows),
        {purpose: counts for purpose, counts in kept.items() if purpose in replies},
        warnings,
    )


def learn_if_there(folder: Path, teacher: TeacherSettings, method: Mapping[str, Any], count: TokenCounter) -> Learned:
    """Like `learn`, but for a run folder that may not exist yet; only replies of the same teacher model count."""
    if not find_ledger(folder).exists():
        return UNLEARNED
    try:
        learned = learn(folder, teacher, method, count)
    except DataError:
        return UNLEARNED
    return UNLEARNED if learned.warnings else learned


def _read(path: Path) -> list[dict[str, Any]]:
    ledger = Ledger(path, is_read_only=True)
    try:
        return [{**row, "request": json.loads(row["request"])} for row in ledger.list_requests()]
    finally:
        ledger.close()


def _is_alike(purpose: str, method: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Whether requests of a purpose have the same wording; each method has its own for inventing and verifying examples."""
    return purpose not in (*WROTE, "verify") or before.get("name") in (None, method["name"])


def measure_lengths(done: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str | None], Range]:
    """Completion tokens of answered rows, by purpose, and by domain if there are enough."""
    found: dict[tuple[str, str | None], list[float]] = {}
    for row in done:
        for domain in (None, row["domain"]):
            found.setdefault((row["purpose"], domain), []).append(row["completion_tokens"] or 0)
    return {key: measure(values) for key, values in found.items() if key[1] is None or len(values) >= ENOUGH}


def measure_prompt_factors(done: Sequence[Mapping[str, Any]], count: TokenCounter) -> dict[str, Range]:
    """Ratio of the teacher's prompt token count to ours, by purpose; teachers that count nothing are left out."""
    ratios: dict[str, list[tuple[int, int]]] = {}
    for row in done:
        pairs = ratios.setdefault(row["purpose"], [])
        if row["prompt_tokens"] and len(pairs) < COUNTED:
            pairs.append((row["prompt_tokens"], count.count_prompt(row["request"]["messages"])))
    found = {}
    for purpose, pairs in ratios.items():
        if pairs:
            mean = sum(real for real, _ in pairs) / sum(ours for _, ours in pairs)
            each = sorted(real / ours for real, ours in pairs)
            found[purpose] = Range(min(compute_quantile(each, LOW), mean), mean, max(compute_quantile(each, HIGH), mean))
    return found


def measure_attempts(rows: Iterable[Mapping[str, Any]]) -> dict[str, Range]:
    """Attempts that were sent per request, by purpose."""
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        counts.setdefault(row["purpose"], Counter())[row["key"]] += row["is_sent"]
    found = {}
    for purpose, attempts in counts.items():
        each = sorted(max(1, count) for count in attempts.values())
        mean = sum(each) / len(each)
        found[purpose] = Range(1, mean, max(mean, compute_quantile(each, HIGH)))
    return found


def count_kept(folder: RunFolder, purposes: Mapping[str, str], *, is_annotated: bool) -> dict[str, tuple[int, int]]:
    """Count kept and rejected replies by purpose, from the files of collected stages or rounds, or else of a probe.

    Args:
        folder: of the run.
        purposes: purpose of each ledger key.
        is_annotated: whether the teacher annotated the run's real examples.
    """
    kept: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    has_premixed = folder.premixed.exists()
    for stage in folder.stages:
        for entry in stage.quotas.read()["domains"].values():
            kept["annotate"] += entry["real"] if is_annotated else 0
            kept["probe"] += entry.get("probes", 0)
            kept["synthesize"] += 0 if has_premixed else entry["synthesized"] - entry.get("probes", 0)
    if has_premixed:
        kept["synthesize"] = len(folder.premixed.read())
    for file in (*(stage.rejected for stage in folder.stages), folder.premixed_rejected):
        for one in file.read() if file.exists() else ():
            if one.request is not None and one.request in purposes:
                rejected[purposes[one.request]] += 1
    if not folder.stages and folder.probe.exists():
        for purpose, entry in folder.probe.read().get("kept", {}).items():
            kept[purpose], rejected[purpose] = entry["kept"], entry["rejected"]
    return {
        purpose: (kept[purpose], rejected[purpose])
        for purpose in sorted({*kept, *rejected})
        if kept[purpose] + rejected[purpose]
    }
