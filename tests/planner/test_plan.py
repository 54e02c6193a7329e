"""Specification of `limbeck.methods.baldistill.plan`: what a run will do and cost, before anything is asked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support import DATA, write_rows

from limbeck.config.config import load_config
from limbeck.errors import ConfigError
from limbeck.planner.estimate import guess_billions, measure_question
from limbeck.reports.spend import compare_with_plan
from limbeck.run_folder.plan import PlanTotals, Range
from limbeck.runner.prepare import make_plan, read_data

# Rows of each domain in BalDistill's Math pool.
MATH = {
    "Algebra": 1744,
    "Intermediate Algebra": 763,
    "Prealgebra": 561,
    "Geometry": 349,
    "Number Theory": 290,
    "Counting & Probability": 231,
    "Precalculus": 187,
}


def plan(path: Path, *sets: str) -> dict[str, Any]:
    config = load_config(path, list(sets))
    return make_plan(config, read_data(config)).to_json()


def write_pool(tmp_path: Path, counts: dict[str, int], **values: Any) -> Path:  # noqa: ANN401
    rows = [
        {"domain": domain, "question": f"{domain} number {n}", "answer": str(n)}
        for domain, count in counts.items()
        for n in range(count)
    ]
    write_rows(tmp_path / "train.jsonl", rows)
    config = {"data": {"train": "train.jsonl"}, "task": {"answer": "number"}, "method": {"preset": "baldistill-n"}, **values}
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    return tmp_path / "config.json"


def synthesized(made: dict[str, Any]) -> int:
    return sum(share["synthesize"] for stage in made["stages"] for share in stage["domains"].values())


@pytest.mark.parametrize(
    ("sets", "budget", "need"),
    [
        (["method.quota=uniform"], 2100, 192),
        (["method.quota=adaptive"], 2100, 0),
        (["method.quota=adaptive", "method.adaptive_offset=1"], 2100, 31),
        (["method.quota=uniform"], 3500, 943),
        (["method.quota=adaptive"], 3500, 280),
        (["method.quota=adaptive", "method.adaptive_offset=1"], 3500, 501),
    ],
)
def test_math_needs_what_the_quota_tests_say(tmp_path: Path, sets: list[str], budget: int, need: int) -> None:
    """The plan for Math's domain sizes synthesizes exactly as many examples as the quotas need, at both budgets."""
    made = plan(write_pool(tmp_path, MATH), *sets, f"budget.max_examples={budget}")
    assert made["totals"]["synthesize"] == synthesized(made) == need
    assert made["totals"]["examples"] == made["totals"]["real"] + need == budget


@pytest.mark.parametrize(
    ("sets", "budget", "need"),
    [
        (["method.quota=uniform"], 2600, 1354),
        (["method.quota=adaptive"], 2600, 378),
        (["method.quota=adaptive", "method.adaptive_offset=1"], 2600, 680),
        (["method.quota=adaptive"], 5200, 1274),
    ],
)
def test_r52_needs_what_the_quota_tests_say(tmp_path: Path, sets: list[str], budget: int, need: int) -> None:
    """The plan for R52's domain sizes synthesizes exactly as many examples as the quotas need."""
    if not (DATA / "domain_counts.json").exists():
        pytest.skip("the shared data is not here")
    found = json.loads((DATA / "domain_counts.json").read_text("utf-8"))
    counts = next(table for name, table in found.items() if name.lower() == "r52")
    made = plan(write_pool(tmp_path, counts), *sets, f"budget.max_examples={budget}")
    assert made["totals"]["synthesize"] == need


def test_stages_and_roles_by_hand(tmp_path: Path) -> None:
    """With eight examples, two stages and domains of 6 and 1, the small one gives its row and then is only synthesized."""
    made = plan(write_pool(tmp_path, {"big": 6, "small": 1}), "budget.max_examples=8", "method.stages=2")
    first, second = (stage["domains"] for stage in made["stages"])
    share = {"duplicate": 0, "missing": 0}
    assert first == {
        "big": {"role": "head", "quota": 2, "real": 2, "synthesize": 0, **share},
        "small": {"role": "tail", "quota": 2, "real": 1, "synthesize": 1, **share},
    }
    assert second == {
        "big": {"role": "head", "quota": 2, "real": 2, "synthesize": 0, **share},
        "small": {"role": "tail", "quota": 2, "real": 0, "synthesize": 2, **share},
    }
    assert list(made["domains"].items()) == [("big", 6), ("small", 1)]


@pytest.mark.parametrize(("tail", "field"), [("duplicate", "duplicate"), ("none", "missing")])
def test_tails_that_are_not_synthesized(tmp_path: Path, tail: str, field: str) -> None:
    """With other values of `tail`, lacking examples are repeated or missing, and only real ones are asked about."""
    path = write_pool(tmp_path, {"big": 6, "small": 1})
    totals = plan(path, "budget.max_examples=8", "method.stages=2", f"method.tail={tail}")["totals"]
    assert (totals["real"], totals["synthesize"], totals[field]) == (5, 0, 3)
    assert totals["requests"]["low"] == 5
    assert totals["examples"] == (8 if tail == "duplicate" else 5)


def test_one_global_pool(tmp_path: Path) -> None:
    """Without quotas by domain, a stage has one entry, *, for the whole pool."""
    path = write_pool(tmp_path, {"big": 6, "small": 1})
    made = plan(path, "budget.max_examples=4", "method.stages=2", "method.quota=none")
    assert [list(stage["domains"]) for stage in made["stages"]] == [["*"], ["*"]]
    assert (made["totals"]["examples"], made["totals"]["requests"]["low"]) == (4, 4)


def test_requests_tokens_and_money_by_hand(tmp_path: Path) -> None:
    """Low keeps every reply, likely keeps 85% of hinted ones, high uses three attempts each; money follows the prices."""
    path = write_pool(
        tmp_path,
        {"a": 20},
        teacher={
            "backend": "tutor",
            "max_tokens": 100,
            "prices": {"prompt_usd_per_mtok": 0.0, "completion_usd_per_mtok": 10.0},
        },
    )
    totals = plan(path, "budget.max_examples=10", "method.stages=1")["totals"]
    assert totals["requests"] == {"low": 10, "likely": pytest.approx(10 / 0.85), "high": 30}
    # Without rationales in the data a reply is assumed to use 3, 30 or 100% of its limit.
    assert totals["cost_usd"] == {
        "low": pytest.approx(10 * 3 * 1e-5),
        "likely": pytest.approx(10 / 0.85 * 30 * 1e-5),
        "high": pytest.approx(30 * 100 * 1e-5),
    }
    assert totals["seconds"]["low"] < totals["seconds"]["likely"] < totals["seconds"]["high"]


def test_separate_objectives_train_two_rows_an_example(tmp_path: Path) -> None:
    """Training time covers both rows of an example, but only the answer rows if rationales have weight 0."""
    path = write_pool(tmp_path, {"a": 20}, teacher={"backend": "tutor", "max_tokens": 100})
    sets = ["budget.max_examples=10", "method.stages=1"]
    joint, two, bare = (
        plan(path, *sets, f"method.objective={objective}", f"training.rationale_weight={weight}")["totals"]
        for objective, weight in (("joint", 1), ("separate", 1), ("separate", 0))
    )
    assert joint["requests"] == two["requests"] == bare["requests"]
    # Tokens of a row: a prompt of p and 30 of rationale or 4 of answer; joint p + 30, two 2p + 34, bare p + 4.
    seconds = [totals["seconds"]["likely"] for totals in (joint, two, bare)]
    assert seconds[1] - seconds[0] == pytest.approx(seconds[2])
    assert seconds[2] < seconds[0]


def test_without_prices_money_is_unknown(tmp_path: Path) -> None:
    """Without prices the plan leaves the money unknown, and a money cap is an error."""
    path = write_pool(tmp_path, {"a": 20})
    assert plan(path, "budget.max_examples=10")["totals"]["cost_usd"] == {"low": None, "likely": None, "high": None}
    with pytest.raises(ConfigError, match=r"budget\.max_cost_usd = 1 can't be enforced"):
        plan(path, "budget.max_examples=10", "budget.max_cost_usd=1")


def test_labels_alone_ask_nobody(tmp_path: Path) -> None:
    """A method without rationales plans no requests."""
    path = write_pool(tmp_path, {"a": 20})
    totals = plan(path, "budget.max_examples=10", "method.annotation=none", "method.tail=none")["totals"]
    assert (totals["requests"]["high"], totals["tokens"]["high"]) == (0, 0)


def test_a_local_tokenizer_counts_exactly(tmp_path: Path, tiny_folder: Path) -> None:
    """With a tokenizer prompts are counted exactly: a byte tokenizer counts more than one token per four bytes."""
    path = write_pool(tmp_path, {"a": 20})
    estimated = plan(path, "budget.max_examples=10")["totals"]["tokens"]
    counted = plan(path, "budget.max_examples=10", f"teacher.tokenizer={tiny_folder}")["totals"]["tokens"]
    assert counted["low"] > 2 * estimated["low"]
    with pytest.raises(ConfigError, match=r"teacher\.tokenizer: .*train\.jsonl is not a readable tokenizer"):
        plan(path, f"teacher.tokenizer={tmp_path / 'train.jsonl'}")


def test_warnings(tmp_path: Path) -> None:
    """The plan warns about stages with fewer examples than domains, caps below the plan, and missing examples."""
    path = write_pool(tmp_path, {"a": 3, "b": 2, "c": 1})
    (stage,) = plan(path, "budget.max_examples=6", "method.stages=3")["warnings"]
    assert "a stage has 2 examples for 3 domains, so 3 of 9 quotas are 0" in stage
    (cap,) = plan(path, "budget.max_examples=6", "method.stages=1", "budget.max_requests=3")["warnings"]
    assert "budget.max_requests = 3 is below the likely 7" in cap
    (missing,) = plan(path, "budget.max_examples=6", "method.stages=1", "method.tail=none")["warnings"]
    assert "1 examples will be missing: the pool is too small and method.tail is none" in missing


def test_a_recorded_teacher_that_would_run_dry(tmp_path: Path) -> None:
    """The plan warns about domains for which the recorded teacher has too few synthetic examples."""
    path = write_pool(tmp_path, {"a": 8, "b": 2})
    write_rows(tmp_path / "new.jsonl", [{"domain": "b", "question": "q", "rationale": "r", "answer": "1"}])
    rows = [{"question": f"{d} number {n}", "rationale": "r", "teacher_answer": str(n)} for d in "ab" for n in range(8)]
    write_rows(tmp_path / "old.jsonl", rows[:4] + rows[8:])
    sets = [
        "teacher.backend=recorded",
        f"teacher.recorded.annotations={tmp_path / 'old.jsonl'}",
        f"teacher.recorded.synthesized={tmp_path / 'new.jsonl'}",
        "method.stages=1",
        "budget.max_examples=8",
    ]
    made = plan(path, *sets)
    assert made["warnings"] == ["the recorded teacher can't synthesize all that 1 domain(s) lack: b"]
    assert "4 of 10 training rows can't be annotated by the recorded teacher" in made["notes"][0]
    assert made["stages"][0]["domains"]["a"]["real"] == 4


@pytest.mark.parametrize(
    ("model", "billions"), [("org/Llama-3.2-1B-Instruct", 1.0), ("packaged:smollm2-135m-instruct", 0.135), ("gpt2", 1.0)]
)
def test_sizes_are_guessed_by_name(model: str, billions: float) -> None:
    """A model's size is read from its name; without one it is taken as a billion."""
    assert guess_billions(model) == pytest.approx(billions)


def check_sums(made: dict[str, Any]) -> None:
    rows, totals = made["requests"], made["totals"]
    for bound in ("low", "likely", "high"):
        assert sum(row["requests"][bound] for row in rows) == pytest.approx(totals["requests"][bound])
        tokens = sum(row["prompt_tokens"][bound] + row["completion_tokens"][bound] for row in rows)
        assert tokens == pytest.approx(totals["tokens"][bound])
        assert sum(row["cost_usd"][bound] for row in rows) == pytest.approx(totals["cost_usd"][bound])
    for row in rows:
        for name in ("requests", "prompt_tokens", "completion_tokens", "cost_usd"):
            assert 0 <= row[name]["low"] <= row[name]["likely"] <= row[name]["high"]
    places = [(row["stage"], row["domain"], row["purpose"]) for row in rows]
    assert len(set(places)) == len(places)


PRICES = {"prompt_usd_per_mtok": 2.0, "completion_usd_per_mtok": 10.0}


@pytest.mark.parametrize(
    "sets",
    [
        [],
        ["method.tail=duplicate"],
        ["method.quota=none"],
        ["method.pooling=premixed"],
        ["method.annotation=none"],
        ["method.on_mismatch=consume"],
        ["evaluation.teacher=true", "evaluation.max_examples=3"],
    ],
)
def test_totals_are_the_sums_of_the_requests(tmp_path: Path, sets: list[str]) -> None:
    """Requests, tokens and money are listed by stage, domain and purpose with low ≤ likely ≤ high, and add up to the totals."""
    path = write_pool(tmp_path, {"big": 9, "mid": 4, "small": 1}, teacher={"backend": "tutor", "prices": PRICES})
    write_rows(tmp_path / "test.jsonl", [{"domain": d, "question": f"{d} {n}?", "answer": "1"} for d in "xy" for n in range(3)])
    made = plan(path, "budget.max_examples=9", "method.stages=3", f"data.test={tmp_path / 'test.jsonl'}", *sets)
    check_sums(made)
    if not sets:
        found = {(row["stage"], row["purpose"], row["domain"]) for row in made["requests"]}
        assert (0, "annotate", "small") in found
        assert (1, "synthesize", "small") in found
        assert {purpose for _, purpose, _ in found} == {"annotate", "synthesize"}


def test_a_tail_domain_by_hand(tmp_path: Path) -> None:
    """A tail domain asks once about each of its examples; likely rejects are synthesized in addition."""
    path = write_pool(tmp_path, {"big": 9, "small": 2}, teacher={"backend": "tutor", "prices": PRICES})
    made = plan(path, "budget.max_examples=8", "method.stages=1")
    rows = {(row["purpose"], row["domain"]): row["requests"] for row in made["requests"]}
    assert rows["annotate", "big"] == {"low": 4, "likely": pytest.approx(4 / 0.85), "high": 12}
    assert rows["annotate", "small"] == {"low": 2, "likely": 2, "high": 2}
    assert rows["synthesize", "small"] == {"low": 2, "likely": pytest.approx((2 + 2 * 0.15) / 0.85), "high": 3 * 4}


def test_quotas_by_error_are_foreseen_as_equal(tmp_path: Path) -> None:
    """A plan assumes equal errors, which is the adaptive policy, and notes it."""
    path = write_pool(tmp_path, {"a": 9, "b": 2}, budget={"max_examples": 12})
    by_error, adaptive = (plan(path, "method.stages=3", f"method.quota={quota}") for quota in ("error", "adaptive"))
    assert by_error["stages"] == adaptive["stages"]
    assert [note for note in by_error["notes"] if "not known before" in note]
    assert adaptive["notes"] == []


def test_votes_by_hand(tmp_path: Path) -> None:
    """Votes are planned by stage and domain: at least three per new example that is kept, at most three per attempt."""
    path = write_pool(tmp_path, {"a": 9, "b": 2}, budget={"max_examples": 12})
    made = plan(path, "method.stages=3", "method.verify=vote", "method.tail=synthesize")
    rows = {(row["stage"], row["domain"], row["purpose"]): row["requests"] for row in made["requests"]}
    votes = {key: row for key, row in rows.items() if key[2] == "verify"}
    invented = {key: row for key, row in rows.items() if key[2] == "synthesize"}
    assert {key[:2] for key in votes} == {key[:2] for key in invented} == {(1, "b"), (2, "b")}
    assert [row["low"] for row in votes.values()] == [6, 6]
    assert votes[2, "b", "verify"] == {"low": 6, "likely": pytest.approx(3 * 2 / 0.85), "high": 18}
    assert invented[2, "b", "synthesize"]["likely"] == pytest.approx(2 / 0.85**2)
    assert not [row for row in plan(path, "method.verify=answer")["requests"] if row["purpose"] == "verify"]


def test_what_is_synthesized_in_advance_is_of_stage_0(tmp_path: Path) -> None:
    """With pooling: premixed all synthesis belongs to stage 0, in the plan as in the ledger."""
    made = plan(
        write_pool(tmp_path, {"big": 9, "small": 1}), "budget.max_examples=8", "method.stages=2", "method.pooling=premixed"
    )
    (row,) = [row for row in made["requests"] if row["purpose"] == "synthesize"]
    assert (row["stage"], row["requests"]["low"]) == (0, made["totals"]["synthesize"])


def test_the_requests_of_gold(tmp_path: Path) -> None:
    """GOLD's plan lists synthesis, probes, votes and the teacher's own measurement by round and label, like its ledger."""
    write_rows(tmp_path / "human.jsonl", [{"text": f"a {label} one", "answer": label} for label in ("good", "bad", "good")])
    write_rows(
        tmp_path / "test.jsonl", [{"text": f"{n} is {label}", "answer": label} for label in ("good", "bad") for n in range(4)]
    )
    config = {
        "data": {"human": "human.jsonl", "test": "test.jsonl"},
        "task": {"instruction": "Judge.", "answer": "label", "fields": ["text"], "labels": {"good": "", "bad": ""}},
        "teacher": {"backend": "tutor", "prices": PRICES},
        "budget": {"max_examples": 25},
        "evaluation": {"teacher": True, "max_examples": 5},
        "method": {"name": "gold", "rounds": 4, "batches_per_round": 2, "batch_size": 3, "probe_size": 4, "relabel_votes": 2},
    }
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    made = plan(tmp_path / "config.json")
    check_sums(made)
    low = {(row["stage"], row["purpose"], row["domain"]): row["requests"]["low"] for row in made["requests"]}
    # Two batches of three take turns over the labels: 2 + 1 and 1 + 2; then 4 probes. The third round has 5 left.
    assert [low[stage, "synthesize", "good"] for stage in range(3)] == [3, 3, 3]
    assert [low[stage, "probe", "bad"] for stage in range(2)] == [2, 2]
    assert (2, "probe", "bad") not in low
    assert low[0, "verify", "good"] == 2 * (3 + 2)
    assert low[0, "evaluate", "good"] + low[0, "evaluate", "bad"] == 5
    later = {
        row["stage"]: row["prompt_tokens"]["low"]
        for row in made["requests"]
        if row["purpose"] == "synthesize" and row["domain"] == "good"
    }
    assert later[1] > later[0]  # feedback is shown


def test_the_comparison_by_hand() -> None:
    """What was asked is shown next to the low, high and likely figures; money only if it was planned."""
    nothing = Range(0, 0, 0)
    totals = PlanTotals(0, 0, 0, 0, 0, Range(10, 12, 30), Range(1000, 2000.4, 3000), None, nothing)
    said = compare_with_plan(totals, 11, 1234, 0.0)
    assert said == "teacher: 11 requests (planned 10 to 30, likely 12), 1,234 tokens (planned 1,000 to 3,000, likely 2,000)"


def test_the_command(project: Callable[..., Path]) -> None:
    """`limbeck plan` prints quotas and totals, or with --json the plan, without loading torch or sending anything."""
    path = project()
    code = "import sys; from limbeck.cli.main import main; sys.argv = ['limbeck', 'plan', *sys.argv[1:]]\ntry:\n    main()\nfinally:\n    print('torch' in sys.modules, file=sys.stderr)"  # noqa: E501
    done = subprocess.run([sys.executable, "-c", code, str(path), "--json"], capture_output=True, text=True, check=False)
    made = json.loads(done.stdout)
    assert done.stderr.splitlines()[-1] == "False"
    assert [sum(share["quota"] for share in stage["domains"].values()) for stage in made["stages"]] == [3, 3, 3]
    shown = subprocess.run([sys.executable, "-m", "limbeck", "plan", str(path)], capture_output=True, text=True, check=False)
    assert shown.returncode == 0
    assert "9 examples: 8 real, 1 to be synthesized" in shown.stdout


def test_a_plan_counts_what_the_student_reads(tmp_path: Path) -> None:
    """Labels count if prompts list them; a classifier reads only the question."""
    path = write_pool(tmp_path, {"a": 4, "b": 4}, task={"answer": "label"})
    listed, bare, alone = (
        measure_question(config, read_data(config))
        for config in (
            load_config(path, ["student.lists_labels=true"]),
            load_config(path, ["student.lists_labels=false"]),
            load_config(path, ["student.kind=classifier", "method.selection=loss"]),
        )
    )
    assert listed > bare > alone > 0
