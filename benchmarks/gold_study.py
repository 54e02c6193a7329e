"""GOLD's kinds of feedback against each other at equal budget, with a simulated teacher: is the tail of difficulty learnt?

The teacher (`teacher.backend: tutor`) answers without a fault but invents near the middle of difficulty, and is drawn on by
what a prompt shows: the bias that GOLD is meant against, *built in*. The student is a small BERT made here: it can add and
multiply small numbers, and does not know how many legs an animal has. Arms and seeds are runs of ``examples/gold_study.yaml``
in ``runs/gold-study``; a run that is done is read, one that was cut off goes on. ``--seeds N`` does more or fewer.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

from limbeck.config import Config, load_config
from limbeck.data.procedural import Problem, draw_distinct
from limbeck.data.solutions import _legs
from limbeck.data.sources import read_examples
from limbeck.evaluation.evaluate import evaluate
from limbeck.run import read_predictions, run
from limbeck.storage import read_json, read_json_lines, write_folder, write_json, write_jsonl, write_text
from limbeck.student.encode import make_encoder
from limbeck.student.fine_tune import fine_tune, load_for_training
from limbeck.student.model import load_student, quiet_libraries
from limbeck.teacher.backends.tutor import measure_difficulty

ROOT = Path(__file__).parent.parent
WORK = ROOT / "runs" / "gold-study"
CONFIG = ROOT / "examples" / "gold_study.yaml"
DOMAIN = "leg_counting"
ARMS = ("zerogen", "random-feedback", "error-feedback", "gold")
# What the teacher does; the first is the study, the second tells probes from the feedback that follows them.
TEACHERS: Mapping[str, Mapping[str, Any]] = {
    "follows": {"centre_bias": 1.0, "follows_shown": True},
    "ignores": {"centre_bias": 1.0, "follows_shown": False},
}
SEEDS = {"follows": 8, "ignores": 5}
PARTS = ("all", "easy", "centre", "tail")  # thirds of the test problems by difficulty; the tail is the hardest

STREAM_SEED = 13
TEST_SIZE, HUMAN_SIZE, NATURAL_SIZE = 900, 60, 4000
NATURAL_EPOCHS = 5
GATE = {"untouched": 0.1, "natural": 0.6}
PRETRAINING_STEPS = 1500
# The 97.5% quantiles of Student's t by degrees of freedom.
T_QUANTILES = (math.nan, 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145,
               2.131, 2.120, 2.110, 2.101, 2.093)  # fmt: skip


def main() -> None:
    """Make what is missing, run what is not done yet, and write the JSON and the page after every finished seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, help="seeds of each teacher, in place of 8 and 5")
    parser.add_argument("--gate", action="store_true", help="stop after the gate")
    arguments = parser.parse_args()
    quiet_libraries()
    make_data()
    make_student()
    gate = measure_gate()
    print(json.dumps(gate), flush=True)
    if arguments.gate:
        return
    for teacher, count in SEEDS.items():
        for seed in range(1, (arguments.seeds or count) + 1):
            for arm in ARMS:
                run_arm(teacher, arm, seed)
            write_report(gate)


def make_data() -> None:
    """Test problems, problems of middling difficulty for the human examples, and natural ones for the gate; all distinct."""
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
    """A BERT of two layers with random weights, taught sums of products in another wording than the domain's.

    The names of animals are words of its vocabulary that it has never met.
    """
    folder = WORK / "student"
    if folder.exists():
        return
    labels = list(load_config(CONFIG).task.labels)
    tokenizer = make_tokenizer()
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=512, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=32, num_labels=len(labels), hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    ))  # fmt: skip
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
    """Words of both wordings, numbers up to 14 and the animals' names, a token each."""
    words = ["how", "many", "legs", "do", "have", "in", "total", "?", ",", "add", "and", "times", *map(str, range(15))]
    animals = {word for name in _legs() for word in f"{name}s".split()}
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: place for place, word in enumerate(dict.fromkeys([*special, *words, *sorted(animals)]))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, "[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def measure_gate() -> dict[str, Any]:
    """Whether the study can resolve anything: the student before training, and after training on natural problems.

    ``natural`` is all of them; ``natural_budget`` as many as an arm has, with an arm's epochs, for three seeds.
    """
    path = WORK / "gate.json"
    if path.exists():
        return dict(read_json(path))
    config = _load("follows", "zerogen", 1)
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
        rows: question and whether it was answered rightly.
    """
    ranked = [is_correct for _, is_correct in sorted(rows, key=lambda row: (_measure(row[0]), row[0]))]
    third = len(ranked) // 3
    groups = (ranked, ranked[:third], ranked[third:-third], ranked[-third:])
    return {part: sum(group) / len(group) for part, group in zip(PARTS, groups, strict=True)}


def _load(teacher: str, arm: str, seed: int) -> Config:
    tutor = [f"teacher.tutor.{key}={json.dumps(value)}" for key, value in TEACHERS[teacher].items()]
    return load_config(CONFIG, [f"seed={seed}", f"student.model={WORK / 'student'}", *tutor], preset=arm)


def run_arm(teacher: str, arm: str, seed: int) -> None:
    """One run; nothing where its facts are written already."""
    folder = WORK / teacher / f"{arm}-{seed}"
    path = folder.with_suffix(".json")
    if path.exists():
        return
    config = _load(teacher, arm, seed)
    start = time.perf_counter()
    run(config, folder)
    seconds = time.perf_counter() - start
    test = {example.id: example for example in read_examples(str(WORK / "test.jsonl"), config.task, config.data).examples}
    predictions = read_predictions(folder / "final" / "test" / "predictions.jsonl")
    cuts = statistics.quantiles((_measure(example.question) for example in test.values()), n=3)
    generated = [_measure(row["prompt"][-1]["content"].rsplit("\n\n", 1)[-1]) for row in read_json_lines(folder / "train.jsonl")]
    facts = {
        "accuracy": average_parts([(test[one.id].question, one.is_correct) for one in predictions]),
        "examples": len(generated),
        "generated": {
            "easy": sum(value <= cuts[0] for value in generated) / len(generated),
            "centre": sum(cuts[0] < value <= cuts[1] for value in generated) / len(generated),
            "tail": sum(value > cuts[1] for value in generated) / len(generated),
            "one_animal": sum(value < 40 for value in generated) / len(generated),
        },
        "fed_back": [_measure(row["question"]) for path in sorted(folder.glob("rounds/*/feedback.jsonl"))
                     for row in map(_flatten, read_json_lines(path))],
        "seconds": round(seconds, 1),
    }  # fmt: skip
    write_json(path, facts)
    print(teacher, arm, seed, facts["accuracy"], facts["examples"], facts["seconds"], flush=True)


def _flatten(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, **row["fields"]} if "fields" in row else dict(row)


def summarize(values: Sequence[float]) -> dict[str, Any]:
    """Mean and the half-width of its 95% interval by Student's t."""
    spread = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return {"mean": statistics.fmean(values), "ci95": T_QUANTILES[len(values) - 1] * spread, "values": list(values)}


if __name__ == "__main__":
    main()
