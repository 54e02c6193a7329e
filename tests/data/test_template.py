"""Specification of a question's template: every field is used, and what is not filled in is an error or plainly text."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from limbeck.data.task import Task
from limbeck.data.template import check_template, fill_template


@pytest.mark.parametrize(
    ("fields", "template"),
    [
        (("问题", "选项"), "{问题}\n{选项}"),
        (("frage", "größe"), "{frage} ({größe})"),
        (("प्रश्न", "विकल्प"), "{प्रश्न}: {विकल्प}"),
        (("سؤال",), "{سؤال}"),
        (("質問 1",), "{質問 1}"),
        (("question (en)", "a.b"), "{question (en)} {a.b}"),
        (("Frage-Text",), "{Frage-Text}"),
    ],
)
def test_names_of_any_script(fields: tuple[str, ...], template: str) -> None:
    """A field of any name is filled in."""
    filled = Task(fields=fields, template=template).render_question({name: f"<{name}>" for name in fields})
    assert filled == template.replace("{", "<").replace("}", ">")


def test_accents_may_be_written_either_way() -> None:
    """A name with an accent is the same name with a composed and a combining character."""
    task = Task(fields=("größe",), template=unicodedata.normalize("NFD", "{größe}"))
    assert task.render_question({"größe": "x"}) == "x"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ premise }} {{ hypothesis }}", r"has '\{\{ premise \}\}', which is not filled in: write \{premise\}"),
        ("{{premise}} {{hypothesis}}", r"has '\{\{premise\}\}', .*write \{premise\}"),
        ("{{ premis }} {premise} {hypothesis}", r"'\{\{ premis \}\}'.*did you mean 'premise'"),
        ("{{ text }} {premise} {hypothesis}", r"'\{\{ text \}\}'.*known: \['premise', 'hypothesis'\]"),
        ("{{{premise}}} {hypothesis}", r"write \{premise\}"),
        ("{{#premise}} {premise} {hypothesis}", r"write \{premise\}"),
        ("{{ premise | trim }} {premise} {hypothesis}", r"write \{premise\}"),
        ("{{ premise.strip() }} {premise} {hypothesis}", r"write \{premise\}"),
        ("{ premise } {hypothesis}", r"has '\{ premise \}', .*write \{premise\}"),
        ("{premise:>10} {hypothesis}", r"has '\{premise:>10\}', .*write \{premise\}"),
        ("{premise!r} {hypothesis}", r"write \{premise\}"),
        ("{premise[0]} {hypothesis}", r"write \{premise\}"),
        ("{premise.text} {hypothesis}", r"write \{premise\}"),
        ("${premise} {hypothesis}", r"has '\$\{premise\}', .*write \{premise\}"),
        ("{premise} {hypotesis}", r"unknown field\(s\) \['hypotesis'\]; known: .*did you mean 'hypothesis'"),
        ("{Premise} {hypothesis}", r"unknown field\(s\) \['Premise'\].*did you mean 'premise'"),
        ("{premise} {hypothesis} {选项}", r"unknown field\(s\) \['选项'\]"),
        ("{premise} {hypothesis} {% if x %}", r"has '\{% if x %\}'"),
        ("{premise}", r"never uses the field\(s\) \['hypothesis'\]: write \{hypothesis\} where it belongs"),
        ("%(premise)s / %(hypothesis)s", r"never uses .*write \{premise\} instead of '%\(premise\)s'"),
        ("$premise {hypothesis}", r"write \{premise\} instead of '\$premise'"),
        ("<premise> {hypothesis}", r"write \{premise\} instead of '<premise>'"),
        ("[[premise]] {hypothesis}", r"write \{premise\} instead of '\[\[premise\]\]'"),
        ("premise, hypothesis", r"never uses the field\(s\) \['premise', 'hypothesis'\]"),
        ("", r"never uses"),
    ],
)
def test_what_is_not_filled_in_is_an_error(template: str, message: str) -> None:
    """A placeholder in a form of another language, a misspelt one, and a field that is never used name what to write."""
    with pytest.raises(ValidationError, match=message):
        Task(fields=("premise", "hypothesis"), template=template)


@pytest.mark.parametrize(
    "text",
    [
        r"\frac{a}{b}",
        r"\sqrt{\frac{x}{2}}",
        r"x^{n} + y_{i}",
        r"\text{if } x",
        r"\begin{align} y \end{align}",
        r"\{1, 2\}",
        "{1, 2}",
        "{}",
        "{ }",
        "{x | x > 0}",
        "{a, b}",
        '{"label": "yes"}',
        '{{"label": "yes"}}',
        "{'a': {'b': 1}}",
        "{yes/no}",
        "{...}",
        "100% of {1}",
        "<x> $5 and $y$",
        "a}b{c",
        "int main() { return 0; }",
        "\\{ y \\}",
    ],
)
def test_other_braces_are_text(text: str) -> None:
    """LaTeX, sets, JSON and code in a template stay as they are."""
    assert Task(template=f"{text}\n{{question}}").render_question({"question": "Q"}) == f"{text.strip()}\nQ".strip()


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        (r"\frac{{a}}{{b}}", r"\frac{1}{2}"),
        (r"\boxed{{a}} and x^{{b}}", r"\boxed{1} and x^{2}"),
        ('{"first": "{a}", "second": {b}}', '{"first": "1", "second": 2}'),
        ("{{a}, {b}}", "{1, 2}"),
        ("${a}$ or ${b}$", "$1$ or $2$"),
        ("{a}{b}{a}", "121"),
    ],
)
def test_placeholders_inside_other_braces(template: str, filled: str) -> None:
    """A field is filled in wherever its name stands in braces, also inside LaTeX, JSON and sets."""
    assert Task(fields=("a", "b"), template=template).render_question({"a": "1", "b": "2"}) == filled


@pytest.mark.parametrize("template", [r"\frac{a}{b} {a} {b}", "x^{a} + {b}", "x_{a} {b}", r"\frac{1}{b} {a}"])
def test_a_field_as_a_latex_argument(template: str) -> None:
    """A field in the braces of a LaTeX argument, which it would lose, is an error that says to double them."""
    with pytest.raises(ValueError, match=r"as an argument of LaTeX, .* write \{\{[ab]\}\} for the field"):
        check_template(template, ("a", "b"))


names = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="{}"), min_size=1, max_size=8).filter(
    lambda name: name.strip() == name
)


@given(st.lists(names, min_size=1, max_size=3, unique_by=lambda name: unicodedata.normalize("NFC", name)), st.text(max_size=40))
def test_what_passes_is_filled_in(fields: list[str], template: str) -> None:
    """If a template passes the check, the question contains every field's value."""
    for text in (template, template + "".join(f" {{{name}}}" for name in fields)):
        try:
            check_template(text, fields)
        except ValueError:
            continue
        values = {name: f"\ue000{place}\ue001" for place, name in enumerate(fields)}
        question = fill_template(text, values)
        assert all(value in question for value in values.values())


@given(st.lists(names, min_size=1, max_size=3, unique_by=lambda name: unicodedata.normalize("NFC", name)))
def test_every_name_can_be_used(fields: list[str]) -> None:
    """A template of plain placeholders passes, whatever the fields are called."""
    check_template(" ".join(f"{{{name}}}" for name in fields), fields)
