"""Compares BalDistill's arms at equal budget with a simulated teacher that errs at known rates.

Data, student and runs go to ``runs/tutor-study``. Every run belongs to a `limbeck compare`, so finished runs are read and
interrupted ones are resumed. The steps, in order:

- ``--gate``: measures the untouched student, and the student after training on a large balanced set without errors. The study
  can show something only if the first accuracy is near 0 and the second far above it.
- ``--pilot``: changes settings of ``baldistill-a``, on its own seeds, to choose ``baldistill-plus``.
- without these: the main design and the sweeps, on other seeds; writes ``benchmarks/results/tutor_study.json`` and
  ``docs/tutor_study.md``.

``OMP_NUM_THREADS=1 python benchmarks/tutor_study.py --jobs 2`` runs the gate, the main design and the sweeps.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from tutor_report import write_page
from tutor_student import FOLDER, hash_weights, make_student

from limbeck import Progress, compare
from limbeck.config.config import load_config
from limbeck.data.procedural.problems import DATA_SETS, DOMAINS, draw_problem, make_procedural_longtail
from limbeck.data.sources import read_examples
from limbeck.evaluation.evaluate import evaluate
from limbeck.evaluation.metrics import compute_metrics
from limbeck.evaluation.statistics import compute_paired_test
from limbeck.student.encode import make_encoder
from limbeck.student.fine_tune import fine_tune, load_for_training
from limbeck.student.model import Student, load_student, quiet_libraries
from limbeck.system.files import read_json, read_json_lines, write_json, write_jsonl, write_text

ROOT = Path(__file__).parent.parent
WORK = ROOT / "runs" / "tutor-study"
CONFIG = ROOT / "examples" / "tutor_study.yaml"
PILOT_RESULT = ROOT / "benchmarks" / "results" / "tutor_pilot.json"
EXPONENT, STREAM_SEED, TEST_PER_DOMAIN, DEV_PER_DOMAIN = 2.0, 13, 45, 10
GATE = {"untouched": 0.1, "full": 0.6}
FULL_DRAWS, FULL_PER_DOMAIN = 6000, 1000
FULL_TRAINING = {"epochs": 8, "learning_rate": 1e-3}  # for the gate: twenty times the rows need a lower rate

PILOT_SEEDS = tuple(range(101, 105))
MAIN_SEEDS = tuple(range(1, 11))
SWEEP_SEEDS = MAIN_SEEDS[:5]
MAIN = ("random-cot", "balance-cot", "active-cot", "baldistill-n", "baldistill-a", "baldistill-plus")
METRICS = ("accuracy_macro", "accuracy_head", "accuracy_tail", "requests")
SWEPT = ("random-cot", "baldistill-a", "baldistill-plus")


@dataclass(frozen=True)
class Sweep:
    """One factor at one level; everything else is as in the main design."""

    factor: str
    level: str
    sets: tuple[str, ...]
    presets: tuple[str, ...] = SWEPT

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.factor}-{self.level}".replace(", ", "-").replace(" ", "-")


UNIFORM = ("method.quota=uniform", "method.keeps=[quota,selection]")
VOTE = (*UNIFORM, "method.verify=vote")
BALDISTILLS = ("baldistill-n", "baldistill-a", "baldistill-plus")
KEPT = ("method.keeps=[selection]",)
UNVERIFIED = ("method.verify=none", "method.keeps=[verify]")
PILOT = (
    Sweep("base", "baldistill-a", ()),
    Sweep("offset", "1", ("method.adaptive_offset=1",)),
    Sweep("quota", "error", ("method.quota=error", "method.keeps=[quota]")),
    Sweep("verify", "vote", ("method.verify=vote",)),
    Sweep("selection", "random", ("method.selection=random", "method.keeps=[selection]")),
    Sweep("selection", "loss", ("method.selection=loss", "method.keeps=[selection]")),
    # The more is synthesized, the more the way of synthesis matters.
    Sweep("uniform", "alone", UNIFORM),
    Sweep("uniform", "loss", (*UNIFORM, "method.selection=loss")),
    Sweep("uniform", "separate", (*UNIFORM, "method.objective=separate")),
    Sweep("uniform", "vote", VOTE),
    Sweep("uniform", "vote-random", (*VOTE, "method.selection=random")),
    Sweep("uniform", "vote-loss", (*VOTE, "method.selection=loss")),
    Sweep("uniform", "vote-energy", (*VOTE, "method.feedback=energy")),
    Sweep("uniform", "vote-k_centre", (*VOTE, "method.diversity=k_centre")),
)
SWEEPS = (
    Sweep("slip_rate", "0", ("teacher.tutor.slip_rate=0",)),
    Sweep("slip_rate", "0.3", ("teacher.tutor.slip_rate=0.3",)),
    Sweep("slip_rate", "0.3, not verified", ("teacher.tutor.slip_rate=0.3", *UNVERIFIED), ("baldistill-plus",)),
    Sweep("verify", "none", UNVERIFIED, ("baldistill-plus",)),
    Sweep("verify", "answer", ("method.verify=answer", "method.keeps=[verify]"), BALDISTILLS),
    Sweep("verify", "vote", ("method.verify=vote",), ("baldistill-n", "baldistill-a")),
    Sweep("budget", "80", ("budget.max_examples=80",)),
    Sweep("budget", "320", ("budget.max_examples=320",)),
    Sweep("offset", "1", ("method.adaptive_offset=1",), ("baldistill-a",)),
    Sweep("selection", "ifd", (*KEPT, "method.selection=ifd"), ("baldistill-plus",)),
    Sweep("selection", "loss", (*KEPT, "method.selection=loss"), ("baldistill-n", "baldistill-a")),
    Sweep("selection", "random", (*KEPT, "method.selection=random"), BALDISTILLS),
)


def main() -> None:
    """Make what is missing, do the remaining runs, and write the JSON and the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gate", action="store_true", help="stop after the gate")
    parser.add_argument("--pilot", action="store_true", help="run the pilot instead of the study")
    parser.add_argument("--jobs", type=int, default=1, help="parallel runs")
    arguments = parser.parse_args()
    make_student()
    make_data()
    gate = measure_gate()
    print(gate, flush=True)
    if arguments.gate:
        return
    if arguments.pilot:
        pilot = {sweep.name: run_sweep(sweep, PILOT_SEEDS, arguments.jobs, "pilot", ("baldistill-a",)) for sweep in PILOT}
        write_json(PILOT_RESULT, summarise_pilot(pilot))
        return
    begin = time.monotonic()
    main_design = run_compare(WORK / "main", MAIN, MAIN_SEEDS, (), arguments.jobs, has_references=True)
    sweeps = {sweep.name: run_sweep(sweep, SWEEP_SEEDS, arguments.jobs, "sweeps", sweep.presets) for sweep in SWEEPS}
    result = {
        "what": "accuracy of BalDistill's arms at equal budget, a simulated teacher",
        "gate": gate,
        "student_sha256": hash_weights(),
        "pilot": read_json(PILOT_RESULT),
        "main": main_design,
        "domains": describe_domains(WORK / "main"),
        "sweeps": sweeps,
        "levels": {sweep.name: {"factor": sweep.factor, "level": sweep.level, "presets": sweep.presets} for sweep in SWEEPS},
        "seconds_of_this_call": round(time.monotonic() - begin),
        "jobs": arguments.jobs,
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    write_json(ROOT / "benchmarks" / "results" / "tutor_study.json", result)
    write_text(ROOT / "docs" / "tutor_study.md", write_page(result))


def make_data() -> None:
    """Write the long-tailed pool with dev and test, and a large balanced set for the gate, unless they exist."""
    folder = WORK / "data"
    if (folder / "full.jsonl").exists():
        return
    made = make_procedural_longtail(
        "study", exponent=EXPONENT, seed=STREAM_SEED, dev_per_domain=DEV_PER_DOMAIN, test_per_domain=TEST_PER_DOMAIN
    )
    for name in ("train", "dev", "test"):
        write_jsonl(folder / f"{name}.jsonl", getattr(made, name))
    held_out = {row["question"] for row in (*made.dev, *made.test)}
    full = []
    for domain in DATA_SETS["study"][0]:
        drawn = (draw_problem(domain, STREAM_SEED, index) for index in range(FULL_DRAWS))
        fresh = {problem.question: problem for problem in drawn if problem.question not in held_out}
        kind = DOMAINS[domain]
        full += [
            {
                "domain": domain,
                "question": problem.question,
                "answer": problem.answer,
                "answer_type": kind.answer_type,
                "rationale": kind.solve(problem.question, None).rationale,
            }
            for problem in list(fresh.values())[:FULL_PER_DOMAIN]
        ]
    write_jsonl(folder / "full.jsonl", full)


def measure_gate() -> dict[str, Any]:
    """Macro accuracy and accuracy by domain, of the untouched student and of one trained on the balanced set."""
    path = WORK / "gate.json"
    if path.exists():
        return dict(read_json(path))
    config = load_config(CONFIG, [f"student.model={FOLDER}"])
    test = read_examples(str(WORK / "data" / "test.jsonl"), config.task, config.data).examples
    full = read_examples(str(WORK / "data" / "full.jsonl"), config.task, config.data).examples
    start = load_student(config.student)
    encoder = make_encoder(config.student, start.tokenizer, config.task, has_rationale=True)

    def measure(student: Student) -> dict[str, Any]:
        metrics = compute_metrics(evaluate(student, encoder, test, config.evaluation), frozenset())
        return {"macro": metrics["accuracy_macro"], "domains": {d: one["accuracy"] for d, one in metrics["domains"].items()}}

    begin = time.monotonic()
    training = config.training.model_copy(update=FULL_TRAINING)
    rows = [encoder.encode(example) for example in full]
    trained = fine_tune(load_for_training(config.student, training, seed=0), rows, training, seed=0)
    gate = {
        "untouched": measure(start),
        "full": measure(trained),
        "full_examples": len(full),
        "per_domain": TEST_PER_DOMAIN,
        "training": FULL_TRAINING,
        "seconds": round(time.monotonic() - begin),
    }
    gate["is_passed"] = gate["untouched"]["macro"] <= GATE["untouched"] and gate["full"]["macro"] >= GATE["full"]
    write_json(path, gate)
    return gate


class PrintedNotes(Progress):
    """Prints the notes of a comparison."""

    def __init__(self, name: str) -> None:
        self._name = name

    def note(self, text: str) -> None:
        """Print a line."""
        print(f"{self._name}: {text}", flush=True)


def run_compare(
    out: Path, presets: Sequence[str], seeds: Sequence[int], sets: Sequence[str], jobs: int, *, has_references: bool
) -> dict[str, Any]:
    """The results of a comparison without its single runs; finished runs are not repeated."""
    result = compare(
        CONFIG,
        presets,
        seeds,
        out=out,
        sets=(f"student.model={FOLDER}", *sets),
        jobs=jobs,
        all_labels=has_references,
        teacher=has_references,
        progress=PrintedNotes(out.name),
    )
    if result.exit_code:
        raise SystemExit(result.exit_code)
    return {key: value for key, value in result.values.items() if key != "runs"}


def describe_domains(folder: Path) -> dict[str, Any]:
    """Examples and accuracy of each arm of the main design by domain, largest domain first; means over seeds."""
    described = {}
    for preset in MAIN:
        runs = [folder / preset / f"seed_{seed}" for seed in MAIN_SEEDS]
        counts = read_json(runs[0] / "run.json")["domains"]
        names = sorted(counts, key=lambda name: -counts[name])
        kept = [row for run in runs for path in run.glob("stage_*/examples.jsonl") for row in read_json_lines(path)]
        right = [read_json(run / "metrics.json")["domains"] for run in runs]
        described[preset] = {
            "examples": {name: sum(row["domain"] == name for row in kept) / len(runs) for name in names},
            "synthesized": sum(row["provenance"]["kind"] == "synthesized" for row in kept) / len(runs),
            "accuracy": {name: fmean(one[name]["accuracy"] for one in right) for name in names},
        }
    return described


def summarise_pilot(pilot: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Each variant's metrics, and their differences from the base, paired by seed."""
    base = pilot[PILOT[0].name]["arms"]["baldistill-a"]
    return {
        name: {
            metric: {
                "mean": arm[metric]["mean"],
                "values": arm[metric]["values"],
                "difference": find_difference(arm[metric]["values"], base[metric]["values"]),
            }
            for metric in METRICS
        }
        for name, arm in ((name, facts["arms"]["baldistill-a"]) for name, facts in pilot.items())
    }


def find_difference(values: Sequence[float], others: Sequence[float]) -> dict[str, Any]:
    """The paired difference over seeds, its interval and p-value."""
    test = compute_paired_test(values, others)
    return {"mean": test.difference, "ci95": test.ci95, "p": test.p}


def run_sweep(sweep: Sweep, seeds: Sequence[int], jobs: int, place: str, presets: Sequence[str]) -> dict[str, Any]:
    """Run one level of one factor."""
    return run_compare(WORK / place / sweep.name, presets, seeds, sweep.sets, jobs, has_references=False)


if __name__ == "__main__":
    with quiet_libraries():
        main()
