"""A server that silently cuts long prompts is reported once, and one that caches them is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limbeck.teacher.backends.scripted import ScriptedBackend
from limbeck.teacher.client.budget import Budget, BudgetSettings
from limbeck.teacher.client.cut_prompts import count_least_tokens
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.client.teacher import Teacher
from limbeck.teacher.request import Reply, TeacherRequest
from limbeck.teacher.settings import TeacherSettings


def ask(tmp_path: Path, prompts: list[str], counts: list[int]) -> list[str]:
    """The notes of a run whose server counts so many tokens in each prompt."""
    notes: list[str] = []
    said = dict(zip(prompts, counts, strict=True))

    def script(request: TeacherRequest) -> Reply:
        return Reply("4", "m", prompt_tokens=said[request.messages[0]["content"]], completion_tokens=1)

    teacher = Teacher(
        ScriptedBackend(script),
        Ledger(tmp_path / "l.sqlite"),
        Budget(BudgetSettings(max_examples=9)),
        TeacherSettings(backend="scripted"),
        on_note=notes.append,
    )
    for prompt in prompts:
        teacher.ask(prompt)
    return [note for note in notes if "cut" in note]


def write(start: str, words: int) -> str:
    return start + " word" * words


def test_a_server_that_cuts_is_reported_once(tmp_path: Path) -> None:
    """The second prompt that is far longer than the server's count raises the warning, with the counts and the remedy."""
    prompts = [write(f"prompt {n}", 6000 + n) for n in range(5)]
    (note,) = ask(tmp_path, [f"{n} {prompt}" for n, prompt in enumerate(prompts)], [2048] * 5)
    assert "counts 2,048 tokens in a prompt that has at least 3,002" in note
    assert "num_ctx" in note


def test_cut_prompts_that_begin_alike(tmp_path: Path) -> None:
    """If long prompts begin alike, the same count for three of them raises the warning."""
    prompts = [write("the same", 6000) + f" end {n}" for n in range(5)]
    assert ask(tmp_path, prompts[:2], [2048] * 2) == []
    (tmp_path / "again").mkdir()
    assert len(ask(tmp_path / "again", prompts, [2048] * 5)) == 1


@pytest.mark.parametrize(
    ("prompts", "counts"),
    [
        ([write(f"{n}", 3000) for n in range(5)], [3100] * 5),  # counted in full
        ([write("the same", 3000) + write(f" {n}", 300 + 9 * n) for n in range(5)], [3400, 310, 319, 328, 337]),  # cached
        (
            [write("the same", 3000) + write(f" {n}", 300 + 9 * n) for n in range(5)],
            [301, 310, 319, 328, 337],
        ),  # by another run
        ([write(f"{n}", 3000) for n in range(5)], [1, 2, 3, 4, 5]),  # all cached
        ([write(f"{n}", 100) for n in range(5)], [7] * 5),  # short
        ([write(f"{n}", 3000) for n in range(5)], [0] * 5),  # no counts
    ],
)
def test_no_false_alarms(tmp_path: Path, prompts: list[str], counts: list[int]) -> None:
    """Full counts, counts without what was cached, and short prompts raise no warning."""
    assert ask(tmp_path, prompts, counts) == []


@given(st.text(max_size=300))
def test_no_tokenizer_goes_under_the_least(text: str) -> None:
    """The bound is at most half the words, or one token for 32 letters where there are no spaces."""
    least = count_least_tokens(text)
    assert 0 <= least <= (len(text) + 1) // 2
    assert count_least_tokens("中" * 320) == 10
    assert count_least_tokens("two words and two more") == 2
