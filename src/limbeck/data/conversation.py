"""Turns single-turn conversations (``messages``, or ``prompt`` and ``completion``) into questions and answers."""

from __future__ import annotations

from typing import Any

from limbeck.errors import DataError

CONVERSATIONS = ("messages", "prompt")


def flatten_conversation(row: dict[str, Any], place: str) -> tuple[str, str | None]:
    """The user's message in a conversational row, and the assistant's answer (None in an unlabelled row).

    A system message is ignored: it belongs in ``task.instruction``, where teacher and student see it.

    Raises:
        DataError: more than one turn, or malformed messages; the error names the place.
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
            f"{place}: the conversation's turns are {', '.join(roles)[:200] or 'none'}; expected one turn of the user and "
            "one answer of the assistant"
        )
    return turns[0][1], turns[1][1] if len(turns) > 1 else None


def _read_turns(value: object, role: str, place: str) -> list[tuple[str, str]]:
    """``(role, text)`` of each message in a list, or of a plain text by `role`."""
    if isinstance(value, str):
        return [(role, value)]
    if not isinstance(value, list):
        raise DataError(f"{place}: expected a text or a list of messages, found {type(value).__name__}")
    turns = []
    for message in value:
        if not (isinstance(message, dict) and isinstance(message.get("role"), str) and isinstance(message.get("content"), str)):
            raise DataError(f"{place}: a message must be an object with the texts 'role' and 'content', found {message!r:.80}")
        turns.append((message["role"], message["content"]))
    return turns
