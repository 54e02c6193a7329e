"""Specification of `limbeck.teacher.finish`: every provider's word for how a reply ended."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import make_example

from limbeck.teacher.backends.http_parts import read_finish
from limbeck.teacher.backends.scripted import ScriptedBackend
from limbeck.teacher.client.budget import Budget, BudgetSettings
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.client.teacher import Teacher
from limbeck.teacher.finish import _WORDS, find_ending
from limbeck.teacher.purposes.replies import find_fault
from limbeck.teacher.request import About, Reply, TeacherRequest
from limbeck.teacher.settings import TeacherSettings

WORDS = [(word, ending) for ending, words in _WORDS.items() for word in words.split()]


@pytest.mark.parametrize(
    ("words", "ending"),
    [
        ("stop end_turn STOP eos COMPLETE eosFound stop_sequence FINISH", "whole"),
        ("length max_tokens MAX_TOKENS model_length max_output_tokens model_context_window_exceeded", "truncated"),
        ("maxPredictedTokensReached contextLengthReached ERROR_LIMIT FinishReason.MAX_TOKENS REASON_MAX_LEN", "truncated"),
        ("content_filter SAFETY RECITATION BLOCKLIST PROHIBITED_CONTENT SPII guardrail_intervened sensitive", "filtered"),
        ("content-filter content_filtered ERROR_TOXIC FINISH_REASON_SAFETY MODEL_ARMOR", "filtered"),
        ("refusal", "refused"),
        (
            "error ERROR abort insufficient_system_resource network_error OTHER tool_calls MALFORMED_FUNCTION_CALL",
            "teacher_failed",
        ),
    ],
)
def test_words_of_providers(words: str, ending: str) -> None:
    """Each documented word has its meaning."""
    for word in words.split():
        assert find_ending(word) == ending, word


@given(st.sampled_from(WORDS), st.sampled_from(["_", "-", " ", ""]), st.sampled_from([str.lower, str.upper, str.title]))
def test_spelling_does_not_matter(known: tuple[str, str], separator: str, spell: object) -> None:
    """Case and separators make no difference, and no word has two meanings."""
    word, ending = known
    assert find_ending(spell(separator.join(word.split("_")))) == ending  # type: ignore[operator]


def test_no_word_is_a_normal_end() -> None:
    """A server that gives no reason has ended normally; a word that is not in the table is unknown."""
    assert find_ending("") == "whole"
    assert find_ending("bored") is None


REQUEST = TeacherRequest("m", (), {"max_tokens": 9}, About("annotate", 0, "d", (make_example("q", "5"),)))


@pytest.mark.parametrize(
    ("finish", "fault"),
    [("MAX_TOKENS", "truncated"), ("SAFETY", "filtered"), ("refusal", "refused"), ("error", "teacher_failed"), ("bored", None)],
)
def test_an_ending_is_a_fault(finish: str, fault: str | None) -> None:
    """A reply that did not end normally is rejected with the reason, whatever it says; an unknown word is no fault."""
    assert find_fault(REQUEST, Reply("Two and three.\nThe answer is: 5", "m", finish)) == fault


def test_thoughts_without_a_reply_are_cut_off() -> None:
    """A model that only thought was cut off, and one that said nothing at all is empty."""
    assert find_fault(REQUEST, Reply("<think>Two and", "m")) == "truncated"
    assert find_fault(REQUEST, Reply("", "m", reasoning="Two and")) == "truncated"
    assert find_fault(REQUEST, Reply("", "m")) == "empty"


def test_unknown_words_are_noted_once(tmp_path: Path) -> None:
    """The user hears of each unknown word once in a run, and the reply is kept."""
    notes: list[str] = []
    backend = ScriptedBackend(lambda request: Reply("4", "m", "bored"))
    teacher = Teacher(
        backend,
        Ledger(tmp_path / "l.sqlite"),
        Budget(BudgetSettings(max_examples=9)),
        TeacherSettings(backend="scripted"),
        on_note=notes.append,
    )
    assert [teacher.ask(f"q{n}").text for n in range(3)] == ["4", "4", "4"]
    assert len(notes) == 1
    assert "unknown finish reason 'bored'" in notes[0]


@pytest.mark.parametrize(
    ("choice", "word"),
    [
        ({"finish_reason": "stop"}, "stop"),
        ({}, "stop"),
        ({"finish_reason": None}, "stop"),
        ({"finish_reason": 3}, "stop"),
        ({"finish_reason": {"type": "length", "length": 9}}, "length"),
        ({"finish_reason": "stop", "native_finish_reason": "MAX_TOKENS"}, "MAX_TOKENS"),
        ({"finish_reason": "length", "native_finish_reason": "STOP"}, "length"),
        ({"finish_reason": "stop", "native_finish_reason": "bored"}, "stop"),
        ({"finish_reason": "stop", "error": {"code": 502}}, "error"),
    ],
)
def test_where_servers_put_the_word(choice: dict[str, object], word: str) -> None:
    """The word of the server behind a proxy counts if the proxy hides that the reply is not whole."""
    assert read_finish(choice) == word
