"""Specification of `split_at_marker` and `Task.marker`: the answer prefix is found in every script."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.answers.answer_type import COLONS, split_at_marker
from limbeck.data.task import Task


def split(text: str, prefix: str) -> tuple[str, str] | None:
    found = split_at_marker(text, Task(answer_prefix=prefix).marker)
    return None if found is None else (found[0].strip(), found[1].strip())


@pytest.mark.parametrize(
    ("text", "prefix", "parts"),
    [
        ("Two. The answer is: 5", "The answer is: ", ("Two.", "5")),
        ("Two. the answer is：5", "The answer is: ", ("Two.", "5")),
        ("Two. The  answer\nis: 5", "The answer is: ", ("Two.", "5")),
        ("Two. The answer is 5", "The answer is：", ("Two.", "5")),
        ("Two. **The answer is**: 5", "The answer is: ", ("Two. **", "5")),
        ("3+2=5。\n答案: 5", "答案：", ("3+2=5。", "5")),
        ("3+2=5。\n答案：5", "答案: ", ("3+2=5。", "5")),
        ("3+2=5，所以答案是: 5", "答案是: ", ("3+2=5，所以", "5")),
        ("3+2=5，所以答案是5。", "答案是: ", ("3+2=5，所以", "5。")),
        ("3+2=5，所以答案：5", "答案：", ("3+2=5，所以", "5")),
        ("だから答えは5です", "答えは", ("だから", "5です")),
        ("ดังนั้นคำตอบคือ 5", "คำตอบคือ: ", ("ดังนั้น", "5")),
        ("따라서 정답: 5", "정답:", ("따라서", "5")),
        ("Donc la réponse est : 5", "La réponse est : ", ("Donc", "5")),
        ("The student’s answer is: 5", "The student's answer is: ", ("", "5")),
        ("Final: answer: 5", "Final: answer: ", ("", "5")),
        ("Two.\n#### 5", "#### ", ("Two.", "5")),
        ("To answer this, add.\nAnswer: 5", "Answer: ", ("To answer this, add.", "5")),
        ("Add. Answer： 5", "Answer: ", ("Add.", "5")),
        ("这个答案不对。", "答案：", None),
        ("To answer this, add.", "Answer: ", None),
        ("Theanswer is: 5", "The answer is: ", None),
        ("The answer isn't 5", "The answer is: ", None),
        ("Two.", "The answer is: ", None),
        ("Two.", ": ", None),
    ],
)
def test_prefixes_are_found(text: str, prefix: str, parts: tuple[str, str] | None) -> None:
    """Colons, white space and apostrophes match in every form, and words only as a whole in scripts that have spaces."""
    assert split(text, prefix) == parts


@given(
    st.sampled_from(["The answer is", "Answer", "答案", "答案是", "答えは", "คำตอบคือ", "Ответ", "####"]),
    st.sampled_from(COLONS),
    st.sampled_from(["", " ", "\n", " "]),
    st.sampled_from(["2 + 3 = 5.", "所以", "", "So, "]),
)
def test_any_colon_is_a_colon(words: str, colon: str, space: str, before: str) -> None:
    """A prefix that is configured with one colon is found with every other, and with any white space after it."""
    for configured in (*COLONS, ""):
        parts = split(f"{before}\n{words}{colon}{space}5", words + configured)
        assert parts == (before.strip(), "5")


@given(st.text(max_size=60), st.text(max_size=12))
def test_any_marker_can_be_searched(text: str, marker: str) -> None:
    """Any text can be searched for any marker, and what is found are its beginning and its end."""
    found = split_at_marker(text, marker)
    assert found is None or (text.startswith(found[0]) and text.endswith(found[1]))
