"""The full-size configs: the paper's five data sets, from their published form to a finished run with a tiny student."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from examples.paper_data import OPTION, main, read_unifiedqa
from tests.loopback import serving
from tests.selection.test_quotas import DATA
from tests.support import ROOT, write_rows

from limbeck.config.config import Config, load_config
from limbeck.fake_teacher.behaviour import FakeSettings, FakeTeacher
from limbeck.runner.prepare import make_plan, read_data
from limbeck.runner.run import run
from limbeck.system.files import read_json, read_json_lines

EXAMPLES = ROOT / "examples"
ALL = sorted(EXAMPLES.glob("*.yaml"))
FULL = {"r52": "classification", "reuters": "classification", "math": "reasoning", "mcqa": "reasoning", "absqa": "reasoning"}
WORDS = (
    "barley",
    "copper",
    "dollar",
    "engine",
    "forest",
    "glacier",
    "harbour",
    "island",
    "jacket",
    "kettle",
    "lantern",
    "meadow",
)
VARIABLES = ("DATASET", "BUDGET", "OPENAI_BASE_URL", "STUDENT_MODEL")
TEACHER = {"TEACHER_MODEL": "some-model", "PROMPT_USD_PER_MTOK": "2.5", "COMPLETION_USD_PER_MTOK": "10"}
SMALL = (
    "training.quantize=none",
    "training.epochs=0.2",
    "method.score_max_new_tokens=8",
    "evaluation.max_new_tokens=8",
    "budget.max_examples=12",
    "evaluation.max_examples=6",
    "method.max_candidates_per_domain=2",
)


def say(number: int) -> str:
    """A few words, in an order that is unique to the number."""
    return " ".join(WORDS[(number // 12**place + 5 * place) % 12] for place in range(4))


def write_reuters(folder: Path) -> Path:
    """Six training and two test documents each of three topics, one of them with two topics, and one topic without a test."""
    cats = []
    for place, topic in enumerate(("earn", "ship", "corn")):
        for index in range(8):
            split = "training" if index < 6 else "test"
            topics = "ship corn" if (topic, index) == ("ship", 0) else topic
            cats.append((f"{split}/{place}{index}", topics, f"{topic.upper()} {say(40 * place + index)}\n  It was said."))
    cats.append(("training/99", "rye", "RYE only here"))
    for name, _, text in cats:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "cats.txt").write_text("".join(f"{name} {topics}\n" for name, topics, _ in cats))
    return folder


def write_unifiedqa(folder: Path) -> Path:
    """Four training and two dev rows of each of the fifteen sets, with options, with a passage, or with both."""
    from examples.paper_data import ABSTRACTIVE, MULTIPLE_CHOICE

    for place, name in enumerate((*MULTIPLE_CHOICE, *ABSTRACTIVE)):
        for split, begin, count in (("train", 0, 4), ("dev", 4, 2)):
            lines = []
            for index in range(begin, begin + count):
                asked, told = say(60 * place + index), say(60 * place + 30 + index)
                options = r" \n (A) red (B) blue (C) dark green" if name in MULTIPLE_CHOICE else ""
                passage = rf" \n {told}." if name in ABSTRACTIVE or name == "race_string" else ""
                lines.append(f"What of {asked}?{options}{passage}\t{'dark green' if options else told.split()[0]}\n")
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / f"{split}.tsv").write_text("".join(lines))
    return folder


def write_math(folder: Path) -> Path:
    """Eight training rows of algebra, four of each other subject, and one test row per subject."""
    from examples.paper_data import SUBJECTS

    for place, subject in enumerate(SUBJECTS):
        (folder / subject).mkdir(parents=True)
        for split, count in (("train", 8 if subject == "algebra" else 4), ("test", 1)):
            rows = [
                {
                    "problem": f"Count {say(50 * place + index + 20 * (split == 'test'))}.",
                    "level": "Level 1",
                    "type": subject,
                    "solution": rf"There are $\boxed{{\frac{{{index + 1}}}{{7}}}}$.",
                }
                for index in range(count)
            ]
            write_rows(folder / subject / f"{split}.jsonl", rows)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The five data sets as `examples/paper_data.py` writes them from small downloads."""
    raw, out = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("data")
    main(["reuters", str(write_reuters(raw / "reuters")), str(out)])
    main(["unifiedqa", str(write_unifiedqa(raw / "unifiedqa")), str(out)])
    main(["math", str(write_math(raw / "math")), str(out)])
    return out


def read(file: Path) -> list[dict[str, Any]]:
    return list(read_json_lines(file))


def load(monkeypatch: pytest.MonkeyPatch, name: str, *sets: str, **variables: str) -> Config:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    for variable, value in {**TEACHER, **variables}.items():
        monkeypatch.setenv(variable, value)
    return load_config(EXAMPLES / f"{name}.yaml", list(sets))


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_every_example_is_a_config(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Each config under examples/ loads once the teacher and its prices are set."""
    assert load(monkeypatch, path.stem).task.instruction


def test_reuters_has_a_row_for_each_topic(data: Path) -> None:
    """A document with two topics gives a row for each; R52 has only single-topic documents of topics in both splits."""
    reuters, r52 = read(data / "reuters" / "train.jsonl"), read(data / "r52" / "train.jsonl")
    assert Counter(row["domain"] for row in reuters) == {"earn": 6, "ship": 6, "corn": 7, "rye": 1}
    assert Counter(row["domain"] for row in r52) == {"earn": 6, "ship": 5, "corn": 6}
    assert reuters[0]["question"] == f"EARN {say(0)} It was said."
    assert len(read(data / "r52" / "test.jsonl")) == 6


def test_unifiedqa_rows_by_hand(tmp_path: Path) -> None:
    """Parts are recognised by position and form, an answer becomes its letter, and ambiguous rows are left out."""
    file = tmp_path / "train.tsv"
    lines = [
        r"Who? \n (A) a cat (B) two (dogs) (C) nobody \n There was a cat.",
        r"Why? \n Because.",
        "Where?",
        "Why? \\n Because.",
    ]
    answers = ["two (dogs)", "so it is", "here", "another answer to the same"]
    odd = ["Which? \\n (A) x (B) x\tx", "Which? \\n (A) x (B) y\tz", "no tab", ""]
    file.write_text("\n".join([*(f"{line}\t{answer}" for line, answer in zip(lines, answers, strict=True)), *odd]))
    choice, abstractive, bare = read_unifiedqa(file, "set")
    assert choice == {
        "id": "set-1",
        "domain": "set",
        "answer": "B",
        "answer_type": "choice",
        "question": "Passage: There was a cat.\nQuestion: Who?\nChoice: (A) a cat (B) two (dogs) (C) nobody",
    }
    assert (abstractive["question"], abstractive["answer"]) == ("Passage: Because.\nQuestion: Why?", "so it is")
    assert (bare["question"], bare["answer_type"]) == ("Question: Where?", "text")
    assert OPTION.findall("(A) one (B) (x) two") == [("A", "one"), ("B", "(x) two")]


def test_math_has_a_long_tail_and_all_test_rows(data: Path) -> None:
    """The seven subjects fall with rank^-1.1: 8 and six times 4 rows give 8, 3, 2, 1, 1, 1 and 1; all test rows stay."""
    sizes = Counter(row["domain"] for row in read(data / "math" / "train.jsonl"))
    assert sorted(sizes.values(), reverse=True) == [8, 3, 2, 1, 1, 1, 1]
    assert len(read(data / "math" / "test.jsonl")) == 7


@pytest.mark.slow
@pytest.mark.parametrize("dataset", FULL)
def test_a_dry_run_of_each_data_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny_folder: Path, data: Path, dataset: str
) -> None:
    """Each data set goes through its config from the first request to a finished run, with a tiny student and small sizes."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    with serving(FakeTeacher(FakeSettings(model="some-model"))) as url:
        config = load(
            monkeypatch,
            f"full_{FULL[dataset]}",
            *SMALL,
            f"data.root={data}",
            DATASET=dataset,
            OPENAI_BASE_URL=url,
            STUDENT_MODEL=str(tiny_folder),
        )
        result = run(config, tmp_path / "run")
    assert config.name == f"full-{dataset}"
    state, metrics = read_json(result.folder / "run.json"), result.metrics
    assert (state["status"], state["stages"], state["examples"], state["missing"]) == ("done", 5, 12, {})
    assert state["models"] == {"some-model": state["spent"]["requests"]}
    assert 0 < state["spent"]["cost_usd"] < config.budget.max_cost_usd  # type: ignore[operator]
    assert (result.folder / "student").is_dir()
    assert metrics is not None
    assert metrics.accuracy_macro is not None
    assert ("f1_macro" in metrics.values) == (dataset in ("r52", "reuters", "absqa"))


@pytest.mark.parametrize(("dataset", "budget", "domains", "synthesize"), [("r52", 2600, 52, 1359), ("math", 2100, 7, 213)])
def test_the_plan_of_the_real_data(
    monkeypatch: pytest.MonkeyPatch, dataset: str, budget: int, domains: int, synthesize: int
) -> None:
    """The plans of R52 and Math have the paper's budget and domains, and the synthesis that uniform quotas need."""
    if not (DATA / dataset).exists():
        pytest.skip(f"the data is not part of the repository and {DATA / dataset} is absent; set LIMBECK_DATA")
    config = load(monkeypatch, f"full_{FULL[dataset]}", f"data.root={DATA}", DATASET=dataset)
    found = read_data(config)
    totals = make_plan(config, found).to_json()["totals"]
    assert config.budget.max_examples == budget == totals["examples"]
    assert len(found.counts) == domains
    assert totals["synthesize"] == synthesize
    assert totals["cost_usd"]["high"] < config.budget.max_cost_usd  # type: ignore[operator]


def test_the_label_arms_of_the_reproductions(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the reproductions without rationales every preset gives an arm without them, and keeps what the config keeps."""
    for name, presets in (("repro_atis", "duplicate-cot baldistill-a"), ("repro_r52_minilm", "balance-cot baldistill-n")):
        for preset in presets.split():
            load(monkeypatch, name)
            method = load_config(EXAMPLES / f"{name}.yaml", preset=preset).method
            assert (method.preset, method.has_rationale) == (preset, False)
            assert method.tail == ("duplicate" if name == "repro_atis" else "synthesize")
    assert json.loads(load_config(EXAMPLES / "repro_r52_minilm.yaml").model_dump_json())["method"]["selection"] == "loss"
