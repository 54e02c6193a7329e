"""Bugs that the fuzzers found, each as a minimal case."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fuzz.runner import watch

from limbeck.answers.equivalence import normalise_math
from limbeck.answers.types import ANSWERS
from limbeck.config.config import load_config
from limbeck.config.safe_yaml import MAX_BYTES
from limbeck.data.readers import read_rows
from limbeck.data.sources import DataSettings, read_examples, read_questions
from limbeck.data.task import Task
from limbeck.errors import ConfigError, DataError
from limbeck.system.worker import Worker, WorkerLost
from limbeck.teacher.purposes import prompts
from limbeck.teacher.purposes.prompts import load_template, render_prompt
from limbeck.teacher.purposes.replies import read_synthesis

BOMB = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "aliases .* are not supported"),
        ("a: &a {x: 1}\nb: &b {<<: [*a, *a]}\nname: &c [*c]", "aliases .* are not supported"),
        ("name: " + "[" * 3_000, "nested too deep"),
        ("task: " + "{a: " * 30 + "1" + "}" * 30, "nested too deep"),
        ("name: " + "x" * MAX_BYTES, "is it a config?"),
        ("name: " + "é" * (MAX_BYTES // 2) + "\nseed: 5", "is it a config?"),
        ("budget: {max_cost_usd: 5}\nbudget: {max_examples: 10}", "key 'budget' is given twice"),
        ("seed: 0x" + "f" * 5_000, "a number of more than 20 digits"),
        ("seed: " + "9" * 5_000, "Exceeds the limit"),
        ('name: "\\ud800"', "half of a character"),
        ('data: {train: "a\\0b"}', "a null character"),
        ("seed: !!int x", "not YAML: line 1: 'x' can't be read as int: invalid literal"),
        ("name: !!python/object/apply:os.system [id]", "not YAML"),
        ("data: {train: ~nobody-is-called-so/x}", "can't be a path"),
        ("data: {train: " + "x" * 5_000 + "}", "can't be a path"),
        ("budget: {max_cost_usd: .inf}", "Input should be a finite number"),
        ("training: {learning_rate: .nan}", "training.learning_rate"),
        ("nam" + "e" * 900 + ": x", "unknown key"),
    ],
)
def test_hostile_configs_are_one_short_line(tmp_path: Path, text: str, message: str) -> None:
    """A config that is a bomb, endless, or contains what no file or path can contain is refused in one short line."""
    path = tmp_path / "config.yaml"
    path.write_text(text, "utf-8")
    with watch(), pytest.raises(ConfigError, match=message) as caught:
        load_config(path)
    assert len(str(caught.value)) < 2_000


@pytest.mark.parametrize(
    "override", ["name=" + "[" * 3_000, "name=&a [*a]", 'name="\\ud800"', "na\0me=x", "data.train=~nobody-is-called-so"]
)
def test_hostile_overrides_are_config_errors(override: str) -> None:
    """A `--set` follows the rules of the config file."""
    with pytest.raises(ConfigError):
        load_config(None, [override])


def test_dates_in_a_config_are_texts(tmp_path: Path) -> None:
    """A value that looks like a date is read as text, and a data folder that does not exist yet is accepted."""
    path = tmp_path / "config.yaml"
    path.write_text("name: 2001-99-99\ndata: {root: nowhere, train: .}")
    config = load_config(path)
    assert (config.name, config.data.train) == ("2001-99-99", str(tmp_path / "nowhere"))


ROW = {"domain": "d", "question": "2 + 2", "answer": "4"}
HALF = '"\\ud83d"'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps(ROW)[:-1] + f', "rationale": {HALF}}}', "the rationale contains half of a character"),
        (json.dumps(ROW)[:-1] + f', "meta": {{"x": {HALF}}}}}', "column 'meta' or 'source' contains half"),
        (json.dumps(ROW)[:-1] + f', "source": {HALF}}}', "column 'meta' or 'source' contains half"),
        (json.dumps(ROW)[:-1] + ', "meta": ' + '{"a": ' * 400 + "1" + "}" * 400 + "}", "rows.jsonl:1: nested too deep"),
    ],
)
def test_rows_that_can_not_be_written_are_refused(tmp_path: Path, text: str, message: str) -> None:
    """A row whose values can't be written to a run folder is refused when it is read."""
    path = tmp_path / "rows.jsonl"
    path.write_text(text + "\n", "utf-8")
    with pytest.raises(DataError, match=message):
        read_examples(path, Task(answer="number"), DataSettings())


def test_unlabelled_rows_that_can_not_be_written_are_refused(tmp_path: Path) -> None:
    """`predict` refuses half of a character in any column, because it writes each whole row with its answer."""
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"question": "2 + 2", "note": {HALF}}}\n')
    with pytest.raises(DataError, match="half of a character"):
        read_questions(path, Task(), DataSettings())


@pytest.mark.parametrize("name", ["a\0b.jsonl", "a\0b", "x" * 5_000, "a\0/b:c"])
def test_names_that_are_no_files_are_data_errors(name: str) -> None:
    """A source with a null character or an overlong name is a data error, like any missing source."""
    with pytest.raises(DataError):
        list(read_rows(name))


def test_a_header_of_very_many_columns(tmp_path: Path) -> None:
    """A header of 50,000 columns, some of them duplicates, is refused quickly in one short line."""
    path = tmp_path / "rows.csv"
    path.write_text(",".join(f"c{number % 40_000}" for number in range(50_000)) + "\n")
    with watch(), pytest.raises(DataError, match="must name each column once") as caught:
        list(read_rows(path))
    assert len(str(caught.value)) < 1_000


SPACES = " " * 50_000


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (lambda text: ANSWERS["number"].read(text, ()), f"1{SPACES}2"),
        (lambda text: ANSWERS["choice"].read_clause(text, ()), f"A{SPACES}x"),
        (lambda text: ANSWERS["text"].read_clause(text, ()), f"a{SPACES}b"),
        (lambda text: ANSWERS["number"].extract(text, (), "The answer is"), f"The answer is: 1{SPACES}x"),
        (lambda text: read_synthesis(text, Task()), f"a{SPACES}b"),
        (lambda text: read_synthesis(text, Task()), f"a\n{SPACES}b"),
        (normalise_math, f"1{SPACES}x1"),
    ],
)
def test_long_runs_of_spaces_take_no_time(read: Callable[[str], object], text: str) -> None:
    """The time to read a reply is linear, not quadratic, in a run of spaces."""
    with watch():
        read(text)


@pytest.mark.parametrize(
    "text",
    [
        "{{ 9 ** (9 ** 9) }}",
        "{{ 'a' * 10 ** 10 }}",
        "{{ range(10 ** 9)|list }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% set s = 'aaaaaaaaaa' %}" + "{% set s = s ~ s ~ s ~ s ~ s ~ s ~ s ~ s ~ s ~ s %}" * 12 + "{{ s }}",
        "{% for a in range(99999) %}{{ question * 100 }}{% endfor %}",
        "{{ '%10000000000d'|format(1) }}",
        "{{ 1 / 0 }}",
        "{{ 1 + 'a' }}",
        "{% include 'x' %}",
        "{{ '\\ud800' }}",
        "{{ question.__class__ }}",
        "{{ " + "(" * 3_000 + ")" * 3_000 + " }}",
    ],
    ids=lambda text: text[:30],
)
def test_hostile_templates_end_as_config_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A template that runs forever, exhausts memory or fails in any way is a config error, and the next one works."""
    monkeypatch.setattr(prompts, "RENDER_TIMEOUT_S", 1.5)
    bad, good = tmp_path / "bad.jinja", tmp_path / "good.jinja"
    bad.write_text(text)
    good.write_text("{{ question }}")
    with pytest.raises(ConfigError, match=r"teacher\.templates\.annotate"):
        render_prompt(load_template("annotate", bad), "annotate", question="q")
    monkeypatch.setattr(prompts, "RENDER_TIMEOUT_S", 30.0)
    assert render_prompt(load_template("annotate", good), "annotate", question="q") == "q"


def test_a_file_in_the_working_folder_is_no_library(tmp_path: Path) -> None:
    """A worker imports nothing from the working folder, where a file may have the name of a library."""
    (tmp_path / "jinja2.py").write_text("open('was-here', 'w')")
    (tmp_path / "t.jinja").write_text("{{ question }}")
    code = (
        "from pathlib import Path; from limbeck.teacher.purposes.prompts import load_template, render_prompt; "
        "print(render_prompt(load_template('annotate', Path('t.jinja')), 'annotate', question='q'))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "q\n"
    assert not (tmp_path / "was-here").exists()


def test_a_lost_worker_is_replaced() -> None:
    """A worker that hangs is lost for that question only, and a new one answers the next."""
    worker, same = Worker(), "limbeck.answers.symbolic:is_same_value"
    try:
        assert worker.ask(same, ["1", "1.0"], 60) is True
        assert worker._process is not None
        os.kill(worker._process.pid, 19)  # SIGSTOP: it hangs
        begin = time.monotonic()
        with pytest.raises(WorkerLost, match=r"no answer within 0\.2 s"):
            worker.ask(same, ["1", "2"], 0.2)
        assert time.monotonic() - begin < 30
        assert worker.ask(same, ["0.5", r"\frac{1}{2}"], 60) is True
    finally:
        worker.stop()
