"""Annotation and synthesis: tolerant of form, strict about content, and every rejection has its reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import DATA, make_example, make_scope

from limbeck.answers.types import ANSWERS
from limbeck.data.example import Example, Rejected
from limbeck.data.overlap import DuplicateGuard, LeakGuard
from limbeck.data.task import Task
from limbeck.errors import ConfigError
from limbeck.teacher.backends.scripted import ScriptedBackend
from limbeck.teacher.client.budget import Budget, BudgetSettings
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.client.teacher import Outcome, Teacher
from limbeck.teacher.purposes.annotate import annotate, read_annotation
from limbeck.teacher.purposes.prompts import load_template, render_prompt
from limbeck.teacher.purposes.replies import mentions_hint, read_synthesis
from limbeck.teacher.purposes.synthesize import read_new_example, synthesize
from limbeck.teacher.purposes.until_kept import AskResult
from limbeck.teacher.request import About, Reply, TeacherRequest
from limbeck.teacher.settings import TeacherSettings

TASK = Task(instruction="Solve the problem.", answer="number")
SUM = make_example("2 + 3", "5")


def judge_annotation(text: str, *, finish_reason: str = "stop", example: Example = SUM, **policy: object) -> Example | Rejected:
    request = TeacherRequest("m", ({"role": "user", "content": "q"},), {"max_tokens": 9}, About("annotate", 2, "d", (example,)))
    arguments: dict[str, object] = {"is_hinted": True, "on_mismatch": "reject", **policy}
    return read_annotation(Outcome(request, Reply(text, "m", finish_reason)), TASK, **arguments)  # type: ignore[arg-type]


def make_teacher(path: Path, script: Callable[[TeacherRequest], str | Reply | BaseException], **settings: object) -> Teacher:
    ledger = Ledger(path / "ledger.sqlite")
    return Teacher(
        ScriptedBackend(script),
        ledger,
        Budget(BudgetSettings(max_examples=50)),
        TeacherSettings(backend="scripted", **settings),  # type: ignore[arg-type]
    )


def test_annotation_splits_rationale_and_answer() -> None:
    """The rationale is the text before the last answer prefix, and the teacher's answer is what follows it."""
    kept = judge_annotation("Two and three.\nThat gives five.\n\n**The answer is: 5**")
    assert isinstance(kept, Example)
    assert (kept.rationale, kept.teacher_answer, kept.answer, kept.stage) == ("Two and three.\nThat gives five.", "5", "5", 2)


@pytest.mark.parametrize(
    ("text", "finish_reason", "reason"),
    [
        ("Two and", "length", "truncated"),
        ("", "content_filter", "filtered"),
        ("  \n", "stop", "empty"),
        ("I'm sorry, but I can't help with that.", "stop", "refused"),
        ("It is five.", "stop", "no_answer"),
        ("Steps. The answer is: unclear", "stop", "no_answer"),
        ("The answer is: 5", "stop", "no_rationale"),
        ("It must be the given answer. The answer is: 5", "stop", "mentions_hint"),
        ("Two and three. The answer is: 6", "stop", "answer_mismatch"),
    ],
)
def test_rejected_annotations_have_their_reason(text: str, finish_reason: str, reason: str) -> None:
    """Each unusable reply is rejected with the matching reason, the example's id and the ledger key."""
    rejected = judge_annotation(text, finish_reason=finish_reason)
    assert isinstance(rejected, Rejected)
    assert (rejected.reason, rejected.example_id, rejected.stage) == (reason, SUM.id, 2)
    assert rejected.request


def test_keep_teacher_teaches_the_teachers_answer() -> None:
    """With `keep_teacher` a differing teacher answer becomes the answer to learn, and the gold answer is kept in `meta`."""
    kept = judge_annotation("Two and three. The answer is: 6", on_mismatch="keep_teacher")
    assert isinstance(kept, Example)
    assert (kept.answer, kept.meta["gold_answer"]) == ("6", "5")


@pytest.mark.parametrize(
    ("text", "is_hint"),
    [
        ("This matches the given answer.", True),
        ("so the provided answer is right", True),
        ("which agrees with the answer provided", True),
        ("as the answer given is 5", True),
        ("But the ground truth answer is 118, so there is a mistake.", True),
        ("which is indeed 5, as given in the answer", True),
        ("the expected answer follows", True),
        ("The correct answer is 5.", False),
        ("The only answer choice given is -2.", False),
        ("For a given x, the answer is 5.", False),
        ("The answer is given by the sum of both.", False),
    ],
)
def test_hint_leaks_are_recognised(text: str, is_hint: bool) -> None:
    """A rationale that mentions the answer it was given is distinguished from one that states its answer."""
    assert mentions_hint(text) is is_hint


@pytest.mark.parametrize(
    ("text", "rationale"),
    [
        ("2 and 3 make 5. Therefore, the answer is: 5", "2 and 3 make 5."),
        ("2 and 3 make 5, so the answer is 5.", "2 and 3 make 5"),
        ("2 and 3 make 5. So the answer is 5.\nThe answer is: 5", "2 and 3 make 5."),
        ("2 and 3 make 5.The answer is 5.\nThe answer is: 5", "2 and 3 make 5."),
        (
            "Since the answer is a whole number, we add 2 to 3 and get 5.\nThe answer is: 5",
            "Since the answer is a whole number, we add 2 to 3 and get 5.",
        ),
        ("The answer is 2 + 3 = 5.\nThe answer is: 5", "The answer is 2 + 3 = 5."),
        (
            "The answer is 5 because 2 and 3 make it. Check: 5 - 3 is 2.\nThe answer is: 5",
            "The answer is 5 because 2 and 3 make it. Check: 5 - 3 is 2.",
        ),
        ("Reason.\n\n## **In conclusion, the answer is: 5**", "Reason."),
    ],
)
def test_rationales_do_not_end_in_the_answer(text: str, rationale: str) -> None:
    """A lead-in to the answer or its statement at the end is cut off, since the completion states the answer anyway."""
    kept = judge_annotation(text)
    assert isinstance(kept, Example)
    assert kept.rationale == rationale


@pytest.mark.parametrize(
    ("text", "answer_type", "reason"),
    [
        ("Two and three. So the answer is 6.\nThe answer is: 5", "number", "contradicts_itself"),
        ("Water turns to vapour. The answer is (A) Evaporation.\nThe answer is: E", "choice", "contradicts_itself"),
        ("It is one of two. So the answer is (A) or (B).", "choice", "no_answer"),
        ("It is (A).\nThe answer is: A and C", "choice", "no_answer"),
        ("The answer is 5.\nThe answer is: 5", "number", "no_rationale"),
        ("Thus, the answer is: 5", "number", "no_rationale"),
    ],
)
def test_replies_that_say_two_things(text: str, answer_type: str, reason: str) -> None:
    """A reply is rejected if its rationale ends in another answer, it names two options, or it only states the answer."""
    gold = "E" if answer_type == "choice" else "5"
    rejected = judge_annotation(text, example=make_example("q", gold, answer_type=answer_type))
    assert isinstance(rejected, Rejected)
    assert rejected.reason == reason


@pytest.mark.parametrize(
    ("text", "gold", "answer_type"),
    [
        ("For the first part the answer is 2. Adding 3 gives the rest.\nThe answer is: 5", "5", "number"),
        ("So the answer is 5 = 2 + 3.\nThe answer is: 5", "5", "number"),
        ("So the answer is found by adding 2 and 3.\nThe answer is: 5", "5", "number"),
        ("So the answer is most likely yes.\nThe answer is: yes", "yes", "text"),
        ("So the answer is Paris, the capital of France.\nThe answer is: Paris", "Paris", "text"),
    ],
)
def test_steps_that_mention_an_answer_are_no_contradiction(text: str, gold: str, answer_type: str) -> None:
    """An intermediate answer or a closing sentence that states the answer in more words is not a contradiction."""
    assert isinstance(judge_annotation(text, example=make_example("q", gold, answer_type=answer_type)), Example)


def test_a_prefix_of_one_word_is_no_word_of_a_sentence() -> None:
    """The prefix "Answer:" matches at the start of a line or with its colon, but not in "to answer this"."""
    task = Task(answer="number", answer_prefix="Answer: ")
    request = TeacherRequest("m", ({"role": "user", "content": "q"},), {"max_tokens": 9}, About("annotate", 2, "d", (SUM,)))
    said = "To answer this, add 2 to 3, which gives 5. Answers may vary."
    kept = read_annotation(Outcome(request, Reply(f"{said}\nAnswer: 5", "m")), task, is_hinted=True, on_mismatch="reject")
    assert isinstance(kept, Example)
    assert kept.rationale == said


@pytest.mark.parametrize(
    ("text", "question", "answer"),
    [
        (
            r'{"question": "Half of $2 \times 3$?", "rationale": "$\frac{6}{2}$", "answer": "\frac{6}{2}"}',
            r"Half of $2 \times 3$?",
            r"\frac{6}{2}",
        ),
        (
            r'{"question": "Solve \(x \neq 1\)\nand more", "rationale": "r", "answer": "\sqrt{2}"}',
            "Solve \\(x \\neq 1\\)\nand more",
            r"\sqrt{2}",
        ),
        (
            r'{"question": "Half of $2 \\times 3$?", "rationale": "r", "answer": "\\frac{6}{2}"}',
            r"Half of $2 \times 3$?",
            r"\frac{6}{2}",
        ),
        (r'{"question": "\u00e9 \underline{x}", "rationale": "r", "answer": "1"}', r"é \underline{x}", "1"),
    ],
)
def test_latex_in_json_survives(text: str, question: str, answer: str) -> None:
    """LaTeX in a JSON reply survives whether or not its backslashes were doubled, and line breaks stay line breaks."""
    parts = read_synthesis(text, Task(answer="math"))
    assert (parts.fields, parts.answer_text) == ({"question": question}, answer)


def test_json_that_lost_its_latex_is_malformed() -> None:
    """JSON with a form feed or backspace, which is left over from a lost LaTeX command, is not used."""
    assert read_synthesis('{"question": "\\frob{1}", "rationale": "r", "answer": "1"}', TASK).fields is None


@pytest.mark.timeout(60)  # takes minutes if any parsing is quadratic
@pytest.mark.parametrize("text", ["answer" + " " * 100_000, "\n" * 100_000 + "x", "so " * 100_000, "\\" * 100_000])
def test_replies_of_nothing_are_read(text: str) -> None:
    """A reply that repeats blanks, line breaks, connectives or backslashes is parsed quickly."""
    judge_annotation(f"{text}\nThe answer is: 5")
    read_synthesis(text, TASK)
    read_synthesis("{" + text + "}", TASK)


@pytest.mark.parametrize(("takes_reasoning", "rationale"), [(True, "Let me see: 2 and 3 make 5."), (False, "Added up.")])
def test_thoughts_can_be_the_rationale(*, takes_reasoning: bool, rationale: str) -> None:
    """If the setting says so, a model's reasoning is the rationale; the answer is always the reply's."""
    request = TeacherRequest("m", ({"role": "user", "content": "q"},), {"max_tokens": 9}, About("annotate", 2, "d", (SUM,)))
    reply = Reply("Added up.\nThe answer is: 5", "m", reasoning="Let me see: 2 and 3 make 5. So the answer is 5.")
    kept = read_annotation(Outcome(request, reply), TASK, is_hinted=True, on_mismatch="reject", takes_reasoning=takes_reasoning)
    assert isinstance(kept, Example)
    assert (kept.rationale, kept.teacher_answer) == (rationale, "5")


def test_a_refusal_is_one_whatever_it_says() -> None:
    """A reply that the server marks as a refusal is rejected as refused, whatever its text."""
    rejected = judge_annotation("That is against my rules.\nThe answer is: 5", finish_reason="refusal")
    assert isinstance(rejected, Rejected)
    assert rejected.reason == "refused"


def read_recorded(name: str) -> list[dict[str, str]]:
    path = DATA / f"{name}.jsonl"
    if not path.exists():
        pytest.skip("the shared data is not here")
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def judge_recorded(rows: list[dict[str, str]], task: Task, rationale: str, *, is_hinted: bool) -> Counter[str]:
    reasons: Counter[str] = Counter()
    for row in rows:
        answer_type = ANSWERS.resolve(row.get("answer_type") or task.answer)
        example = make_example(row["question"], task.read_gold(row["answer"], answer_type)[0], answer_type=answer_type)
        request = TeacherRequest("m", (), {"max_tokens": 9}, About("annotate", 0, "d", (example,)))
        reply = Reply(f"{row[rationale]}\nThe answer is: {row.get('teacher_answer', '')}", "m")
        verdict = read_annotation(Outcome(request, reply), task, is_hinted=is_hinted, on_mismatch="reject")
        reasons[verdict.reason if isinstance(verdict, Rejected) else "kept"] += 1
    return reasons


def test_recorded_math_rationales() -> None:
    """Of the 2,668 recorded Math rationales, 438 mention the answer they were given, and all others are kept."""
    reasons = judge_recorded(read_recorded("math_recorded/real"), Task(answer="math"), "rationale", is_hinted=True)
    assert reasons == {"kept": 2230, "mentions_hint": 438}


def test_recorded_r52_rationales() -> None:
    """Of the 3,088 recorded R52 rationales, 1,180 end in a topic other than the story's."""
    rows = read_recorded("r52_recorded/real")
    task = Task(answer="label", labels=sorted({row["answer"] for row in rows}))
    assert judge_recorded(rows, task, "rationale", is_hinted=True) == {"kept": 1907, "answer_mismatch": 1180, "no_answer": 1}


def test_recorded_chains_of_thought() -> None:
    """Of the 645 recorded BIG-Bench-Hard chains, exactly those whose published verdict is right are kept."""
    rows = read_recorded("lt-bbh/train")
    for verdict in (True, False):
        judged = [row for row in rows if row["teacher_correct"] == verdict]  # type: ignore[comparison-overlap]
        reasons = judge_recorded(judged, Task(answer="text"), "teacher_rationale", is_hinted=False)
        assert reasons["kept"] == (len(judged) if verdict else 0), reasons


def test_blind_prompts_hold_no_answer(tmp_path: Path) -> None:
    """Hinted prompts contain the gold answer, and blind prompts do not."""
    prompts: list[str] = []

    def script(request: TeacherRequest) -> str:
        prompts.append(request.messages[0]["content"])
        return "Steps. The answer is: 98765"

    example = make_example("What is it?", "98765")
    for is_hinted in (True, False):
        annotate(
            make_scope(make_teacher(tmp_path, script), TASK, max_attempts=1),
            {"d": [example]},
            {"d": 1},
            is_hinted=is_hinted,
            on_mismatch="reject",
        )
    hinted, blind = (prompt.replace("<answer>", "") for prompt in prompts)
    assert "98765" in hinted
    assert "98765" not in blind


def run_annotation(tmp_path: Path, on_mismatch: str, max_attempts: int = 3) -> AskResult:
    """Annotate three of ten candidates, the first four of which get a wrong answer."""
    examples = [make_example(f"number {n}", str(n)) for n in range(10)]

    def script(request: TeacherRequest) -> str:
        n = int(request.about.examples[0].answer)
        return f"Steps. The answer is: {n if n >= 4 else -1}"

    return annotate(
        make_scope(make_teacher(tmp_path, script), TASK, max_attempts=max_attempts),
        {"d": examples},
        {"d": 3},
        is_hinted=True,
        on_mismatch=on_mismatch,
    )


def test_rejected_examples_are_replaced_by_the_next(tmp_path: Path) -> None:
    """Under `reject` the next candidates replace the rejected ones until the quota is reached."""
    harvest = run_annotation(tmp_path, "reject")
    assert [example.answer for example in harvest.kept] == ["4", "5", "6"]
    assert [rejected.reason for rejected in harvest.rejected] == ["answer_mismatch"] * 4
    assert harvest.missing == {}


def test_consumed_examples_are_not_replaced(tmp_path: Path) -> None:
    """Under `consume`, the released code's policy, a mismatch uses up its place in the quota."""
    harvest = run_annotation(tmp_path, "consume")
    assert harvest.kept == []
    assert len(harvest.rejected) == 3
    assert harvest.missing == {}


def test_hopeless_candidates_are_not_asked_about(tmp_path: Path) -> None:
    """A candidate that would be rejected whatever its rationale is rejected with the reason but without a request."""
    teacher = make_teacher(tmp_path, lambda request: "Because.\nThe answer is: 5")
    long, short = make_example("2 + 3 " * 50, "5"), make_example("3 + 2", "5")
    harvest = annotate(
        make_scope(
            teacher, TASK, max_attempts=1, find_fault=lambda example: "too_long" if len(example.question) > 100 else None
        ),
        {"d": [long, short]},
        {"d": 1},
        is_hinted=True,
        on_mismatch="reject",
    )
    assert [example.id for example in harvest.kept] == [short.id]
    assert [(one.reason, one.example_id, one.request) for one in harvest.rejected] == [("too_long", long.id, None)]
    assert teacher.budget.spent.requests == 1


def test_replacement_is_bounded(tmp_path: Path) -> None:
    """A domain that wants three examples asks at most three times `max_attempts` times and reports what is missing."""
    harvest = run_annotation(tmp_path, "reject", max_attempts=2)
    assert len(harvest.kept) + len(harvest.rejected) == 6
    assert harvest.missing == {"d": 1}


def test_synthetic_candidates_are_not_annotated_again(tmp_path: Path) -> None:
    """A candidate that already has the teacher's rationale is kept without a request."""
    ready = make_example("9 + 9", "18", rationale="Add.", teacher_answer="18")
    teacher = make_teacher(tmp_path, lambda request: "must not be asked")
    harvest = annotate(
        make_scope(teacher, TASK, stage=4, max_attempts=1), {"d": [ready]}, {"d": 1}, is_hinted=True, on_mismatch="reject"
    )
    assert harvest.kept == [ready.but(stage=4)]
    assert teacher.budget.spent.requests == 0


@pytest.mark.parametrize(
    "text",
    [
        "Question: What is 4 + 4?\nRationale: Add them.\nThe answer is: 8",
        "**Question:** What is 4 + 4?\n\n**Rationale:** Add them.\n\n**The answer is:** 8",
        "1. Question: What is 4 + 4?\n2. Explanation: Add them.\nThe answer is 8",
        '```json\n{"question": "What is 4 + 4?", "rationale": "Add them.", "answer": 8}\n```',
        "Sure!\n\nquestion : What is 4 + 4?\nSolution: Add them.\nthe answer is: 8.",
    ],
)
def test_synthesis_is_read_in_many_forms(text: str) -> None:
    """A new example is parsed from labelled lines, markdown, numbered lists and JSON."""
    parts = read_synthesis(text, TASK)
    assert parts.fields == {"question": "What is 4 + 4?"}
    assert parts.rationale == "Add them."
    assert TASK.read_answer("The answer is: " + str(parts.answer_text), "number") == "8"


@given(st.text(max_size=200))
def test_reading_never_fails(text: str) -> None:
    """Parsing any text gives parts or None, never an error."""
    read_synthesis(text, TASK)
    judge_annotation(text)


def judge_synthesis(text: str, task: Task = TASK, *, is_domain_answer: bool = False) -> Example | Rejected:
    request = TeacherRequest("m", ({"role": "user", "content": "q"},), {"max_tokens": 9}, About("synthesize", 1, "d", (SUM,)))
    return read_new_example(Outcome(request, Reply(text, "m")), task, is_domain_answer=is_domain_answer)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Rationale: x.\nThe answer is: 8", "malformed"),
        ("Question: What?\nThe answer is: 8", "no_rationale"),
        ("Question: What?\nRationale: x.", "no_answer"),
        ("Question: What?\nRationale: x.\nThe answer is: maybe", "no_answer"),
    ],
)
def test_rejected_syntheses_have_their_reason(text: str, reason: str) -> None:
    """A synthesis that lacks a part is rejected with the reason for that part."""
    rejected = judge_synthesis(text)
    assert isinstance(rejected, Rejected)
    assert rejected.reason == reason


def test_synthesized_examples_carry_their_provenance() -> None:
    """A synthesized example records its ledger key and the seed examples that its prompt showed."""
    kept = judge_synthesis("Question: 4 + 4?\nRationale: Add.\nThe answer is: 8")
    assert isinstance(kept, Example)
    assert (kept.provenance.kind, kept.provenance.seeds) == ("synthesized", (SUM.id,))
    assert kept.provenance.request


def test_the_label_asked_for_is_the_label() -> None:
    """If the domain is the answer, a synthesis with another label is rejected as `wrong_label`."""
    task = Task(answer="label", labels={"d": "", "e": ""})
    request = TeacherRequest(
        "m",
        ({"role": "user", "content": "q"},),
        {"max_tokens": 9},
        About("synthesize", 1, "d", (SUM.but(answer_type="label"),)),
    )
    outcome = Outcome(request, Reply("Question: a text\nRationale: x.\nThe answer is: e", "m"))
    rejected = read_new_example(outcome, task, is_domain_answer=True)
    assert isinstance(rejected, Rejected)
    assert rejected.reason == "wrong_label"


def test_synthesis_rejects_repeats_and_leaks_and_asks_again(tmp_path: Path) -> None:
    """Duplicates of known examples and leaked test questions are rejected with reasons and replaced by new requests."""
    said = iter(["2 + 3", "7 + 7", "8 + 8", "8 + 8", "9 + 9"])

    def script(request: TeacherRequest) -> str:
        return f"Question: {next(said)}\nRationale: Add.\nThe answer is: 1"

    harvest = synthesize(
        make_scope(
            make_teacher(tmp_path, script, max_concurrency=1),
            TASK,
            duplicates=DuplicateGuard([SUM]),
            leaks=LeakGuard([("t1", "7 + 7.")], []),
        ),
        {"d": [SUM]},
        {"d": 2},
    )
    assert [example.question for example in harvest.kept] == ["8 + 8", "9 + 9"]
    assert [rejected.reason for rejected in harvest.rejected] == ["duplicate", "leaks_held_out", "duplicate"]


def test_synthesis_requests_depend_on_place_not_on_time(tmp_path: Path) -> None:
    """A domain's requests do not depend on what other domains ask, so a resumed run repeats them exactly."""

    def ask(wanted: dict[str, int], folder: str) -> list[str]:
        (tmp_path / folder).mkdir()
        teacher = make_teacher(tmp_path / folder, lambda request: "malformed")
        seeds = {name: [make_example(f"{name} {n}", domain=name) for n in range(6)] for name in ("a", "b")}
        synthesize(make_scope(teacher, TASK, stage=1, seed=7, max_attempts=2), seeds, wanted)
        return sorted(row["key"] for row in teacher.ledger.list_requests() if row["domain"] == "b")

    alone, together = ask({"b": 3}, "alone"), ask({"a": 5, "b": 3}, "together")
    assert len(alone) == 6
    assert alone == together


def test_users_can_replace_a_prompt(tmp_path: Path) -> None:
    """A user's template replaces the packaged one, and a broken one is a config error with file and line."""
    mine = tmp_path / "mine.jinja"
    mine.write_text("Q: {{ question }} / {{ answer }}")
    assert render_prompt(load_template("annotate", mine), "annotate", question="2 + 2", answer="4") == "Q: 2 + 2 / 4"
    broken = tmp_path / "broken.jinja"
    broken.write_text("fine\n{% if %}")
    with pytest.raises(ConfigError, match=r"broken\.jinja:2"):
        load_template("annotate", broken)
    unknown = tmp_path / "unknown.jinja"
    unknown.write_text("{{ qestion }}")
    with pytest.raises(ConfigError, match=r"qestion.*it may use answer, question"):
        render_prompt(load_template("annotate", unknown), "annotate", question="q", answer="a")


def test_templates_run_in_a_sandbox(tmp_path: Path) -> None:
    """A template can't reach Python's internals, and text that looks like a template stays text."""
    evil = tmp_path / "evil.jinja"
    evil.write_text("{{ question.__class__.__mro__[1].__subclasses__() }}")
    with pytest.raises(ConfigError):
        render_prompt(load_template("annotate", evil), "annotate", question="q")
    plain = tmp_path / "plain.jinja"
    plain.write_text("{{ question }}")
    assert render_prompt(load_template("annotate", plain), "annotate", question="{{ 7 * 7 }}") == "{{ 7 * 7 }}"
