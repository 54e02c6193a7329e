"""What an earlier ledger teaches a plan: lengths of replies and prompts, attempts, kept shares. Imports no torch."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from limbeck.config.config import Config
from limbeck.errors import DataError
from limbeck.planner.tokens import TokenCounter
from limbeck.run_folder.folder import RunFolder, StageFolder
from limbeck.system.files import read_json, read_json_lines
from limbeck.teacher.client.ledger import Ledger

BOUNDS = ("low", "likely", "high")
ENOUGH = 8  # replies of which quantiles are taken; of fewer, half and twice the mean
LOW, HIGH = 0.10, 0.95
COUNTED = 200  # prompts of a purpose that are counted again
PROBE = "probe.json"
WROTE = {"synthesize": "probe", "probe": "synthesize"}  # whose replies are alike where one has none


@dataclass(frozen=True)
class Range:
    """A number that is not known yet."""

    low: float
    likely: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.likely + other.likely, self.high + other.high)

    def __mul__(self, other: Range | float) -> Range:
        by = other if isinstance(other, Range) else Range(other, other, other)
        return Range(self.low * by.low, self.likely * by.likely, self.high * by.high)


@dataclass(frozen=True)
class Learned:
    """What a ledger taught.

    Attributes:
        source: the ledger.
        replies: how many, by purpose.
        lengths: completion tokens of a reply, by purpose, and by purpose and domain where a domain has `ENOUGH`.
        prompt_factors: prompt tokens by the teacher's count over those by the plan's, by purpose.
        attempts: attempts of a request, by purpose.
        kept: ``(kept, rejected)`` replies by purpose, where the run's files say so.
        warnings: why it may not fit.
    """

    source: str = ""
    replies: Mapping[str, int] = field(default_factory=dict)
    lengths: Mapping[tuple[str, str | None], Range] = field(default_factory=dict)
    prompt_factors: Mapping[str, Range] = field(default_factory=dict)
    attempts: Mapping[str, Range] = field(default_factory=dict)
    kept: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    warnings: Sequence[str] = ()

    def find_reply(self, purpose: str, domain: str) -> Range | None:
        """Tokens of a reply: of the domain, of the purpose, or of one that writes alike."""
        for key in ((purpose, domain), (purpose, None), (WROTE.get(purpose, ""), domain), (WROTE.get(purpose, ""), None)):
            if key in self.lengths:
                return self.lengths[key]
        return None

    def find_prompt_factor(self, purpose: str) -> Range | None:
        """By how much the plan's own count of a prompt is to be multiplied."""
        return self.prompt_factors.get(purpose) or self.prompt_factors.get(WROTE.get(purpose, ""))

    def find_attempts(self, purpose: str) -> Range:
        """Attempts of a request."""
        return self.attempts.get(purpose, Range(1, 1, 1))

    def find_kept(self, purpose: str) -> Range | None:
        """Share of the replies that are kept, with its 95% interval; None of fewer than `ENOUGH`."""
        kept, rejected = self.kept.get(purpose, (0, 0))
        return measure_share(kept, kept + rejected) if kept + rejected >= ENOUGH else None

    def to_json(self) -> dict[str, Any]:
        """The source and the counts, for a plan's ``assumptions``."""
        domains = Counter(purpose for purpose, domain in self.lengths if domain is not None)
        kept = {purpose: {"kept": counts[0], "rejected": counts[1]} for purpose, counts in self.kept.items()}
        return {"source": self.source, "replies": dict(self.replies), "domains": dict(domains), "kept": kept}


UNLEARNED = Learned()


def learn(path: Path, config: Config, count: TokenCounter) -> Learned:
    """What the ledger of an earlier run teaches about a config's requests.

    Args:
        path: a run folder, or its ``ledger.sqlite``.
        config: what is planned; replies to requests that it would word otherwise are left out.
        count: by which the plan counts.

    Raises:
        DataError: no ledger there, or no answered request in it.
        StorageError: it can't be read.
    """
    file = path / "ledger.sqlite" if path.is_dir() else path
    before = RunFolder(file.parent).config if (file.parent / "config.yaml").exists() else {}
    rows = [row for row in _read(file) if _is_alike(row["purpose"], config, before)]
    done = [row for row in rows if row["state"] == "done"]
    if not done:
        raise DataError(f"{file}: no answered request that this config would ask too; there is nothing to learn from")
    warnings = []
    models = Counter(str(row["request"].get("model")) for row in done)
    if config.teacher.model_name not in models:
        warnings.append(
            f"{file}: the replies are of {', '.join(models)}, not of teacher.model {config.teacher.model_name!r}; "
            "another teacher's may be longer or shorter"
        )
    else:
        done = [row for row in done if row["request"].get("model") == config.teacher.model_name]
    asks = _get(before, "method", "annotation") != "none"
    kept = count_kept(file.parent, {row["key"]: row["purpose"] for row in rows}, is_annotated=asks)
    if _get(before, "method", "annotation") not in (None, getattr(config.method, "annotation", None)):
        kept.pop("annotate", None)  # an answer that was shown is got right more often
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


def learn_if_there(folder: Path, config: Config, count: TokenCounter) -> Learned:
    """As `learn`, of a run folder that may not be there yet; only replies of the very same teacher model teach."""
    if not (folder / "ledger.sqlite").exists():
        return UNLEARNED
    try:
        learned = learn(folder, config, count)
    except DataError:
        return UNLEARNED
    return UNLEARNED if learned.warnings else learned


def _read(path: Path) -> list[dict[str, Any]]:
    ledger = Ledger(path, is_read_only=True)
    try:
        return [{**row, "request": json.loads(row["request"])} for row in ledger.list_requests()]
    finally:
        ledger.close()


def _get(values: Mapping[str, Any], section: str, name: str) -> Any:  # noqa: ANN401 (a config's value)
    return (values.get(section) or {}).get(name)


def _is_alike(purpose: str, config: Config, before: Mapping[str, Any]) -> bool:
    """Whether requests of a purpose are worded alike: each method invents and verifies examples in words of its own."""
    return purpose not in (*WROTE, "verify") or _get(before, "method", "name") in (None, config.method.name)


def measure_lengths(done: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str | None], Range]:
    """Completion tokens of answered rows, by purpose, and by domain where there are enough."""
    found: dict[tuple[str, str | None], list[float]] = {}
    for row in done:
        for domain in (None, row["domain"]):
            found.setdefault((row["purpose"], domain), []).append(row["completion_tokens"] or 0)
    return {key: measure(values) for key, values in found.items() if key[1] is None or len(values) >= ENOUGH}


def measure_prompt_factors(done: Sequence[Mapping[str, Any]], count: TokenCounter) -> dict[str, Range]:
    """The teacher's own count of prompts over ours, by purpose; teachers that count nothing teach nothing."""
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
            found[purpose] = Range(min(find_quantile(each, LOW), mean), mean, max(find_quantile(each, HIGH), mean))
    return found


def measure_attempts(rows: Iterable[Mapping[str, Any]]) -> dict[str, Range]:
    """Attempts that left the machine for each request, by purpose."""
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        counts.setdefault(row["purpose"], Counter())[row["key"]] += row.get("is_sent", 1)  # a column that old ledgers lack
    found = {}
    for purpose, attempts in counts.items():
        each = sorted(max(1, count) for count in attempts.values())
        mean = sum(each) / len(each)
        found[purpose] = Range(1, mean, max(mean, find_quantile(each, HIGH)))
    return found


def count_kept(folder: Path, purposes: Mapping[str, str], *, is_annotated: bool) -> dict[str, tuple[int, int]]:
    """Kept and rejected replies by purpose, from the files of the finished stages or rounds, else from a probe's.

    Args:
        folder: of the run.
        purposes: purpose of each ledger key.
        is_annotated: whether its real examples were asked about.
    """
    kept: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    stages = [StageFolder(path) for path in sorted(folder.glob("*_*")) if (path / "quotas.json").exists()]
    premixed = folder / "premixed.jsonl"
    files = [stage.path / "rejected.jsonl" for stage in stages]
    for stage in stages:
        for entry in read_json(stage.path / "quotas.json")["domains"].values():
            kept["annotate"] += entry["real"] if is_annotated else 0
            kept["probe"] += entry.get("probes", 0)
            kept["synthesize"] += 0 if premixed.exists() else entry["synthesized"] - entry.get("probes", 0)
    if premixed.exists():
        kept["synthesize"] = len(read_json_lines(premixed))
        files.append(folder / "premixed_rejected.jsonl")
    for file in files:
        for row in read_json_lines(file) if file.exists() else ():
            if row.get("request") in purposes:
                rejected[purposes[row["request"]]] += 1
    if not stages and (folder / PROBE).exists():
        for purpose, entry in read_json(folder / PROBE).get("kept", {}).items():
            kept[purpose], rejected[purpose] = entry["kept"], entry["rejected"]
    return {
        purpose: (kept[purpose], rejected[purpose])
        for purpose in sorted({*kept, *rejected})
        if kept[purpose] + rejected[purpose]
    }


def measure(values: Iterable[float]) -> Range:
    """The 10% quantile, mean and 95% quantile; half and twice the mean of fewer than `ENOUGH`."""
    ordered = sorted(values)
    mean = sum(ordered) / len(ordered)
    if len(ordered) < ENOUGH:
        return Range(mean / 2, mean, mean * 2)
    return Range(min(find_quantile(ordered, LOW), mean), mean, max(find_quantile(ordered, HIGH), mean))


def find_quantile(ordered: Sequence[float], share: float) -> float:
    """The quantile of sorted values, between two of them in proportion."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def measure_share(count: int, total: int) -> Range:
    """A share with its 95% Wilson interval."""
    z = 1.96
    share = count / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    reach = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return Range(max(0.0, middle - reach), share, min(1.0, middle + reach))
