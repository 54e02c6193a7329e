"""Specification of how chat templates are rendered: no dates, no surprises, and thoughts that are closed."""

from __future__ import annotations

import datetime
from pathlib import Path
from unittest import mock

import pytest
from tests.support import CHAT_TEMPLATES, CHATML, make_example, make_tokenizer
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

from limbeck.data.task import Task
from limbeck.engines.local import check_student
from limbeck.errors import ConfigError
from limbeck.student.chat_template import check_template, find_thought_end, fix_date, render_chat
from limbeck.student.encode import Encoder
from limbeck.student.model import load_tokenizer
from limbeck.student.settings import StudentSettings, TrainingSettings

TASK = Task(answer="number")
EXAMPLE = make_example("1 + 1?", "2", rationale="One and one.")
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + CHATML
NO_ASSISTANT = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{{ raise_exception('users only') }}{% endif %}{% endfor %}" + CHATML
)
DATED = "{% if strftime_now is defined %}Today: {{ strftime_now('%d %b %Y, %A %-d %B') }}\n{% endif %}" + CHATML


def make(template: str) -> PreTrainedTokenizerFast:
    tokenizer = make_tokenizer()
    tokenizer.chat_template = template
    return tokenizer


class Later(datetime.datetime):
    """A clock that is years ahead."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Later:
        return cls(2031, 1, 2, tzinfo=tz)


# Turns


def test_a_refused_system_message_names_the_setting() -> None:
    """A template that refuses system messages is an error that names student.system, the template's words and a remedy."""
    remedy = r"student\.system: .* refuses a system message \(TemplateError: System role not supported\); .*task\.instruction"
    with pytest.raises(ConfigError, match=remedy):
        check_template(make(NO_SYSTEM), "Be brief.")
    with pytest.raises(ConfigError, match=remedy):
        Encoder(make(NO_SYSTEM), TASK, system="Be brief.").encode(EXAMPLE)


def test_without_a_system_message_it_is_no_error() -> None:
    """The same template is fine if no system message is set."""
    check_template(make(NO_SYSTEM), None)
    assert Encoder(make(NO_SYSTEM), TASK).encode(EXAMPLE).ids


def test_a_refused_answer_is_an_error() -> None:
    """A template that refuses assistant messages can't show what the student must write."""
    with pytest.raises(ConfigError, match=r"refuses an assistant message \(TemplateError: users only\); choose a student"):
        check_template(make(NO_ASSISTANT), None)
    with pytest.raises(ConfigError, match="refuses an assistant message"):
        Encoder(make(NO_ASSISTANT), TASK).encode(EXAMPLE)


@pytest.mark.parametrize(
    ("template", "role"),
    [
        ("{% for m in messages %}{% if m.role != 'system' %}[{{ m.role }}]{{ m.content }}{% endif %}{% endfor %}", "system"),
        ("{% for m in messages %}{% if m.role != 'user' %}[{{ m.role }}]{{ m.content }}{% endif %}{% endfor %}", "user"),
        ("{% for m in messages %}{% if m.role != 'assistant' %}{{ m.content }}{% endif %}{% endfor %}", "assistant"),
    ],
)
def test_a_message_that_is_left_out_is_an_error(template: str, role: str) -> None:
    """A template that silently leaves out a message is refused like one that raises."""
    with pytest.raises(ConfigError, match=f"leaves the {role} message out"):
        check_template(make(template), "Be brief.")


@pytest.mark.parametrize("template", ["{{ messages[7].content.x.y }}", "{{ 1 / 0 }}", "{% if %}", "{{ 1 + 'a' }}", "{{ x.y }}"])
def test_a_broken_template_is_an_error(template: str) -> None:
    """Whatever a template's code raises, the user reads one ConfigError."""
    with pytest.raises(ConfigError, match="can't render a conversation"):
        render_chat(make(template), [{"role": "user", "content": "q"}])


@pytest.mark.parametrize("template", CHAT_TEMPLATES)
def test_known_templates_pass(template: str) -> None:
    """The templates of the common families take every turn."""
    check_template(make_tokenizer(template), "Be brief.")


def test_a_student_is_checked_before_anything_is_asked(tiny_folder: Path, tmp_path: Path) -> None:
    """The engine's check, which runs before the teacher is asked, refuses the template."""
    for file in tiny_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    make(NO_SYSTEM).save_pretrained(tmp_path)
    check_student(StudentSettings(model=str(tmp_path)), TrainingSettings())
    with pytest.raises(ConfigError, match=r"student\.system"):
        check_student(StudentSettings(model=str(tmp_path), system="Be brief."), TrainingSettings())


# Dates


def test_prompts_are_the_same_on_every_day() -> None:
    """A template that prints today's date prints 26 July 2024 in its own format."""
    encoder = Encoder(make(DATED), TASK)
    first = encoder.tokenizer.decode(encoder.encode(EXAMPLE).prompt)
    chat_template_utils._compile_jinja_template.cache_clear()
    with mock.patch.object(chat_template_utils, "datetime", Later):
        assert "2031" in str(make(DATED).apply_chat_template([{"role": "user", "content": "q"}], tokenize=False))
        assert encoder.tokenizer.decode(Encoder(make(DATED), TASK).encode(EXAMPLE).prompt) == first
    chat_template_utils._compile_jinja_template.cache_clear()
    assert first.startswith("Today: 26 Jul 2024, Friday 26 July\n")


@pytest.mark.parametrize("form", [*"aAbBcdFHIjmMpSTuUVwWxXyY%", "-d", "-m"])
def test_the_fixed_date_follows_its_format(form: str) -> None:
    """Every directive of a date is filled in as Python fills it in for 26 July 2024."""
    rendered = render_chat(make(f"{{{{ strftime_now('%{form}') }}}}"), [{"role": "user", "content": "q"}])
    assert rendered == datetime.datetime(2024, 7, 26).strftime(f"%{form}")


@pytest.mark.parametrize("template", ["\n  {% if true %}x{% endif %}\n", "  {% set d = 1 %}\n\ny", "{{- 'z' }}"])
def test_fixing_a_date_changes_nothing_else(template: str) -> None:
    """White space at the start of a dated template is kept; other templates stay as they are; fixing twice is fixing once."""
    dated = template + "{% if false %}{{ strftime_now('%d') }}{% endif %}"
    messages = [{"role": "user", "content": "q"}]
    assert render_chat(make(dated), messages) == make(dated).apply_chat_template(messages, tokenize=False)
    assert fix_date(template) == template
    assert fix_date(fix_date(dated)) == fix_date(dated) != dated


def test_a_saved_student_keeps_the_fixed_date(tmp_path: Path) -> None:
    """A loaded tokenizer prints the fixed date by itself, so whoever serves the saved student sends the same prompts."""
    make(DATED).save_pretrained(tmp_path)
    loaded = load_tokenizer(StudentSettings(model=str(tmp_path)))
    rendered = loaded.apply_chat_template([{"role": "user", "content": "q"}], tokenize=False)
    assert str(rendered).startswith("Today: 26 Jul 2024")


# Thoughts


@pytest.mark.parametrize(
    ("prompt", "end"),
    [
        ("<assistant><think>\n", "\n</think>\n\n"),
        ("<thinking>", "\n</thinking>\n\n"),
        ("[THINK]", "\n[/THINK]\n\n"),
        ("<seed:think>\n", "\n</seed:think>\n\n"),
        ("<think>\n\n</think>\n\n", ""),
        ("Write <think> first.\n<assistant>", ""),
        ("<assistant>\n", ""),
    ],
)
def test_what_closes_a_thought(prompt: str, end: str) -> None:
    """Only a thought that the prompt's last words open is closed, in the form in which it was opened."""
    assert find_thought_end(prompt) == end


@pytest.mark.parametrize("is_special", [True, False])
@pytest.mark.parametrize(("opening", "closing"), [("<think>\n", "</think>"), ("[THINK]", "[/THINK]")])
def test_an_open_thought_is_closed_in_every_completion(opening: str, closing: str, is_special: bool) -> None:
    """If the generation prompt opens a thought, completions close it first, and decoded outputs begin after it."""
    tokenizer = make(CHATML.replace("assistant\n{% endif %}", f"assistant\n{opening}{{% endif %}}"))
    if is_special:
        tokenizer.add_special_tokens({"additional_special_tokens": [opening.strip(), closing]})
    encoder = Encoder(tokenizer, TASK)
    for text in ("One and one.\nThe answer is: 2", f"the mark {closing} in a text"):
        ids = encoder.encode_completion(text)
        assert tokenizer.decode(ids) == f"\n{closing}\n\n{text}<|im_end|>"
        assert encoder.decode(ids) == text
    assert encoder.decode(encoder.plain_text.encode("cut off")) == "cut off"
