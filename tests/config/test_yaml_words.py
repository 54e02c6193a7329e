"""Specification of `limbeck.config.yaml_words`: a config never means something else than what is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.config.config import load_config, make_config
from limbeck.config.safe_yaml import parse_yaml
from limbeck.errors import ConfigError


def load(tmp_path: Path, text: str, *sets: str) -> object:
    path = tmp_path / "c.yaml"
    path.write_text(text, "utf-8")
    return load_config(path, sets)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "task: {answer: label, labels: [yes, no]}",
            'line 1: YAML reads yes as true; put it in quotes, "yes", if it is a text',
        ),
        ("task:\n  labels:\n    on: good\n    off: bad", 'line 3: YAML reads on as true; put it in quotes, "on"'),
        ("task: {labels: [true, false]}", "YAML reads true as true; put it in quotes"),
        ("task: {labels: [null, x]}", "YAML reads null as null; put it in quotes"),
        ("task: {labels: [010, 020]}", 'YAML reads 010 as 8; put it in quotes, "010", if it is a text, or 8 if it is a number'),
        ("task: {labels: [1.0, 1.10]}", "YAML reads 1.10 as 1.1; put it in quotes"),
        ("task: {labels: [12:30]}", "YAML reads 12:30 as 750; put it in quotes"),
        ("task: {labels: [1_000]}", "YAML reads 1_000 as 1000; put it in quotes"),
        ("data: {domains: [No, Yes]}", "YAML reads No as false; put it in quotes"),
        ("data: {columns: {answer: y, question: off}}", "YAML reads off as false; put it in quotes"),
        ("task: {attributes: {tone: [on, off]}}", "YAML reads on as true; put it in quotes"),
        ("task: {noun: no}", "YAML reads no as false; put it in quotes"),
        ("seed: 010", "YAML reads 010 as 8; put it in quotes"),
        ("budget: {max_examples: 1:30}", "YAML reads 1:30 as 90; put it in quotes"),
    ],
)
def test_words_that_yaml_reads_otherwise(tmp_path: Path, text: str, message: str) -> None:
    """What YAML 1.1 reads as another value is an error that names line, value and quotes, where a text is wanted."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert message in str(caught.value)


def test_what_is_quoted_or_harmless_is_read(tmp_path: Path) -> None:
    """Quoted words and simple numbers are labels, and booleans stay booleans where the config wants them."""
    config = load_config(None, ["task.answer=label", "task.labels=['yes', \"no\", 1, 2.5, n/a, ok]"])
    assert list(config.task.labels) == ["yes", "no", "1", "2.5", "n/a", "ok"]
    config = make_config(parse_yaml("student: {lists_labels: no}\nbudget: {max_examples: 1_000}\ndata: {domains: null}", "x"))
    assert (config.student.lists_labels, config.budget.max_examples, config.data.domains) == (False, 1000, None)
    with pytest.raises(ConfigError, match=r"--set task\.labels: .*YAML reads yes as true"):
        load(tmp_path, "name: x", "task.labels=[yes, no]")


@pytest.mark.parametrize("text", ["name: 5", "task: {labels: {1: bad, 5: good}}", "data: {domains: [1, 2]}"])
def test_numbers_where_texts_are_wanted(tmp_path: Path, text: str) -> None:
    """A number where only a text is allowed is an error that tells to put it in quotes."""
    with pytest.raises(ConfigError, match="put it in quotes"):
        load(tmp_path, text)


@given(st.sampled_from("yes Yes NO on Off true False null ~ 0777 0b11 9:59 1.50 .5 1e3 +7 0x1F word 12 a:b".split()))
def test_a_label_is_what_is_written_or_refused(word: str) -> None:
    """A plain word in the list of labels is that label, or it is refused."""
    try:
        config = make_config(parse_yaml(f"task: {{answer: label, labels: [{word}, other]}}", "c.yaml"))
    except ConfigError as error:
        assert "quotes" in str(error)  # noqa: PT017 (either outcome is right)
    else:
        assert list(config.task.labels) == [word, "other"]


@pytest.mark.parametrize("prefix", ["", " ", ":", " : "])
def test_empty_answer_prefixes(prefix: str) -> None:
    """An answer prefix without any sign to search for is refused before a teacher is asked."""
    with pytest.raises(ConfigError, match=r"task\.answer_prefix: .* so no answer can be found"):
        make_config({"task": {"answer_prefix": prefix}})
