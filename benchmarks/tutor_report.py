"""Writes the tutor study as a Markdown page. The verdict sentences are derived from the intervals."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

METRICS = {"accuracy_macro": "macro", "accuracy_head": "head", "accuracy_tail": "tail", "accuracy_worst": "worst"}
SPEND = ("examples", "requests", "tokens")
CLAIMS = (
    ("baldistill-a", "random-cot"),
    ("baldistill-plus", "baldistill-a"),
    ("baldistill-n", "random-cot"),
    ("baldistill-a", "balance-cot"),
    ("baldistill-plus", "baldistill-n"),
    ("baldistill-plus", "balance-cot"),
)


def write_page(result: Mapping[str, Any]) -> str:
    """Markdown of the results in ``benchmarks/results/tutor_study.json``."""
    main, gate = result["main"], result["gate"]
    arms = {**main["arms"], **{f"({name})": arm for name, arm in main["references"].items()}}
    domains = list(gate["full"]["domains"])
    by_domain = [[name, *(f"{100 * gate[name]['domains'][d]:.0f}" for d in domains)] for name in ("untouched", "full")]
    factors = dict.fromkeys(one["factor"] for one in result["levels"].values())
    page = PAGE.format(
        count=len(main["seeds"]),
        budget=main["budget"]["max_examples"][main["presets"][0]],
        untouched=gate["untouched"]["macro"],
        full=gate["full"]["macro"],
        full_examples=gate["full_examples"],
        passed="passed" if gate["is_passed"] else "**not passed: the study can't show anything**",
        domains=make_table(["", *domains], by_domain),
        by_domain=show_domains(result["domains"]),
        arms=make_table(["arm", *METRICS.values(), *SPEND], [show_arm(name, arm) for name, arm in arms.items()]),
        pairs=make_table(["a − b", "macro", "95% interval", "p (Holm)", "tail", "p (Holm)"], show_pairs(main)),
        claims="\n".join(judge(main, *claim) for claim in CLAIMS),
        sweeps="\n\n".join(show_factor(result, factor) for factor in factors),
        pilot=show_pilot(result["pilot"]),
        epochs=gate["training"]["epochs"],
        per_domain=gate["per_domain"],
        sha=result["student_sha256"],
        torch=result["torch"],
        machine=result["machine"],
    )
    parts = page.split("\n\n")
    wrapped = [
        part if part.startswith(("|", "#", "-", "    ")) else textwrap.fill(part, 128, break_on_hyphens=False) for part in parts
    ]
    return "\n\n".join(part.strip("\n") for part in wrapped) + "\n"


def make_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def show(entry: Mapping[str, Any] | None, scale: float = 100) -> str:
    """A mean and the half-width of its interval, in %."""
    if entry is None:
        return "–"
    if entry["ci95"] is None:
        return f"{scale * entry['mean']:.1f}"
    return f"{scale * entry['mean']:.1f} ± {scale * (entry['ci95'][1] - entry['ci95'][0]) / 2:.1f}"


def show_arm(name: str, arm: Mapping[str, Any]) -> list[str]:
    """The table row of an arm."""
    spend = [f"{arm[key]['mean']:,.0f}" if arm.get(key) else "–" for key in SPEND]
    return [f"`{name}`", *(show(arm.get(metric)) for metric in METRICS), *spend]


def find_pair(facts: Mapping[str, Any], a: str, b: str, metric: str) -> dict[str, Any] | None:
    """The paired test of a − b, with its sign flipped if it is stored as b − a."""
    for pair in facts["pairs"]:
        if pair["metric"] == metric and {pair["a"], pair["b"]} == {a, b}:
            if pair["a"] == a:
                return dict(pair)
            turned = None if pair["ci95"] is None else [-pair["ci95"][1], -pair["ci95"][0]]
            return {**pair, "a": a, "b": b, "difference": -pair["difference"], "ci95": turned}
    return None


def show_pairs(facts: Mapping[str, Any]) -> list[list[str]]:
    """All paired differences in macro and tail accuracy."""
    rows = []
    for pair in facts["pairs"]:
        if pair["metric"] != "accuracy_macro":
            continue
        tail = find_pair(facts, pair["a"], pair["b"], "accuracy_tail")
        row = [f"`{pair['a']}` − `{pair['b']}`", f"{100 * pair['difference']:+.1f}", show_interval(pair["ci95"])]
        row.append(show_p(pair["p_holm"]))
        rows.append([*row, f"{100 * tail['difference']:+.1f}" if tail else "–", show_p(tail["p_holm"]) if tail else "–"])
    return rows


def show_interval(interval: Sequence[float] | None) -> str:
    """An interval in percentage points."""
    return "–" if interval is None else f"[{100 * interval[0]:+.1f}, {100 * interval[1]:+.1f}]"


def show_p(p: float | None) -> str:
    """A p-value with three digits."""
    return "–" if p is None else f"{p:.3f}" if p >= 0.001 else "< 0.001"


def judge(facts: Mapping[str, Any], a: str, b: str) -> str:
    """The main design's verdict on one claim."""
    said = []
    for metric in ("accuracy_macro", "accuracy_tail"):
        pair = find_pair(facts, a, b, metric)
        if pair is None:
            continue
        word = ("higher" if pair["difference"] > 0 else "lower") if pair["is_resolved"] else "not resolved"
        said.append(
            f"{METRICS[metric]} {word} ({100 * pair['difference']:+.1f} points, {show_interval(pair['ci95'])}, "
            f"p by Holm {show_p(pair['p_holm'])})"
        )
    return f"- `{a}` against `{b}`: {'; '.join(said)}."


def show_factor(result: Mapping[str, Any], factor: str) -> str:
    """The levels of one factor, next to the main design with the same seeds."""
    levels = {name: one for name, one in result["levels"].items() if one["factor"] == factor}
    seeds = result["sweeps"][next(iter(levels))]["seeds"]
    presets = list(dict.fromkeys(preset for one in levels.values() for preset in one["presets"]))
    rows = []
    for preset in presets:
        base = result["main"]["arms"].get(preset)
        row = [f"`{preset}`", mean_of_first(base, "accuracy_macro", seeds) if base else "–"]
        for name in levels:
            arm = result["sweeps"][name]["arms"].get(preset)
            row.append(f"{show(arm['accuracy_macro'])} (tail {show(arm['accuracy_tail'])})" if arm else "–")
        rows.append(row)
    return f"### {factor}\n\n" + make_table(["arm", "main design", *(one["level"] for one in levels.values())], rows)


def show_pilot(pilot: Mapping[str, Any]) -> str:
    """Each variant, and its change from the first."""
    rows = [
        [
            name,
            *(f"{100 * one[metric]['mean']:.1f}" for metric in ("accuracy_macro", "accuracy_head", "accuracy_tail")),
            f"{one['requests']['mean']:,.0f}",
            f"{100 * one['accuracy_macro']['difference']['mean']:+.1f}",
            show_interval(one["accuracy_macro"]["difference"]["ci95"]),
        ]
        for name, one in pilot.items()
    ]
    return make_table(["variant", "macro", "head", "tail", "requests", "macro, change", "95% interval"], rows)


def show_domains(described: Mapping[str, Any]) -> str:
    """Each arm's examples and accuracy in %, by domain."""
    rows = []
    for preset, one in described.items():
        cells = [f"{count:.0f}, {100 * one['accuracy'][name]:.0f}%" for name, count in one["examples"].items()]
        rows.append([f"`{preset}`", *cells, f"{one['synthesized']:.0f}"])
    return make_table(["arm", *next(iter(described.values()))["examples"], "synthesized"], rows)


def mean_of_first(arm: Mapping[str, Any], metric: str, seeds: Sequence[int]) -> str:
    """The main design's mean over the seeds of the sweeps."""
    values = [value for seed, value in zip(arm["seeds"], arm[metric]["values"], strict=True) if seed in seeds]
    return f"{100 * sum(values) / len(values):.1f}"


PAGE = """# The tutor study: BalDistill's arms at equal budget, with a simulated teacher

Written by `make tutor-study`, with `benchmarks/results/tutor_study.json`; the settings are in `examples/tutor_study.yaml`.

**The teacher is a simulation** (`teacher.backend: tutor`). One solution in ten, annotated or invented, has a wrong step that
carries through to the answer (`slip_rate: 0.1`). Its inventions drift towards what the prompt shows (`centre_bias: 1.0`,
`follows_shown: true`); this habit of language models is assumed here and not tested. For a real row the teacher is told the
answer, so a slip is noticed and the reply replaced; in an invention only votes can detect it.

The pool has eight procedural domains of 240 to 3 problems (Zipf exponent 2). The budget is {budget} examples for every arm.
The student is a Llama with 1.0 million parameters, pre-trained by `benchmarks/tutor_student.py` on procedural text in other
wordings (weights sha256 `{sha}`; torch {torch}, {machine}, one thread). All arms train it the same way: all weights, ten
epochs, from the pre-trained student in each stage. The test set has {per_domain} problems per domain, so macro and micro
accuracy are equal. There are {count} seeds; ± is the half-width of the 95% interval of the mean over seeds (Student's t). The
intervals cover the variation between seeds on these test problems, not the variation between test sets.

## Gate

The untouched student has a macro accuracy of {untouched:.1%} (the gate requires at most 10%); after {epochs} epochs on
{full_examples} balanced problems with correct solutions it has {full:.1%} (the gate requires at least 60%). The gate is
{passed}. By domain, %:

{domains}

## Pilot, %

The pilot uses four seeds that no other part uses. Each variant changes only the named settings of `baldistill-a`. The `uniform`
variants have the quotas of `baldistill-n`; `separate` is the objective, `energy` the feedback, `k_centre` the diversity,
`random` and `loss` the selection. `baldistill-plus` was chosen from this table before the main design was run with it.

{pilot}

## Main design, %

{arms}

`(all-labels)` learnt the bare answers of the whole pool; `(teacher)` is the tutor itself on the dev problems.

Examples and accuracy by domain, starting with the largest domain of the pool; means over seeds:

{by_domain}

Paired differences over seeds in percentage points; p-values have Holm's correction over all pairs of one metric:

{pairs}

## Claims and results

{claims}

## One factor at a time, macro accuracy %

The first five seeds; the main design column is the mean over the same seeds.

{sweeps}
"""
