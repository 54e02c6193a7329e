"""Specification of `limbeck.planner.tokens`: a plan counts tokens like the teacher if its tokenizer is available."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support import CHAT_TEMPLATES, make_tokenizer

from limbeck.planner.tokens import BYTES, CHAT_TOKENS, load_counter
from limbeck.teacher.settings import TeacherSettings

CHAT = [
    {"role": "user", "content": "What is 12 + 30?"},
    {"role": "assistant", "content": "42"},
    {"role": "user", "content": "And 5  times\n7 — 好?"},
]


@pytest.mark.parametrize("family", ["chatml", "llama3", "gemma", "mistral"])
def test_a_tokenizer_folder_counts_its_chat_template(tmp_path: Path, family: str) -> None:
    """A request's conversation is counted with the chat template next to `teacher.tokenizer`."""
    tokenizer = make_tokenizer(family)
    tokenizer.save_pretrained(tmp_path)
    for given in (tmp_path, tmp_path / "tokenizer.json"):
        counter = load_counter(TeacherSettings(tokenizer=given))
        ids = tokenizer.apply_chat_template(CHAT, add_generation_prompt=True, tokenize=True, return_dict=True)["input_ids"]
        assert counter.count_prompt(CHAT) == len(ids)


@pytest.mark.parametrize("template", [None, "{{ tools[0].name }}", "{{ 1 / 0 }}", "{% for %}", "{{ raise_exception('no') }}"])
def test_templates_that_are_not_known(tmp_path: Path, template: str | None) -> None:
    """If a chat template is missing or needs more than messages, each message counts a few tokens more than its text."""
    tokenizer = make_tokenizer()
    tokenizer.chat_template = template
    tokenizer.save_pretrained(tmp_path)
    counter = load_counter(TeacherSettings(tokenizer=tmp_path))
    assert counter.template_name == f"{CHAT_TOKENS} tokens a message"
    assert counter.count_prompt([{"role": "user", "content": "abc"}]) == 3 + CHAT_TOKENS


def test_bytes_where_no_tokenizer_is_here() -> None:
    """A teacher behind an API is counted at four bytes per token, and the counter reports that it is not exact."""
    counter = load_counter(TeacherSettings(backend="openai_compatible", base_url="http://127.0.0.1:9/v1", model="m"))
    assert (counter.count("12345"), counter.count_prompt(CHAT[:1]), counter.name, counter.is_exact) == (2, 12, BYTES, False)
    assert CHAT_TEMPLATES["none"][0] is None
