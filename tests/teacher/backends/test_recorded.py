"""Specification of the `recorded` backend, which replays earlier replies and charges them as if they were asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support import make_example, make_scope, write_rows

from limbeck.data.example import Example
from limbeck.data.task import Task
from limbeck.errors import ConfigError, DataError
from limbeck.teacher.backends.recorded import RecordedBackend
from limbeck.teacher.client.budget import Budget, BudgetSettings
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.client.teacher import Teacher
from limbeck.teacher.purposes.annotate import annotate
from limbeck.teacher.purposes.synthesize import synthesize
from limbeck.teacher.purposes.until_kept import AskResult
from limbeck.teacher.request import About
from limbeck.teacher.settings import RecordedSettings, TeacherSettings

NUMBER = Task(answer="number")
ANNOTATIONS = [
    {"question": "One and one?", "rationale": "One more than one.", "teacher_answer": "2"},
    {"question": "Two and one?", "rationale": "I guess.", "teacher_answer": "4"},
]
NEW = [{"domain": "d", "question": f"What is {n} and nothing?", "rationale": "Nothing changes.", "answer": n} for n in range(5)]


def make_teacher(
    tmp_path: Path, task: Task = NUMBER, columns: dict[str, str] | None = None, **rows: list[dict[str, Any]]
) -> Teacher:
    files = {name: str(write_rows(tmp_path / f"{name}.jsonl", content)) for name, content in rows.items()}
    settings = TeacherSettings(backend="recorded", model="gpt", recorded=RecordedSettings(columns=columns or {}, **files))  # type: ignore[arg-type]
    ledger = Ledger(tmp_path / "ledger.sqlite")
    return Teacher(
        RecordedBackend(settings, task), ledger, Budget(BudgetSettings(max_examples=99), ledger.sum_spend()), settings
    )


def annotate_all(teacher: Teacher, examples: list[Example], wanted: int, task: Task = NUMBER) -> AskResult:
    return annotate(make_scope(teacher, task), {"d": examples}, {"d": wanted}, is_hinted=True, on_mismatch="reject")


def synthesize_some(teacher: Teacher, wanted: int, stage: int = 0) -> AskResult:
    return synthesize(make_scope(teacher, NUMBER, stage=stage), {"d": [make_example("Seed?", "1")]}, {"d": wanted})


def test_a_recorded_question_is_annotated(tmp_path: Path) -> None:
    """A question is found regardless of case and white space, and gets the rationale and answer of its record."""
    teacher = make_teacher(tmp_path, annotations=ANNOTATIONS)
    (kept,) = annotate_all(teacher, [make_example(" one  and ONE?", "2")], 1).kept
    assert (kept.rationale, kept.teacher_answer) == ("One more than one.", "2")


def test_a_recorded_reply_is_charged(tmp_path: Path) -> None:
    """Each replayed record counts as a request with estimated tokens, and the ledger marks its model as recorded."""
    teacher = make_teacher(tmp_path, annotations=ANNOTATIONS)
    annotate_all(teacher, [make_example("One and one?", "2")], 1)
    (row,) = teacher.ledger.list_requests()
    assert (row["state"], row["model"]) == ("done", "gpt (recorded)")
    assert teacher.budget.spent.requests == 1
    assert teacher.budget.spent.tokens == row["prompt_tokens"] + row["completion_tokens"] > 20


def test_a_recorded_mismatch_is_rejected(tmp_path: Path) -> None:
    """A recorded answer that differs from the gold answer is a mismatch, and the next candidate takes its place."""
    teacher = make_teacher(tmp_path, annotations=ANNOTATIONS)
    harvest = annotate_all(teacher, [make_example("Two and one?", "3"), make_example("One and one?", "2")], 1)
    assert [example.question for example in harvest.kept] == ["One and one?"]
    assert [rejected.reason for rejected in harvest.rejected] == ["answer_mismatch"]


def test_only_recorded_rows_can_be_annotated(tmp_path: Path) -> None:
    """A question without a record is never sent, charged or rejected, and counts as missing."""
    teacher = make_teacher(tmp_path, annotations=ANNOTATIONS)
    assert not teacher.backend.can_answer(About("annotate", 0, "d", (make_example("Unknown?"),)))
    harvest = annotate_all(teacher, [make_example("Unknown?", "1")], 1)
    assert (harvest.kept, harvest.rejected, harvest.missing) == ([], [], {"d": 1})
    assert teacher.budget.spent.requests == 0


def test_synthesized_rows_come_in_order_and_once(tmp_path: Path) -> None:
    """A domain's records are returned in file order across all stages, each once."""
    teacher = make_teacher(tmp_path, synthesized=NEW)
    first, second = synthesize_some(teacher, 2), synthesize_some(teacher, 2, stage=1)
    assert [example.answer for example in first.kept + second.kept] == ["0", "1", "2", "3"]


def test_a_resumed_run_goes_on_with_the_next_record(tmp_path: Path) -> None:
    """A later process that has only the ledger continues after the records that earlier stages used."""
    first = make_teacher(tmp_path, synthesized=NEW)
    synthesize_some(first, 2)
    first.ledger.close()
    again = make_teacher(tmp_path, synthesized=NEW)
    assert [example.answer for example in synthesize_some(again, 2).kept] == ["0", "1"]
    assert [example.answer for example in synthesize_some(again, 2, stage=1).kept] == ["2", "3"]


def test_a_domain_that_runs_dry(tmp_path: Path) -> None:
    """When a domain has no more records, the rest is missing, and nothing is rejected or charged for it."""
    teacher = make_teacher(tmp_path, synthesized=NEW)
    harvest = synthesize_some(teacher, 7)
    assert (len(harvest.kept), harvest.rejected, harvest.missing) == (5, [], {"d": 2})
    assert synthesize_some(teacher, 1, stage=1).missing == {"d": 1}
    assert teacher.budget.spent.requests == 5


def test_columns_are_mapped(tmp_path: Path) -> None:
    """`teacher.recorded.columns` maps our names to the columns of the recorded files."""
    rows = [{"text": "One and one?", "thoughts": "One more.", "said": 2}]
    columns = {"question": "text", "rationale": "thoughts", "teacher_answer": "said"}
    teacher = make_teacher(tmp_path, columns=columns, annotations=rows)
    assert annotate_all(teacher, [make_example("One and one?", "2")], 1).kept[0].rationale == "One more."


def test_tasks_with_several_fields(tmp_path: Path) -> None:
    """A question of several fields is found by the text that the task's template makes of them."""
    task = Task(answer="number", fields=("a", "b"), template="{a} and {b}?")
    rows = [{"a": "One", "b": "one", "rationale": "One more.", "teacher_answer": "2"}]
    teacher = make_teacher(tmp_path, task, annotations=rows)
    assert annotate_all(teacher, [make_example("One and one?", "2")], 1, task).kept


def test_a_rationale_may_hold_the_answer(tmp_path: Path) -> None:
    """If a record has no answer column, the answer at the end of its rationale is used."""
    teacher = make_teacher(tmp_path, annotations=[{"question": "One and one?", "rationale": "One more. So the answer is 2."}])
    (kept,) = annotate_all(teacher, [make_example("One and one?", "2")], 1).kept
    assert (kept.rationale, kept.teacher_answer) == ("One more.", "2")


def test_records_that_contradict_themselves(tmp_path: Path) -> None:
    """A record whose stored answer differs from the one its rationale states (E for "(A) Evaporation") is rejected."""
    rationale = "Water turns to vapour. Thus the answer is (A) Evaporation."
    teacher = make_teacher(
        tmp_path, Task(answer="choice"), annotations=[{"question": "q", "rationale": rationale, "teacher_answer": "E"}]
    )
    harvest = annotate_all(teacher, [make_example("q", "E", answer_type="choice")], 1, Task(answer="choice"))
    assert [rejected.reason for rejected in harvest.rejected] == ["contradicts_itself"]
    assert "ends in 'A', the reply in 'E'" in harvest.rejected[0].detail


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"annotations": [{"question": "q"}]}, r"annotations\.jsonl:1: no text in column 'rationale'; the row has 'question'"),
        ({"annotations": [{"rationale": "r"}]}, r"annotations\.jsonl:1: no text in column 'question'"),
        ({"synthesized": [{"question": "q", "rationale": "r", "answer": "1"}]}, r"no text in column 'domain'"),
        ({"synthesized": [{"domain": "d", "question": "q", "rationale": "r"}]}, r"no text in column 'answer'"),
    ],
)
def test_records_that_lack_a_column(tmp_path: Path, rows: dict[str, list[dict[str, Any]]], message: str) -> None:
    """A record without its question, rationale, domain or answer is an error that names the line and the setting."""
    with pytest.raises(DataError, match=message):
        make_teacher(tmp_path, **rows)


def test_rows_without_a_rationale_are_no_records(tmp_path: Path) -> None:
    """In a data set with solutions for some rows only, just those rows can be annotated."""
    rows = [
        {"question": "Two and two?"},
        {"question": "One and one?", "rationale": "One more.", "teacher_answer": "2"},
        {"question": "One and two?", "rationale": None},
    ]
    file = str(write_rows(tmp_path / "rows.jsonl", rows))
    settings = TeacherSettings(backend="recorded", model="gpt", recorded=RecordedSettings(annotations=file))
    backend = RecordedBackend(settings, NUMBER)
    examples = [make_example(str(each["question"]), "2") for each in rows]
    found = [backend.can_answer(About("annotate", 0, "d", (example,))) for example in examples]
    assert found == [False, True, False]


def test_no_files_at_all() -> None:
    """A recorded teacher without a file is an error that names the settings."""
    with pytest.raises(ConfigError, match=r"needs teacher\.recorded\.annotations"):
        RecordedBackend(TeacherSettings(backend="recorded", model="gpt"), NUMBER)
