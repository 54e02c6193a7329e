"""Conversational rows as questions and answers: ``messages``, or ``prompt`` and ``completion``, of a single turn."""

from __future__ import annotations

from typing import Any

from limbeck.errors import DataError

CONVERSATIONS = ("messages", "prompt")


def flatten_conversation(row: dict[str, Any], place: str) -> tuple[str, str | None]:
    """What the user says in a conversational row, and what the assistant answers (None in an unlabelled row).

    A system message is passed over: what it says belongs in ``task.instruction``, where teacher and student see it.

    Raises:
        DataError: more than one turn, or messages that are none; the message names the place.
    """
    if row.get("messages") is not None:
        turns = _read_turns(row["messages"], "user", f"{place}: column 'messages'")
    else:
        turns = _read_turns(row["prompt"], "user", f"{place}: column 'prompt'")
        if row.get("completion") is not None:
            turns += _read_turns(row["completion"], "assistant", f"{place}: column 'completion'")
    turns = [turn for turn in turns if turn[0] != "system"]
    roles = [role for role, _ in turns]
    if roles not in (["user"], ["user", "assistant"]):
        raise DataError(
            f"{place}: the conversation's turns are {', '.join(roles)[:200] or 'none'}; one of the user, and one of the "
            "assistant that answers it, are wanted"
        )
    return turns[0][1], turns[1][1] if len(turns) > 1 else None


def _read_turns(value: object, role: str, place: str) -> list[tuple[str, str]]:
    """``(role, text)`` of a list of messages, or of a plain text that `role` says."""
    if isinstance(value, str):
        return [(role, value)]
    if not isinstance(value, list):
        raise DataError(f"{place}: a text or a list of messages is wanted, {type(value).__name__} found")
    turns = []
    for message in value:
        if not (isinstance(message, dict) and isinstance(message.get("role"), str) and isinstance(message.get("content"), str)):
            raise DataError(f"{place}: a message is an object with the texts 'role' and 'content', {message!r:.80} found")
        turns.append((message["role"], message["content"]))
    return turns
