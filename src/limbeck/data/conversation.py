"""Reads single-turn conversations: ``messages``, ShareGPT's ``conversations``, or ``prompt`` and ``completion``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from limbeck.data.cells import is_missing
from limbeck.data.thoughts import split_thoughts
from limbeck.errors import DataError

CONVERSATIONS = ("messages", "conversations", "prompt")
"""The columns that make a row a conversation."""

_ROLES = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "model": "assistant", "developer": "system"}
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
_TEXT_PARTS = ("text", "input_text", "output_text")


@dataclass(frozen=True)
class Conversation:
    """One question and its answer.

    Attributes:
        system: the system messages; empty if there are none.
        question: the user's message.
        answer: the assistant's message without its thoughts; None in an unlabelled row.
        thoughts: what the assistant thought before it answered (``<think>``, ``reasoning_content``), or None.
    """

    system: str
    question: str
    answer: str | None = None
    thoughts: str | None = None


@dataclass(frozen=True)
class _Turn:
    role: str
    text: str
    thoughts: str = ""


def read_conversation(row: dict[str, Any], place: str) -> Conversation:
    """Read a conversational row.

    A message is ``{role, content}``, with a text or a list of text parts as content; in ``conversations``, the form of
    ShareGPT, it is also ``{from, value}``.

    Raises:
        DataError: more than one turn, a part that is not text, or malformed messages; the error names the place.
    """
    name = next(column for column in CONVERSATIONS if row.get(column) is not None)
    turns = _read_turns(row[name], "user", f"{place}: column {name!r}", is_sharegpt=name == "conversations")
    if name == "prompt" and row.get("completion") is not None:
        turns += _read_turns(row["completion"], "assistant", f"{place}: column 'completion'")
    system = [turn.text for turn in turns if turn.role == "system"]
    if not system and isinstance(row.get("system"), str):
        system = [row["system"]]
    turns = [turn for turn in turns if turn.role != "system"]
    roles = [turn.role for turn in turns]
    if roles not in (["user"], ["user", "assistant"]):
        raise DataError(
            f"{place}: the conversation's turns are {', '.join(roles)[:200] or 'none'}; expected one turn of the user and "
            "one answer of the assistant"
        )
    said = "\n\n".join(text.strip() for text in system if not is_missing(text))
    if len(turns) == 1:
        return Conversation(said, turns[0].text)
    in_text, answer = split_thoughts(turns[1].text)
    thoughts = "\n".join(part.strip() for part in (turns[1].thoughts, in_text) if part.strip())
    return Conversation(said, turns[0].text, answer, thoughts or None)


def _read_turns(value: object, role: str, place: str, *, is_sharegpt: bool = False) -> list[_Turn]:
    """The messages in a list, or a plain text as one message by `role`."""
    if isinstance(value, str):
        return [_Turn(role, value)]
    if not isinstance(value, list):
        raise DataError(f"{place}: expected a text or a list of messages, found {type(value).__name__}")
    return [_read_turn(message, place, is_sharegpt=is_sharegpt) for message in value]


def _read_turn(message: object, place: str, *, is_sharegpt: bool) -> _Turn:
    keys = ("from", "value") if is_sharegpt and isinstance(message, dict) and "from" in message else ("role", "content")
    fault = f"{place}: a message must be an object with the texts {keys[0]!r} and {keys[1]!r}, found {message!r:.80}"
    if not isinstance(message, dict):
        raise DataError(fault)
    role, content = message.get(keys[0]), message.get(keys[1])
    thoughts = [text for name in _THOUGHTS if isinstance(text := message.get(name), str)][:1]
    if isinstance(content, list):
        texts, more = _read_parts(content, place)
        content, thoughts = "\n".join(texts), thoughts or more
    if not isinstance(role, str) or not isinstance(content, str):
        raise DataError(fault)
    return _Turn(_ROLES.get(role, role), content, "\n".join(thoughts))


def _read_parts(parts: list[Any], place: str) -> tuple[list[str], list[str]]:
    """``(texts, thoughts)`` of a message whose content is a list of parts."""
    texts, thoughts = [], []
    for part in parts:
        kind = part.get("type", "text") if isinstance(part, dict) else None
        if kind in _TEXT_PARTS and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif kind in _THOUGHTS and isinstance(part.get(kind, part.get("text")), str):
            thoughts.append(part.get(kind, part.get("text")))
        else:
            raise DataError(f"{place}: a part of a message must be a text, found {kind or type(part).__name__}: {part!r:.80}")
    return texts, thoughts
