"""Specification of `limbeck.data.sources`: files become examples, and every error names file and line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import write_rows

from limbeck.answers.identity import make_key, merge_spellings
from limbeck.data.cells import MISSING_WORDS
from limbeck.data.example import make_example_id
from limbeck.data.json_rows import read_jsonl
from limbeck.data.sources import DataSettings, Reading, read_examples, read_labelled, read_questions
from limbeck.data.task import Task
from limbeck.errors import ConfigError, DataError

NUMBER = Task(answer="number")
GOOD = b'{"domain": "a", "question": "q1", "answer": "1"}\n'
Read = Callable[..., Reading]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file that a test writes its rows to."""
    return tmp_path / "rows.jsonl"


@pytest.fixture
def read(file: Path) -> Read:
    """A function that writes rows or bytes to the file and reads them as examples."""

    def read_back(content: bytes | list[dict[str, Any]], task: Task = NUMBER, **values: Any) -> Reading:  # noqa: ANN401
        if isinstance(content, bytes):
            file.write_bytes(content)
        else:
            write_rows(file, content)
        return read_examples(file, task, DataSettings(**values))

    return read_back


def row(**changes: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"domain": "a", "question": "q1", "answer": "1", **changes}


def test_a_row_becomes_an_example(read: Read) -> None:
    """A row becomes an example with its domain, fields, question, canonical answer, rationale, meta and source."""
    content = [row(question=" What? ", answer="1,000", rationale="Because.", meta={"level": 3}, source="web", id="ignored")]
    (example,) = read(content).examples
    assert example.id == make_example_id("a", {"question": "What?"})
    assert (example.domain, example.question, example.fields) == ("a", "What?", {"question": "What?"})
    assert (example.answer, example.answer_type, example.rationale) == ("1000", "number", "Because.")
    assert example.meta == {"level": 3, "source": "web"}
    assert example.provenance.kind == "real"
    assert (example.stage, example.teacher_answer) == (None, None)


def test_examples_keep_the_order_of_the_file(read: Read) -> None:
    """Examples keep the order of the file, and so do the domain counts."""
    reading = read([row(domain=domain, question=f"q{number}") for number, domain in enumerate("baacab")])
    assert [example.domain for example in reading.examples] == ["b", "a", "a", "c", "a", "b"]
    assert dict(reading.domains) == {"b": 2, "a": 3, "c": 1}
    assert reading.repeat_count == 0


def test_repeats_are_collapsed_and_counted(read: Read) -> None:
    """Of rows with the same domain and fields the first becomes the example, and the others are counted."""
    reading = read([row(source="x"), row(question="q2"), row(source="y"), row(answer="1.0"), row(domain="b")])
    assert [(example.domain, example.question) for example in reading.examples] == [("a", "q1"), ("a", "q2"), ("b", "q1")]
    assert reading.examples[0].meta == {"source": "x"}
    assert reading.repeat_count == 2
    assert dict(reading.domains) == {"a": 2, "b": 1}


def test_contradicting_repeats(file: Path, read: Read) -> None:
    """Two answers to one question are an error that names both lines and both answers."""
    message = rf"{re.escape(str(file))}:4: answer '2' contradicts line 1, which gives '1' for the same question"
    with pytest.raises(DataError, match=message):
        read([row(), row(question="q2"), row(), row(answer="2")])


@pytest.mark.parametrize(
    ("answer_type", "first", "second"),
    [("text", "Paris", "paris"), ("text", "The cat", "the cat."), ("math", "\\frac{1}{2}", "\\dfrac{1}{2}")],
)
def test_repeats_with_equal_answers(read: Read, answer_type: str, first: str, second: str) -> None:
    """Repeats whose answers are equal by the rule of their type do not contradict each other."""
    reading = read([row(answer=first), row(answer=second)], Task(answer=answer_type))
    assert [example.answer for example in reading.examples] == [first]
    assert reading.repeat_count == 1


def test_golds_of_repeats_are_joined(read: Read) -> None:
    """A repeat adds its other gold answers to the example; those equal to a known one are not added."""
    content = [row(answers=["x", "y"]), row(answers=["y", "z", "X"])]
    for one in content:
        del one["answer"]
    (example,) = read(content, Task(answer="text")).examples
    assert (example.answer, example.meta["other_answers"]) == ("x", ["y", "z"])


def test_columns_by_other_names(read: Read) -> None:
    """Each of our names can be mapped to a column with another name."""
    content = [{"topic": "a", "text": "q1", "label": "7", "why": "Because."}]
    columns = {"domain": "topic", "question": "text", "answer": "label", "rationale": "why"}
    (example,) = read(content, columns=columns).examples
    assert (example.domain, example.question, example.answer, example.rationale) == ("a", "q1", "7", "Because.")


def test_dotted_columns(read: Read) -> None:
    """A dotted name refers to a key inside the object in a column, at any depth, and may be one of several alternatives."""
    content = [
        {"meta": {"topic": "a", "equation": "3 + 4", "inner": {"text": "q1"}, "type": "equation"}},
        {"meta": {"topic": "a", "inner": {"text": "q2"}}, "plain": "7"},
        {"meta": {"topic": "a", "equation": "8", "inner.text": "q3"}, "meta.equation": "9"},
    ]
    columns = {
        "domain": "meta.topic",
        "question": "meta.inner.text",
        "answer": ["meta.equation", "plain"],
        "answer_type": "meta.type",
        "rationale": "meta.equation",
    }
    examples = read(content, columns=columns).examples
    assert [example.question for example in examples] == ["q1", "q2", "q3"]
    assert [(example.answer, example.answer_type) for example in examples] == [
        ("3 + 4", "equation"),
        ("7", "number"),
        ("9", "number"),
    ]
    assert [example.rationale for example in examples] == ["3 + 4", None, "9"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "no column 'meta.equation.value'; the row has 'domain', 'question', 'answer'"),
        ({"meta": None}, "no column 'meta.equation.value'; the row has 'domain', 'question', 'answer', 'meta'"),
        ({"meta": {}}, "no column 'meta.equation.value'; 'meta' has none"),
        ({"meta": {"equation": 3, "b": 4}}, "no column 'meta.equation.value'; 'meta' has 'equation', 'b'"),
        ({"meta": {"equation": {"c": 3}}}, "no column 'meta.equation.value'; 'meta.equation' has 'c'"),
        ({"meta": {"equation": {"value": [3]}}}, "column 'meta.equation.value' is empty or not a plain value: [3]"),
    ],
)
def test_missing_dotted_column(file: Path, read: Read, changes: dict[str, Any], message: str) -> None:
    """A missing dotted column is an error with its full name and the keys of the innermost object found."""
    with pytest.raises(DataError) as caught:
        read([row(**changes)], columns={"answer": "meta.equation.value"})
    assert str(caught.value) == f"{file}:1: {message}"


def test_template_of_fields(read: Read) -> None:
    """The fields of the task are read from their columns, joined by the template, and determine the id."""
    task = Task(answer="label", labels=["yes", "no"], fields=("premise", "hypothesis"), template="{premise} / {hypothesis}?")
    (example,) = read([{"domain": "rte", "premise": "It rains", "hypothesis": "It is wet", "answer": "Yes"}], task).examples
    assert example.question == "It rains / It is wet?"
    assert example.answer == "yes"
    assert example.id == make_example_id("rte", {"premise": "It rains", "hypothesis": "It is wet"})


def test_domain_from_the_answer(read: Read) -> None:
    """With ``domain: answer``, examples are grouped by their canonical answers and need no domain column."""
    content = [
        {"question": "q1", "answer": "Earn."},
        {"question": "q2", "answer": "money"},
        {"question": "q3", "answer": "earn"},
    ]
    reading = read(content, Task(answer="label", labels=["earn", "money"]), domain="answer")
    assert dict(reading.domains) == {"earn": 2, "money": 1}


@pytest.mark.parametrize(
    ("given_type", "answer", "answer_type", "stored"),
    [
        ("letter", "(B)", "choice", "B"),
        ("latex", "$\\frac{1}{2}$", "math", "\\frac{1}{2}"),
        ("text", "Paris", "text", "Paris"),
        ("number", "2.50", "number", "2.5"),
        (None, "7", "number", "7"),
    ],
)
def test_answer_type_by_row(read: Read, given_type: str | None, answer: str, answer_type: str, stored: str) -> None:
    """A row's own answer type overrides the task's; "letter" and "latex" mean choice and math."""
    (example,) = read([row(answer=answer, answer_type=given_type)]).examples
    assert (example.answer_type, example.answer) == (answer_type, stored)


@pytest.mark.parametrize(("value", "answer"), [(5, "5"), (2.5, "2.5"), (0, "0"), (-3, "-3"), (0.00001, "0.00001")])
def test_answers_may_be_json_numbers(read: Read, value: float, answer: str) -> None:
    """An answer may be a JSON number, including zero and very small ones."""
    assert read([row(answer=value)]).examples[0].answer == answer


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + GOOD,
        b"\n \n" + GOOD + b"\n\t\n",
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.rstrip(),
        b"\r\n\r\n" + GOOD,
    ],
    ids=["byte-order mark", "blank lines", "Windows line ends", "no last line end", "leading blank lines"],
)
def test_tolerated_files(read: Read, content: bytes) -> None:
    """A byte-order mark, blank lines, Windows line ends and a missing last line end are accepted."""
    reading = read(content)
    assert [(example.question, example.answer) for example in reading.examples] == [("q1", "1")]


def test_lines_are_counted_with_blank_ones(file: Path) -> None:
    """Line numbers count blank lines."""
    file.write_bytes(b'\n{"a": 1}\n\n\n{"b": "\xc3\xa9"}\n')
    assert list(read_jsonl(file)) == [(f"{file}:2", {"a": 1}), (f"{file}:5", {"b": "é"})]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"domain": "a", "question":', "not JSON at column 28"),
        (b"plain text", "not JSON at column 1"),
        (b"[1, 2]", "expected a JSON object, found list"),
        (b"5", "expected a JSON object, found int"),
        (b"null", "expected a JSON object, found NoneType"),
        (b'{"question": "\xff"}', "not UTF-8 at byte 14 of the line"),
        (b'{"a":' * 100_000, "not JSON: nested too deep"),
        (b'{"domain": "a", "answer": "1"}', "no column 'question'; the row has 'domain', 'answer'"),
        (b'{"question": "q", "answer": "1"}', "no column 'domain'; the row has 'question', 'answer'"),
        (b'{"question": "q", "domain": "a"}', "no column 'answer'; the row has 'question', 'domain'"),
        (b"{}", "no column 'question'; the row has none"),
        (b'{"domain": " ", "question": "q", "answer": "1"}', "column 'domain' is empty or not a plain value: ' '"),
        (b'{"domain": "a", "question": "", "answer": "1"}', "column 'question' is empty or not a plain value: ''"),
        (b'{"domain": "a", "question": "q", "answer": null}', "column 'answer' is empty or not a plain value: None"),
        (b'{"domain": "a", "question": ["q"], "answer": "1"}', "column 'question' is empty or not a plain value: ['q']"),
        (b'{"domain": "a", "question": "q", "answer": "many"}', "answer 'many' is not a number"),
        (b'{"domain": "a", "question": "q", "answer": "x1", "answer_type": "letter"}', "answer 'x1' is not a choice"),
        (
            b'{"domain": "a", "question": "q", "answer": "x", "answer_type": "label"}',
            "answer 'x' is not a label (one of: y, z)",
        ),
        (
            b'{"domain": "a", "question": "q", "answer": "1", "answer_type": "haiku"}',
            "unknown answer type 'haiku'. Known: number",
        ),
        (b'{"domain": "a", "question": "q", "answer": "1", "meta": 3}', "column 'meta' must be an object, found int"),
    ],
)
def test_errors_name_file_and_line(file: Path, read: Read, line: bytes, message: str) -> None:
    """Every fault of a line is an error that names the file, the line and what is wrong."""
    with pytest.raises(DataError) as caught:
        read(b"\n" + GOOD + line + b"\n", Task(answer="number", labels=["y", "z"]))
    assert str(caught.value).startswith(f"{file}:3: {message}")


@pytest.mark.parametrize("digits", ["1" * 5000, '"' + "1" * 5000 + '"'], ids=["JSON number", "text"])
def test_endless_number_in_a_row(file: Path, read: Read, digits: str) -> None:
    """A number with thousands of digits is read, or is an error that names file and line."""
    try:
        reading = read(f'{{"domain": "a", "question": "q", "answer": {digits}}}'.encode())
    except DataError as error:
        assert str(error).startswith(f"{file}:1: ")  # noqa: PT017 (either outcome is right)
    else:
        assert reading.examples[0].answer == "1" * 5000


@pytest.mark.parametrize("content", [b"", b"\n\n \n"])
def test_file_without_rows(file: Path, read: Read, content: bytes) -> None:
    """A file without any row is an error that names it."""
    with pytest.raises(DataError, match=rf"^{re.escape(str(file))}: no rows$"):
        read(content)
    with pytest.raises(DataError, match=rf"^{re.escape(str(file))}: no rows$"):
        read_questions(file, NUMBER, DataSettings())


def test_missing_file(tmp_path: Path) -> None:
    """A missing file or a folder without a data set is an error that names it."""
    (tmp_path / "folder.jsonl").mkdir()
    for name, reason in (
        ("none.jsonl", "No such file or directory"),
        ("folder.jsonl", "this folder contains no data set saved by `datasets`.*"),
    ):
        path = tmp_path / name
        with pytest.raises(DataError, match=rf"^{re.escape(str(path))}: {reason}$"):
            read_examples(path, NUMBER, DataSettings())


@given(st.lists(st.binary(max_size=30) | st.sampled_from([GOOD, b"\n", b'{"a": 1}', b"[]", b"\xef\xbb\xbf"]), max_size=4))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_rows_or_a_data_error(file: Path, pieces: list[bytes]) -> None:
    """Any file content gives examples or a data error that names the file."""
    file.write_bytes(b"".join(pieces))
    try:
        reading = read_examples(file, NUMBER, DataSettings())
    except DataError as error:
        assert str(error).startswith(str(file))  # noqa: PT017 (either outcome is right)
    else:
        assert [example.question for example in reading.examples] == ["q1"]


cells = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
    lambda text: make_key(text) and text.strip() not in MISSING_WORDS
)


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_row_is_kept_or_counted(file: Path, pairs: list[tuple[str, str]]) -> None:
    """Examples and repeats add up to the rows, and the domain counts add up to the examples."""
    write_rows(file, [{"domain": domain, "question": question, "answer": 1} for domain, question in pairs])
    reading = read_examples(file, NUMBER, DataSettings())
    assert len(reading.examples) + reading.repeat_count == len(pairs)
    assert sum(reading.domains.values()) == len(reading.examples)
    names = merge_spellings(domain.strip() for domain, _ in pairs)
    wanted = {(names[domain.strip()], question.strip()) for domain, question in pairs}
    assert {(example.domain, example.question) for example in reading.examples} == wanted


# Unlabelled rows


def test_questions_need_no_answer(file: Path) -> None:
    """Unlabelled rows give their questions and all of their columns, repeats included."""
    content = [{"question": " q1 ", "id": 7}, {"question": "q1"}]
    assert read_questions(write_rows(file, content), NUMBER, DataSettings()) == [(row, "q1", "number") for row in content]


def test_unlabelled_row_without_question(file: Path) -> None:
    """An unlabelled row without its question is an error that names file and line."""
    write_rows(file, [{"question": "q"}, {"answer": "1"}])
    with pytest.raises(DataError, match=rf"^{re.escape(str(file))}:2: no column 'question'"):
        read_questions(file, NUMBER, DataSettings())


# Labels from the data


def test_labels_are_collected(file: Path) -> None:
    """A label task that lists no labels gets those of its training data, sorted."""
    write_rows(file, [{"question": "t", "topic": topic} for topic in ("earn", "acq", " earn ", "money-fx")])
    settings = DataSettings(train=str(file), columns={"answer": "topic"}, domain="answer")
    task, _ = read_labelled(Task(answer="label"), settings)
    assert list(task.labels) == ["acq", "earn", "money-fx"]


def test_labels_that_look_alike_are_noted(file: Path) -> None:
    """Collected labels that differ only in what joins their words, or in the zeros of a number, are named in a note."""
    write_rows(file, [{"question": f"q{label}", "answer": label} for label in ("not_so", "not so", "1", "1.0", "2")])
    _, reading = read_labelled(Task(answer="label"), DataSettings(train=str(file), domain="none"))
    assert [note.split(" differ only")[0] for note in reading.notes] == [
        "rows.jsonl: the labels '1' and '1.0'",
        "rows.jsonl: the labels 'not so' and 'not_so'",
    ]


def test_labels_of_a_file_without_a_pool(file: Path) -> None:
    """Without a pool, labels are collected from the held-out split that is read."""
    write_rows(file, [{"question": "q1", "answer": "yes"}, {"question": "q2", "answer": "no"}])
    settings = DataSettings(test=str(file), domain="none")
    assert list(read_labelled(Task(answer="label"), settings, "test")[0].labels) == ["no", "yes"]
    with pytest.raises(ConfigError, match=r"data\.human is not set"):
        read_labelled(Task(answer="label"), settings, "human")


def test_numeric_labels_are_collected(file: Path) -> None:
    """The labels 0 and 1, written as JSON numbers, are both collected."""
    write_rows(file, [{"question": "q1", "answer": 0}, {"question": "q2", "answer": 1}])
    settings = DataSettings(train=str(file), domain="answer")
    task, reading = read_labelled(Task(answer="label"), settings)
    assert list(task.labels) == ["0", "1"]
    assert [example.answer for example in reading.examples] == ["0", "1"]
    assert reading == read_examples(file, task, settings)


def test_labels_that_are_listed_stay(file: Path) -> None:
    """Labels listed by the task are kept, and a task of another type gets none."""
    write_rows(file, [row(answer="1")])
    settings = DataSettings(train=str(file))
    assert list(read_labelled(Task(answer="label", labels=["1", "2"]), settings)[0].labels) == ["1", "2"]
    assert read_labelled(NUMBER, settings)[0].labels == {}


def test_settings_reject_unknown_keys() -> None:
    """A misspelt key of the data settings is an error."""
    with pytest.raises(ValueError, match="tset"):
        DataSettings(**json.loads('{"tset": "test.jsonl"}'))


def test_only_some_domains(read: Read) -> None:
    """With `domains`, rows of other domains are skipped, even if their questions and answers are faulty."""
    content = [row(), row(domain="b", answer="no number"), row(domain="c", question="q3"), row(domain="b", question="")]
    reading = read(content, domains=["c", "a"])
    assert dict(reading.domains) == {"a": 1, "c": 1}
    assert reading.digest == read([content[0], content[2]]).digest


def test_only_some_answers_as_domains(file: Path, read: Read) -> None:
    """With ``domain: answer``, labels are collected from the kept rows only, and other labels are not an error."""
    content = [{"question": "q1", "answer": "earn"}, {"question": "q2", "answer": "acq"}, {"question": "q3", "answer": "ship"}]
    write_rows(file, content)
    settings = DataSettings(train=str(file), domain="answer", domains=("acq", "earn"))
    task, reading = read_labelled(Task(answer="label"), settings)
    assert list(task.labels) == ["acq", "earn"]
    assert [example.answer for example in reading.examples] == ["earn", "acq"]
    named = Task(answer="label", labels={"Earn": "profits"})
    reading = read_examples(file, named, DataSettings(domain="answer", domains=("Earn",)))
    assert [example.domain for example in reading.examples] == ["Earn"]


def test_unknown_domains_to_keep(file: Path, read: Read) -> None:
    """A domain without training rows is an error that lists the known ones; a held-out source may lack some, but not all."""
    message = r"data\.domains lists 'z', but no row has such a domain; known: 'a', 'b'"
    content = [row(), row(domain="b")]
    with pytest.raises(DataError, match=message):
        read(content, domains=["a", "z"])
    settings = DataSettings(domains=("a", "z"))
    assert dict(read_examples(file, NUMBER, settings, "test").domains) == {"a": 1}
    with pytest.raises(DataError, match=message):
        read_examples(file, NUMBER, DataSettings(domains=("z",)), "test")
    with pytest.raises(DataError, match=message):
        read_labelled(Task(answer="label"), DataSettings(train=str(file), domains=("a", "z")))
    with pytest.raises(DataError, match="known: 'all'"):
        read_examples(file, NUMBER, DataSettings(domain="none", domains=("a",)))


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=12), st.sets(st.sampled_from("abc"), min_size=1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_keeping_domains_is_leaving_out_the_others(file: Path, domains: list[str], kept: set[str]) -> None:
    """Reading with `domains` gives the same result, ids included, as reading a file without the other rows."""
    content = [row(domain=domain, question=f"q{number}") for number, domain in enumerate(domains)]
    wanted = [each for each in content if each["domain"] in kept]
    if not wanted:
        return
    write_rows(file, content)
    found = read_examples(file, NUMBER, DataSettings(domains=tuple(kept)), "test")
    write_rows(file, wanted)
    assert found == read_examples(file, NUMBER, DataSettings(), "test")
