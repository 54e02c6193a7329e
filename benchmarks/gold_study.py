"""Compares GOLD's kinds of feedback at equal budget with a simulated teacher: does the student learn the most difficult third?

The teacher (`teacher.backend: tutor`) never makes a mistake, but invents problems of medium difficulty that resemble what a
prompt shows: the bias that GOLD is meant to counter is *built in*. The student is a small BERT made here; it can add and
multiply small numbers, and does not know how many legs an animal has. Arms and seeds are runs of ``examples/gold_study.yaml``
in ``runs/gold-study``; finished runs are read, interrupted ones are resumed. ``--seeds N`` sets the number of seeds. One core
is enough: ``OMP_NUM_THREADS=1 python benchmarks/gold_study.py`` takes about 20 to 25 minutes.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import platform
import random
import statistics
import textwrap
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from limbeck import read_run
from limbeck.config.config import Config, load_config
from limbeck.data.procedural.problems import DOMAINS, Problem, draw_distinct
from limbeck.data.procedural.solutions import _legs
from limbeck.data.sources import read_examples
from limbeck.evaluation.evaluate import evaluate
from limbeck.runner.run import run
from limbeck.student.encode import make_encoder
from limbeck.student.fine_tune import fine_tune, load_for_training
from limbeck.student.model import load_student, quiet_libraries
from limbeck.system.files import read_json, read_json_lines, write_folder, write_json, write_jsonl, write_text
from limbeck.teacher.backends.tutor import measure_difficulty

ROOT = Path(__file__).parent.parent
WORK = ROOT / "runs" / "gold-study"
CONFIG = ROOT / "examples" / "gold_study.yaml"
DOMAIN = "leg_counting"
# Two animals in each problem. The shipped domain also has 148 problems with one animal, half of what its generator draws: a
# teacher that is asked for something different repeats these, and gives no new probes once they are used up.
DOMAIN_CHANGES = {"min_animals": 2, "max_animals": 2}
ARMS = ("zerogen", "random-feedback", "error-feedback", "gold")
SEEDS = 8
PARTS = ("all", "easy", "centre", "tail")  # thirds of the test problems by difficulty; the tail is the hardest
GENERATED = PARTS[1:]

STREAM_SEED = 13
TEST_SIZE, HUMAN_SIZE, NATURAL_SIZE = 900, 60, 4000
NATURAL_EPOCHS = 5
GATE = {"untouched": 0.1, "natural": 0.6}
PRETRAINING_STEPS = 1500
# The 97.5% quantiles of Student's t by degrees of freedom.
T_QUANTILES = (
    math.nan,
    12.706,
    4.303,
    3.182,
    2.776,
    2.571,
    2.447,
    2.365,
    2.306,
    2.262,
    2.228,
    2.201,
    2.179,
    2.160,
    2.145,
    2.131,
    2.120,
    2.110,
    2.101,
    2.093,
)


def main() -> None:
    """Make what is missing, do the remaining runs, and write the JSON and the page after each seed from the second on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, help=f"number of seeds (default {SEEDS})", default=SEEDS)
    parser.add_argument("--gate", action="store_true", help="stop after the gate")
    arguments = parser.parse_args()
    narrow_domain()
    make_data()
    make_student()
    gate = measure_gate()
    print(json.dumps(gate), flush=True)
    if arguments.gate:
        return
    for seed in range(1, arguments.seeds + 1):
        for arm in ARMS:
            run_arm(arm, seed)
        if seed > 1:  # one seed has no interval
            write_report(gate, range(1, seed + 1))


def narrow_domain() -> None:
    """Limit the tutor and the data of this process to problems with two animals (`DOMAIN_CHANGES`)."""
    shipped = DOMAINS[DOMAIN]
    changed = dataclasses.replace(shipped, config={**shipped.config, **DOMAIN_CHANGES})
    DOMAINS[DOMAIN] = changed  # type: ignore[index]


def make_data() -> None:
    """Write test problems, problems of medium difficulty as human examples, and natural ones for the gate; all are distinct."""
    if (WORK / "natural.jsonl").exists():
        return
    stream = list(draw_distinct(DOMAIN, STREAM_SEED, TEST_SIZE + NATURAL_SIZE))
    test, rest = stream[:TEST_SIZE], stream[TEST_SIZE:]
    middle = statistics.median_low(_measure(problem.question) for problem in test)
    central = [problem for problem in rest if _measure(problem.question) == middle][:HUMAN_SIZE]
    WORK.mkdir(parents=True, exist_ok=True)
    for name, problems in (("test", test), ("human", central), ("natural", rest)):
        write_jsonl(WORK / f"{name}.jsonl", [_make_row(problem) for problem in problems])


def _make_row(problem: Problem) -> dict[str, str]:
    return {"domain": DOMAIN, "question": problem.question, "answer": problem.answer}


def _measure(question: str) -> int:
    return measure_difficulty(DOMAIN, question)


def make_student() -> None:
    """Pre-train a two-layer BERT from random weights on sums of products, worded differently from the domain.

    The names of animals are in its vocabulary, but not in its training texts.
    """
    folder = WORK / "student"
    if folder.exists():
        return
    labels = list(load_config(CONFIG).task.labels)
    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    model = BertForSequenceClassification(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=512,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=32,
            num_labels=len(labels),
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
    )
    draw = random.Random(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / 100, (1 - step / PRETRAINING_STEPS) / 0.3)
    )
    model.train()
    for _ in range(PRETRAINING_STEPS):
        products = [[(draw.randint(1, 4), draw.randint(0, 14)) for _ in range(draw.choice((1, 2)))] for _ in range(64)]
        texts = ["add " + " and ".join(f"{a} times {b}" for a, b in row) for row in products]
        logits = model(**tokenizer(texts, return_tensors="pt", padding=True)).logits
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor([sum(a * b for a, b in row) for row in products]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()

    def write(temporary: Path) -> None:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)

    write_folder(folder, write)


def make_tokenizer() -> PreTrainedTokenizerFast:
    """The words of both wordings, numbers up to 14 and the animals' names, one token each."""
    words = ["how", "many", "legs", "do", "have", "in", "total", "?", ",", "add", "and", "times", *map(str, range(15))]
    animals = {word for name in _legs() for word in f"{name}s".split()}
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: place for place, word in enumerate(dict.fromkeys([*special, *words, *sorted(animals)]))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, "[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep")}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def measure_gate() -> dict[str, Any]:
    """Check that the study can show anything: accuracy before training, and after training on natural problems.

    ``natural`` uses all of them; ``natural_budget`` uses as many as an arm has, with an arm's epochs, for three seeds.
    """
    path = WORK / "gate.json"
    if path.exists():
        return dict(read_json(path))
    config = _load("zerogen", 1)
    task, labels = config.task, tuple(config.task.labels)
    rows = read_examples(str(WORK / "natural.jsonl"), task, config.data).examples
    test = read_examples(str(WORK / "test.jsonl"), task, config.data).examples
    untouched = load_student(config.student, labels=labels)
    encoder = make_encoder(config.student, untouched.tokenizer, task, has_rationale=False)

    def measure(student: Any) -> dict[str, float]:  # noqa: ANN401 (a Student)
        predictions = evaluate(student, encoder, test, config.evaluation)
        return average_parts([(example.question, one.is_correct) for example, one in zip(test, predictions, strict=True)])

    def train(count: int, epochs: float, seed: int) -> dict[str, float]:
        chosen = random.Random(seed).sample(list(rows), count)
        settings = config.training.model_copy(update={"epochs": epochs})
        student = load_for_training(config.student, settings, labels=labels, seed=seed)
        return measure(fine_tune(student, [encoder.encode(example) for example in chosen], settings, seed=seed))

    start = time.perf_counter()
    gate: dict[str, Any] = {"untouched": measure(untouched), "natural": train(NATURAL_SIZE, NATURAL_EPOCHS, 0)}
    budget = config.budget.max_examples or NATURAL_SIZE
    small = [train(budget, config.training.epochs, seed) for seed in (1, 2, 3)]
    gate["natural_budget"] = {part: statistics.fmean(one[part] for one in small) for part in PARTS}
    gate["natural_size"], gate["budget"] = NATURAL_SIZE, budget
    gate["is_passed"] = gate["untouched"]["all"] <= GATE["untouched"] and gate["natural"]["all"] >= GATE["natural"]
    gate["seconds"] = round(time.perf_counter() - start, 1)
    write_json(path, gate)
    return gate


def average_parts(rows: Sequence[tuple[str, bool]]) -> dict[str, float]:
    """Accuracy on all test problems and on the thirds of difficulty.

    Args:
        rows: questions, and whether each was answered correctly.
    """
    ranked = [is_correct for _, is_correct in sorted(rows, key=lambda row: (_measure(row[0]), row[0]))]
    third = len(ranked) // 3
    groups = (ranked, ranked[:third], ranked[third:-third], ranked[-third:])
    return {part: sum(group) / len(group) for part, group in zip(PARTS, groups, strict=True)}


def _load(arm: str, seed: int) -> Config:
    return load_config(CONFIG, [f"seed={seed}", f"student.model={WORK / 'student'}"], preset=arm)


def run_arm(arm: str, seed: int) -> None:
    """Do one run and write its facts; skip it if they exist."""
    folder = WORK / f"{arm}-{seed}"
    path = folder.with_suffix(".json")
    if path.exists():
        return
    config = _load(arm, seed)
    start = time.perf_counter()
    run(config, folder)
    seconds = time.perf_counter() - start
    test = {example.id: example for example in read_examples(str(WORK / "test.jsonl"), config.task, config.data).examples}
    predictions = read_run(folder).predictions
    cuts = statistics.quantiles((_measure(example.question) for example in test.values()), n=3)
    prompts = [row["prompt"][-1]["content"] for row in read_json_lines(folder / "train.jsonl")]
    generated = [_measure(prompt.rsplit("\n\n", 1)[-1]) for prompt in prompts]
    fed_back = [_measure(row["question"]) for file in folder.glob("round_*/feedback.jsonl") for row in read_json_lines(file)]
    facts = {
        "accuracy": average_parts([(test[one.id].question, one.is_correct) for one in predictions]),
        "examples": len(generated),
        "generated": {
            "easy": sum(value <= cuts[0] for value in generated) / len(generated),
            "centre": sum(cuts[0] < value <= cuts[1] for value in generated) / len(generated),
            "tail": sum(value > cuts[1] for value in generated) / len(generated),
        },
        "fed_back": statistics.fmean(fed_back) if fed_back else None,
        "seconds": round(seconds, 1),
    }
    write_json(path, facts)
    print(arm, seed, facts["accuracy"], facts["examples"], facts["seconds"], flush=True)


def summarize(values: Sequence[float]) -> dict[str, Any]:
    """The mean and the half-width of its 95% interval by Student's t."""
    spread = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return {"mean": statistics.fmean(values), "ci95": T_QUANTILES[len(values) - 1] * spread, "values": list(values)}


def write_report(gate: Mapping[str, Any], seeds: Sequence[int]) -> None:
    """Write ``benchmarks/results/gold_study.json`` and ``docs/gold_study.md``."""
    config = _load("gold", 1)
    facts = {arm: [read_json(WORK / f"{arm}-{seed}.json") for seed in seeds] for arm in ARMS}
    values = {arm: {part: [one["accuracy"][part] for one in facts[arm]] for part in PARTS} for arm in ARMS}
    arms = {
        arm: {
            "accuracy": {part: summarize(values[arm][part]) for part in PARTS},
            "minus_zerogen": {part: compare(values[arm][part], values[ARMS[0]][part]) for part in PARTS},
            "examples": [one["examples"] for one in facts[arm]],
            "generated": {name: statistics.fmean(one["generated"][name] for one in facts[arm]) for name in GENERATED},
            "fed_back_difficulty": [one["fed_back"] for one in facts[arm]],
            "seconds": statistics.fmean(one["seconds"] for one in facts[arm]),
        }
        for arm in ARMS
    }
    result = {
        "what": "accuracy of GOLD's final student by difficulty of the test problem, a simulated teacher",
        "gate": gate,
        "teacher": config.teacher.tutor.model_dump(),
        "seeds": list(seeds),
        "test_problems": TEST_SIZE,
        "budget": config.budget.max_examples,
        "arms": arms,
        "gold_minus": {
            arm: {part: compare(values["gold"][part], values[arm][part]) for part in PARTS} for arm in ARMS if arm != "gold"
        },
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "machine": platform.machine(),
    }
    write_json(ROOT / "benchmarks" / "results" / "gold_study.json", result)
    write_text(ROOT / "docs" / "gold_study.md", write_page(result))


def compare(values: Sequence[float], others: Sequence[float]) -> dict[str, Any]:
    """`summarize` of the differences, paired by seed."""
    return summarize([a - b for a, b in zip(values, others, strict=True)])


def _show(entry: Mapping[str, Any], sign: str = "") -> str:
    return f"{100 * entry['mean']:{sign}.1f} ± {100 * entry['ci95']:.1f}".replace("-", "−")


def write_page(result: Mapping[str, Any]) -> str:
    """The study as Markdown. The verdict sentences are derived from the intervals."""
    arms, gate, count = result["arms"], result["gate"], len(result["seeds"])
    rows = ["| arm | all | easy third | centre third | tail (hardest third) |", "|---|---|---|---|---|"]
    rows += [f"| `{arm}` | " + " | ".join(_show(arms[arm]["accuracy"][part]) for part in PARTS) + " |" for arm in ARMS]
    pairs = ["| difference | all | easy third | centre third | tail |", "|---|---|---|---|---|"]
    for first, second, entries in list_pairs(result):
        pairs.append(f"| `{first}` − `{second}` | " + " | ".join(_show(entries[part], "+") for part in PARTS) + " |")
    made = ["| arm | easy | centre | tail | mean difficulty fed back |", "|---|---|---|---|---|"]
    for arm in ARMS:
        fed_back = [value for value in arms[arm]["fed_back_difficulty"] if value is not None]
        shares = " | ".join(f"{100 * arms[arm]['generated'][name]:.0f}%" for name in GENERATED)
        made.append(f"| `{arm}` | {shares} | {f'{statistics.fmean(fed_back):.1f}' if fed_back else '–'} |")
    lines = "\n".join
    untouched, natural, small = (gate[name] for name in ("untouched", "natural", "natural_budget"))
    page = PAGE.format(
        count=count,
        budget=result["budget"],
        tests=result["test_problems"],
        natural_size=gate["natural_size"],
        bias=result["teacher"]["centre_bias"],
        follows=str(result["teacher"]["follows_shown"]).lower(),
        untouched=untouched["all"],
        most=GATE["untouched"],
        natural=natural["all"],
        least=GATE["natural"],
        passed="passed" if gate["is_passed"] else "**not passed: the study can't show anything**",
        small=", ".join(f"{part} {small[part]:.1%}" for part in PARTS),
        rows=lines(rows),
        pairs=lines(pairs),
        made=lines(made),
        verdict=lines(write_verdict(result)),
        best=max(ARMS, key=lambda arm: arms[arm]["accuracy"]["tail"]["mean"]),
    )
    parts = page.split("\n\n")
    wrapped = [part if part.startswith(("|", "#", "-")) else textwrap.fill(part, 128, break_on_hyphens=False) for part in parts]
    return "\n\n".join(part.strip() for part in wrapped) + "\n"


def list_pairs(result: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    """``(first, second, differences)`` of each compared pair of arms."""
    found = [(arm, ARMS[0], result["arms"][arm]["minus_zerogen"]) for arm in ARMS[1:]]
    return [*found, *(("gold", arm, result["gold_minus"][arm]) for arm in ARMS[1:-1])]


def write_verdict(result: Mapping[str, Any]) -> list[str]:
    """What the intervals say, one line per comparison; a difference whose interval contains 0 is called not resolved."""
    lines = []
    for first, second, entries in list_pairs(result):
        said = []
        for part in ("tail", "centre", "all"):
            entry = entries[part]
            is_resolved = abs(entry["mean"]) > entry["ci95"]
            word = ("higher" if entry["mean"] > 0 else "lower") if is_resolved else "not resolved"
            said.append(f"{part} {word} ({_show(entry, '+')})")
        lines.append(f"- `{first}` against `{second}`: {', '.join(said)}.")
    return lines


PAGE = """# GOLD's feedback, measured with a simulated teacher

Written by `OMP_NUM_THREADS=1 python benchmarks/gold_study.py`, with `benchmarks/results/gold_study.json`; the settings are in
`examples/gold_study.yaml`.

**The teacher is a simulation** (`teacher.backend: tutor`), and its habits determine what this study can show. With
`centre_bias: {bias}` and `follows_shown: {follows}`, each new problem is the one of eight draws whose difficulty is closest to
that of a problem in the prompt; a probe is the one of eight that is farthest from all of them. The teacher is never wrong.
GOLD assumes that a teacher imitates what a prompt shows, and that it can write something different if asked. Here both are
built in and not tested, so the study shows what feedback does *if* a teacher behaves like that. No language model was asked,
and the paper's own results are not reproduced.

The domain is `leg_counting` ("How many legs do 2 sheeps, 3 crabs have in total?"); difficulty is the length of the worked
solution. The student is a two-layer BERT with 113 classes. It has learnt to add and multiply small numbers in another wording,
and knows no animals. Each arm trains on {budget} generated examples, including probes, and starts with 3 human examples of
median difficulty (different for each seed, the same for each arm). All arms are measured on the same {tests} natural test
problems, and no test problem is in a training set. There are {count} seeds; ± is the 95% interval of the mean over seeds
(Student's t), and differences are paired by seed. The intervals are not corrected for multiple comparisons. The final loss is
plain cross-entropy, not the paper's symmetric one, and the last epoch is kept, so the study is about which data is generated,
not about noise or early stopping.

Each problem has two animals. The domain as shipped also has 148 problems with one animal, which are half of all draws. A
teacher that is asked for something different would repeat these until they are used up, and the study would measure repeats.

## Gate

The study can show something only if the student does not know the domain and can learn it. The untouched student gets
{untouched:.1%} (the gate requires at most {most:.0%}); after {natural_size} natural problems with true answers it gets
{natural:.1%} (the gate requires at least {least:.0%}). The gate is {passed}. With {budget} *natural* problems, which no arm
has, it gets: {small} (three seeds).

## Accuracy, %

{rows}

{pairs}

`random-feedback` generates and shows as many probes as the arms below it: compared with `zerogen` it shows the effect of probes
and feedback as such, and `gold` − `random-feedback` shows what choosing by energy adds. `{best}` has the highest mean on the
tail. A difference is called higher or lower if its interval excludes 0:

{verdict}

## What was generated

The shares of the training sets in the thirds of the test set's difficulty, and the mean difficulty (in characters) of the
examples fed back:

{made}

The simulation has a limit: this teacher sees only the length of a shown problem. So the choice of probes to feed back can
change what it writes next only through their lengths. If the arms with feedback feed back the same mean difficulty, they can
hardly differ, and this study can't tell a better choice from a worse one. It compares probing and showing probes with doing
neither.

The settings were not fixed in advance. Runs of one or two seeds, with one-animal problems in the domain and with early
stopping, were inspected before both were removed for the reasons above. All seeds of the final settings are reported.
"""


if __name__ == "__main__":
    with quiet_libraries():
        main()
