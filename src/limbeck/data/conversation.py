"""Turns single-turn conversations (``messages``, or ``prompt`` and ``completion``) into questions and answers."""

from __future__ import annotations

from typing import Any, NamedTuple

from limbeck.data.thoughts import read_thoughts, split_content
from limbeck.errors import DataError

CONVERSATIONS = ("messages", "prompt")


class Said(NamedTuple):
    """What the assistant said, and a reasoning model's thoughts before it."""

    text: str
    thoughts: str


def flatten_conversation(row: dict[str, Any], place: str) -> tuple[str, Said | None]:
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
    return turns[0][1].text, turns[1][1] if len(turns) > 1 else None


def _read_turns(value: object, role: str, place: str) -> list[tuple[str, Said]]:
    """The role and the words of each message in a list, or of a plain text by `role`."""
    if isinstance(value, str):
        return [(role, _read_said({"content": value}, role))]
    if not isinstance(value, list):
        raise DataError(f"{place}: expected a text or a list of messages, found {type(value).__name__}")
    turns = []
    for message in value:
        content = message.get("content") if isinstance(message, dict) else None
        if not (isinstance(message, dict) and isinstance(message.get("role"), str) and isinstance(content, (str, list))):
            raise DataError(f"{place}: a message must be an object with the texts 'role' and 'content', found {message!r:.80}")
        turns.append((message["role"], _read_said(message, message["role"])))
    return turns


def _read_said(message: dict[str, Any], role: str) -> Said:
    """The text of a message; only an assistant has thoughts, so tags in other messages are text."""
    content = message["content"]
    if role != "assistant" and isinstance(content, str):
        return Said(content, "")
    thoughts, text = split_content(content)
    return Said(text, read_thoughts(message) or thoughts)
