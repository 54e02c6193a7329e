"""GOLD end to end on tiny students: what it generates, probes, feeds back, holds out and records."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.loopback import Loopback, Reaction, chat
from tests.support import make_tokenizer, replace_backend, write_rows
from transformers import BertConfig, BertForSequenceClassification

from limbeck.config.config import load_config
from limbeck.errors import BudgetExhausted, ConfigError, DataError, NothingKept
from limbeck.hashing import hash_text
from limbeck.run_folder.status import read_status
from limbeck.runner.apply import evaluate
from limbeck.runner.finish import RunResult
from limbeck.runner.prepare import make_plan, read_data
from limbeck.runner.run import run
from limbeck.student.encode import ClassifierEncoder
from limbeck.student.forward import score_logits
from limbeck.student.model import load_student, read_card
from limbeck.system.files import read_json, read_json_lines
from limbeck.teacher.backends.scripted import ScriptedBackend
from limbeck.teacher.client import teacher as teacher_module
from limbeck.teacher.request import Reply, TeacherRequest

HUMAN = [
    {"text": "A funny story that I enjoyed a great deal.", "answer": "good"},
    {"text": "The jokes fall flat and nobody seems to care.", "answer": "bad"},
    {"text": "Every scene of it is a pleasure to look at.", "answer": "good"},
]
TEST = [
    {"text": f"Row {place} of the held-out file says that it was {word}.", "answer": label}
    for place, (word, label) in enumerate([("fine", "good"), ("dull", "bad")] * 6)
]


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random one-layer BERT and the byte tokenizer."""
    folder = tmp_path_factory.mktemp("tiny-encoder")
    tokenizer = make_tokenizer("none")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=512,
        pad_token_id=tokenizer.pad_token_id,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


class Critic(ScriptedBackend):
    """Writes a new sentence for each request and answers all questions with "good", unless `fault` gives another reply."""

    def __init__(self) -> None:
        super().__init__(self.answer)
        self.fault: Callable[[TeacherRequest], str | Reply | BaseException | None] = lambda request: None

    def answer(self, request: TeacherRequest) -> str | Reply | BaseException:
        faulty = self.fault(request)
        if faulty is not None:
            return faulty
        if request.about.purpose in ("verify", "evaluate"):
            return "good"
        words = " ".join(f"w{request.key[place : place + 3]}" for place in range(0, 24, 3))
        return f"It is {request.about.domain} because {words}."


@pytest.fixture
def critic(monkeypatch: pytest.MonkeyPatch) -> Critic:
    """The teacher behind every `scripted` backend of the test; its `asked` counts across runs."""
    made = Critic()
    replace_backend(monkeypatch, made)
    return made


@pytest.fixture
def reviews(tmp_path: Path, tiny_encoder: Path) -> Callable[..., Path]:
    """Makes a config of a small sentiment task with a tiny classifier; returns its path."""

    def make(**changes: Any) -> Path:  # noqa: ANN401
        write_rows(tmp_path / "human.jsonl", changes.pop("human", HUMAN))
        write_rows(tmp_path / "test.jsonl", changes.pop("test", TEST))
        config: dict[str, Any] = {
            "name": "reviews",
            "seed": 5,
            "data": {"human": "human.jsonl", "test": "test.jsonl"},
            "task": {
                "instruction": "Judge.",
                "noun": "review",
                "answer": "label",
                "fields": ["text"],
                "labels": {"good": "praises", "bad": "blames"},
            },
            "teacher": {"backend": "scripted", "model": "critic"},
            "budget": {"max_examples": 48},
            "student": {"model": str(tiny_encoder), "kind": "classifier"},
            "training": {"epochs": 1, "batch_size": 8},
            "method": {"name": "gold", "rounds": 3, "batches_per_round": 2, "batch_size": 4, "probe_size": 8},
        }
        for dotted, value in changes.items():
            *parents, last = dotted.split("__")
            place = config
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = value
        path = tmp_path / "config.json"  # JSON is YAML
        path.write_text(json.dumps(config), "utf-8")
        return path

    return make


def run_config(path: Path, name: str = "run", *sets: str, **options: Any) -> RunResult:  # noqa: ANN401
    return run(load_config(path, sets, **options), path.parent / name)


def read_round(result: RunResult, index: int, name: str) -> list[dict[str, Any]]:
    return read_json_lines(result.folder / f"round_{index}" / f"{name}.jsonl")


def shown_texts(request: TeacherRequest) -> list[str]:
    return [message["content"] for message in request.messages if message["role"] == "assistant"]


def test_rounds_keep_balanced_examples_and_probes_up_to_the_budget(critic: Critic, reviews: Callable[..., Path]) -> None:
    """Three rounds of 8 examples and 8 probes fill a budget of 48 with balanced labels, each as requested."""
    result = run_config(reviews())
    for index in range(3):
        assert Counter(row["answer"] for row in read_round(result, index, "examples")) == {"good": 4, "bad": 4}
        assert Counter(row["answer"] for row in read_round(result, index, "probes")) == {"good": 4, "bad": 4}
        assert (result.folder / f"round_{index}" / "done").exists()
    rows = read_json_lines(result.folder / "train.jsonl")
    assert len(rows) == 48
    assert all(f"It is {row['domain']}" in row["prompt"][0]["content"] for row in rows)
    assert {row["domain"]: row["completion"][0]["content"] for row in rows} == {"good": "good", "bad": "bad"}
    assert Counter(request.about.purpose for request in critic.asked) == {"synthesize": 24, "probe": 24, "evaluate": 12}


def test_the_band_of_each_label_is_fed_back(critic: Critic, reviews: Callable[..., Path]) -> None:
    """Of four probes of a label, the one with the third-lowest energy under the student is fed back."""
    result = run_config(reviews())
    for index in range(3):
        probes, feedback = read_round(result, index, "probes"), read_round(result, index, "feedback")
        for label in ("good", "bad"):
            ranked = sorted((row["scores"]["energy"], row["id"]) for row in probes if row["answer"] == label)
            assert [row["id"] for row in feedback if row["answer"] == label] == [ranked[2][1]]


def test_energies_are_those_of_the_rounds_student(critic: Critic, reviews: Callable[..., Path]) -> None:
    """A probe's energy is minus the logsumexp over the classes of the student trained in that round."""
    result = run_config(reviews(budget__max_examples=16))
    folder = result.folder / "round_0" / "student"
    card = read_card(folder)
    assert card is not None
    student = load_student(card[0], folder)
    encoder = ClassifierEncoder(student.tokenizer, card[1], False)
    for row in read_round(result, 0, "probes"):
        ids = torch.tensor([encoder.encode_prompt(row["question"], "label")])
        logits = student.model(input_ids=ids).logits.detach()
        expected = -torch.logsumexp(logits.double(), dim=1).item()
        assert row["scores"]["energy"] == pytest.approx(expected, abs=1e-5)
        assert score_logits(logits, torch.tensor([0])).energy.item() == pytest.approx(expected, abs=1e-5)


def test_feedback_is_shown_in_every_second_batch_of_the_next_round(critic: Critic, reviews: Callable[..., Path]) -> None:
    """The even batches after the first round show feedback; round 0 and probes show none."""
    result = run_config(reviews())
    fed_back = {row["fields"]["text"] for row in read_round(result, 0, "feedback")}
    human = {row["text"] for row in HUMAN}
    shown = Counter()
    for request in critic.asked:
        if request.about.purpose == "synthesize":
            extra = set(shown_texts(request)) - human
            assert not extra or request.about.stage > 0
            shown[request.about.stage, bool(extra)] += 1
            if request.about.stage == 1 and extra:
                assert extra == fed_back
    assert shown == {(0, False): 8, (1, False): 4, (1, True): 4, (2, False): 4, (2, True): 4}


def test_probes_are_asked_to_be_unlike_the_newest_examples(critic: Critic, reviews: Callable[..., Path]) -> None:
    """A probe's prompt shows the two newest examples after the human ones and asks for another topic."""
    result = run_config(reviews(budget__max_examples=16))
    newest = [row["fields"]["text"] for row in read_round(result, 0, "examples")][-2:]
    probes = [request for request in critic.asked if request.about.purpose == "probe"]
    assert all(shown_texts(request)[-2:] == newest for request in probes)
    assert all("another topic" in request.messages[-1]["content"] for request in probes)
    assert not any("another topic" in r.messages[-1]["content"] for r in critic.asked if r.about.purpose == "synthesize")


@pytest.mark.parametrize("preset", ["zerogen", "random-feedback", "error-feedback", "gold", "gold-plus"])
def test_every_preset_spends_exactly_the_budget(preset: str, critic: Critic, reviews: Callable[..., Path]) -> None:
    """All arms keep as many examples as the budget allows, so that they can be compared."""
    path = reviews(
        method={"rounds": 9, "batches_per_round": 2, "batch_size": 4},
        task__attributes={"tone": ["dry", "warm"]},
        budget__max_examples=30,
    )
    result = run_config(path, preset, "method.relabel_votes=0", "method.alphas=[]", preset=preset)
    assert len(read_json_lines(result.folder / "train.jsonl")) == 30
    assert read_status(result.folder).spend["examples"]["spent"] == 30
    assert any(request.about.purpose == "probe" for request in critic.asked) == (preset != "zerogen")


def test_error_feedback_shows_what_the_student_gets_wrong(critic: Critic, reviews: Callable[..., Path]) -> None:
    """Only probes that the student gets wrong are fed back: those with the largest loss, at most as many as a band contains."""
    result = run_config(reviews(method__feedback="error"))
    for index in range(3):
        probes = {row["id"]: row for row in read_round(result, index, "probes")}
        for label in ("good", "bad"):
            wrong = [row for row in probes.values() if row["answer"] == label and not row["scores"]["is_correct"]]
            worst = [row["id"] for row in sorted(wrong, key=lambda row: (-row["scores"]["nll"], row["id"]))][:1]
            assert [row["id"] for row in read_round(result, index, "feedback") if row["answer"] == label] == worst


def test_the_released_codes_order_probes_after_the_first_batch(critic: Critic, reviews: Callable[..., Path]) -> None:
    """With `compat` a round generates its first batch, then asks probes, then generates the other batches with new feedback."""
    run_config(reviews(method__compat=True, method__batches_per_round=3, budget__max_examples=20))
    order = [
        request.about.purpose for request in critic.asked if request.about.stage == 0 and request.about.purpose != "evaluate"
    ]
    assert order == ["synthesize"] * 4 + ["probe"] * 8 + ["synthesize"] * 8
    third = [request for request in critic.asked if request.about.purpose == "synthesize"][8:12]
    assert all(len(shown_texts(request)) == 5 for request in third), "batch 2 shows the two probes of the window"


def test_compat_replaces_no_rejected_reply(critic: Critic, reviews: Callable[..., Path]) -> None:
    """In the released code a rejected reply leaves its batch short; otherwise it is replaced."""
    critic.fault = lambda request: "" if request.about.index == 0 and request.about.purpose == "synthesize" else None
    short = run_config(reviews(method__compat=True, method__rounds=1), "short")
    assert len(read_round(short, 0, "examples")) < 8
    assert len(read_round(run_config(reviews(method__rounds=1), "full"), 0, "examples")) == 8


def test_held_out_examples_are_never_trained_on(critic: Critic, reviews: Callable[..., Path]) -> None:
    """Epochs and alphas are chosen on a held-out share of each label's examples, and the first best alpha is recorded."""
    path = reviews(method__held_out=0.25, method__alphas=[0.01, 1.0], training__epochs=2)
    result = run_config(path)
    choice = read_json(result.folder / "final" / "choice.json")
    held_out = Counter(
        row["domain"] for row in read_json_lines(result.folder / "train.jsonl") if row["id"] in choice["held_out"]
    )
    assert held_out == {"good": 6, "bad": 6}
    accuracies = choice["held_out_accuracy"]
    assert {name: len(values) for name, values in accuracies.items()} == {"0.01": 2, "1.0": 2}
    best = max(accuracies, key=lambda name: max(accuracies[name]))
    assert choice["alpha"] == float(best)


def test_the_teacher_is_measured_as_the_students_are(critic: Critic, reviews: Callable[..., Path]) -> None:
    """A teacher that always says "good" gets half of a balanced test set right, asked greedily and without examples."""
    result = run_config(reviews(budget__max_examples=16))
    assert result.metrics is not None
    assert result.metrics.values["teacher"]["accuracy_micro"] == 0.5
    assert set(result.metrics.values["teacher"]["domains"]) == set(result.metrics.values["domains"]) == {"good", "bad"}
    assert result.metrics.values["baseline"]["examples"] == result.metrics.values["teacher"]["examples"] == 12
    asked = [request for request in critic.asked if request.about.purpose == "evaluate"]
    assert all(len(request.messages) == 1 and request.sampling["temperature"] == 0.0 for request in asked)


def test_relabelling_rejects_what_the_teacher_answers_otherwise(critic: Critic, reviews: Callable[..., Path]) -> None:
    """With votes, examples whose label the teacher does not confirm are rejected as `relabelled` and replaced within limits."""
    result = run_config(reviews(method__relabel_votes=3, budget__max_examples=24, method__feedback="none"))
    kept = Counter(row["answer"] for index in range(3) for row in read_round(result, index, "examples"))
    assert set(kept) == {"good"}
    rejected = read_round(result, 0, "rejected")
    assert {row["reason"] for row in rejected} == {"relabelled"}
    assert len(rejected) == 12, "four wanted, three attempts each"
    assert read_round(result, 0, "examples")[0]["meta"]["agreement"] == 1.0


def test_a_teacher_that_never_follows_the_form_ends_the_run_early(critic: Critic, reviews: Callable[..., Path]) -> None:
    """After 32 rejects with nothing kept, the run ends and reports the three most frequent reasons and where to look."""
    says = {0: "", 1: "Two\n\nparagraphs.", 2: "Short.", 3: "I'm sorry, I can't help with that."}
    critic.fault = lambda request: says[min(int(request.key[:4], 16) % 10, 3)] if request.about.purpose != "evaluate" else None
    path = reviews(method__batches_per_round=25, method__batch_size=8, budget__max_examples=200)
    with pytest.raises(NothingKept, match=r"none of its first 32 replies could be kept \(refused \d+%, \w+ \d+%, \w+ \d+%\)"):
        run_config(path)
    assert len(critic.asked) == 32
    assert len(read_json_lines(path.parent / "run" / "round_0" / "rejected.jsonl")) == 32


def test_a_human_example_that_is_in_the_test_set_fails_the_run(critic: Critic, reviews: Callable[..., Path]) -> None:
    """A human example that leaks in any letter case is an error that names it; a generated one is rejected with its reason."""
    with pytest.raises(DataError, match=r"human example 'row 3 OF the held-out .* is also in dev or test"):
        run_config(reviews(human=[*HUMAN, {"text": TEST[3]["text"].replace("Row 3 of", "row 3 OF"), "answer": "bad"}]))
    assert critic.asked == []
    critic.fault = lambda request: (
        TEST[1]["text"] if request.about.purpose == "synthesize" and request.about.index == 1 else None
    )
    result = run_config(reviews())
    rejected = [row for index in range(3) for row in read_round(result, index, "rejected")]
    assert {row["reason"] for row in rejected} == {"leaks_held_out"}


def test_of_a_large_file_only_rows_that_do_not_leak_are_shown(critic: Critic, reviews: Callable[..., Path]) -> None:
    """With `human_size` a few rows are drawn from a split, labels in turn; rows that leak are skipped and counted."""
    path = reviews(human=[*HUMAN, TEST[0], TEST[1]], data__human_size=2)
    data = read_data(load_config(path))
    assert Counter(example.answer for example in data.train) == {"good": 1, "bad": 1}
    assert {example.question for example in data.train} <= {row["text"] for row in HUMAN}
    assert any("2 of 5 rows of data.human are skipped" in note for note in data.notes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"human": [*HUMAN, {"text": "It was so-so, I think.", "answer": "mixed"}]},
            r"human\.jsonl:4: .*'mixed' is not a label",
        ),
        ({"test": [{"text": "No label here."}]}, r"test\.jsonl:1: no column 'answer'"),
        ({"data__human": None}, r"data\.human is not set"),
        ({"task__attributes": {"tone": {"great": ["dry"]}}}, r"task\.attributes\.tone: \['great'\] are not among the labels"),
        ({"method__alphas": [0.1, 1.0], "training__loss": "cross_entropy"}, r"method\.alphas has no effect"),
        ({"method__band": [0.8, 0.2]}, r"band \[0\.8, 0\.2\] must be two shares"),
        ({"method__rouns": 3}, r"method\.rouns: unknown key; did you mean 'rounds'\?"),
        ({"method__name": "golden"}, r"method\.name: unknown method 'golden'; did you mean 'gold'\? Known: baldistill, gold"),
        ({"task__checks": {"span_of": "context"}}, r"span_of: 'context' is not one of the fields"),
    ],
)
def test_bad_input_is_said_at_once(changes: dict[str, Any], message: str, critic: Critic, reviews: Callable[..., Path]) -> None:
    """A config that can't run is rejected before anything is asked, with the place and the remedy."""
    with pytest.raises((ConfigError, DataError), match=message):
        run_config(reviews(**changes))
    assert critic.asked == []


def test_a_spent_cap_trains_on_what_there_is_and_goes_on_when_raised(critic: Critic, reviews: Callable[..., Path]) -> None:
    """A cap on requests ends the run with a student; raised, the same command finishes it and asks nothing twice."""
    path = reviews()
    cut = run_config(path, "run", "budget.max_requests=20")
    assert isinstance(cut.ended_by, BudgetExhausted)
    assert cut.student is not None
    assert len(read_json_lines(cut.folder / "train.jsonl")) == 20
    assert cut.metrics is None or "teacher" not in cut.metrics.values, "part of a test set would be another test set"
    whole = run_config(path)
    assert whole.ended_by is None
    assert len(read_json_lines(whole.folder / "train.jsonl")) == 48
    keys = [request.key for request in critic.asked]
    assert len(keys) == len(set(keys))
    undisturbed = run_config(path, "undisturbed")
    for name in ("train.jsonl", "metrics.json", "diversity.json"):
        assert (undisturbed.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_a_finished_run_asks_nothing_again(critic: Critic, reviews: Callable[..., Path]) -> None:
    """The same command on a finished folder asks and trains nothing."""
    path = reviews()
    first = run_config(path)
    count, stamp = len(critic.asked), (first.folder / "student" / "model.safetensors").stat().st_mtime_ns
    run_config(path)
    assert len(critic.asked) == count
    assert (first.folder / "student" / "model.safetensors").stat().st_mtime_ns == stamp


def test_the_plan_gives_the_rounds_and_the_requests(critic: Critic, reviews: Callable[..., Path]) -> None:
    """The plan lists each round's examples by label, and counts attempts, votes and the teacher's own measurement."""
    config = load_config(reviews(method__relabel_votes=2))
    plan = make_plan(config, read_data(config)).to_json()
    assert [sum(share["quota"] for share in stage["domains"].values()) for stage in plan["stages"]] == [16, 16, 16]
    assert plan["totals"]["examples"] == 48
    assert plan["totals"]["requests"]["low"] == 48 + 2 * 48 + 12
    assert plan["totals"]["requests"]["high"] == 3 * 48 + 2 * 3 * 48 + 12
    short = load_config(reviews(budget__max_examples=100))
    assert "3 rounds give 48 examples" in make_plan(short, read_data(short)).warnings[0]


def test_a_classifier_is_measured_on_any_file_of_texts_and_answers(critic: Critic, reviews: Callable[..., Path]) -> None:
    """`limbeck eval` needs only texts and answers in another file."""
    path = reviews(budget__max_examples=16)
    result = run_config(path)
    other = write_rows(path.parent / "other.jsonl", [{"text": "Quite another row.", "answer": "bad"}, TEST[0]])
    found = evaluate(str(result.student), load_config(path, [f"data.test={other}"]))
    assert found.metrics.values["examples"] == 2
    assert {prediction.prediction for prediction in found.predictions} <= {"good", "bad"}


def test_a_server_that_dies_and_comes_back_changes_nothing(
    reviews: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run whose server returns errors and drops connections for a while still gets all its examples."""
    monkeypatch.setattr(teacher_module, "FIRST_BACKOFF_S", 0.001)

    def react(number: int, body: dict[str, Any]) -> Any:  # noqa: ANN401
        if 10 <= number < 40:
            return Reaction(is_dropped=True) if number % 2 else Reaction("gone", 502)
        asked = re.search(r'the answer "(\w+)"', body["messages"][-1]["content"])
        return chat(f"It is {asked[1]}, said {hash_text(str(number))[:12]} to nobody." if asked else "bad")

    with Loopback(react) as server:
        http = (
            "teacher.backend=openai_compatible",
            f"teacher.base_url={server.url}",
            "teacher.model=served-model",
            "teacher.max_attempts=40",
        )
        result = run_config(reviews(), "run", *http)
    assert len(read_json_lines(result.folder / "train.jsonl")) == 48
    assert result.metrics is not None
    assert result.metrics.values["teacher"]["domains"]["bad"]["accuracy"] == 1.0
