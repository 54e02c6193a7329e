"""Renders chat templates: the same text on every day, and a clear error where a template refuses a turn."""

from __future__ import annotations

import re
from collections.abc import Sequence

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from limbeck.errors import ConfigError

Message = dict[str, str]
SENTINEL = "limbeck-sentinel-7c1f"
# What a template's own expressions may raise, in addition to `raise_exception`: 1 / 0, 1 + "a", a missing key.
_FAULTS = (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RuntimeError)
# 26 July 2024, the date that the templates of Llama 3.1 and 3.2 fall back to.
_FIXED_DATE = {
    "%-d": "26",
    "%-m": "7",
    "%-H": "0",
    "%-I": "12",
    "%-M": "0",
    "%-S": "0",
    "%-j": "208",
    "%-y": "24",
    "%a": "Fri",
    "%A": "Friday",
    "%b": "Jul",
    "%B": "July",
    "%h": "Jul",
    "%c": "Fri Jul 26 00:00:00 2024",
    "%C": "20",
    "%d": "26",
    "%D": "07/26/24",
    "%e": "26",
    "%F": "2024-07-26",
    "%f": "000000",
    "%G": "2024",
    "%H": "00",
    "%I": "12",
    "%j": "208",
    "%m": "07",
    "%M": "00",
    "%p": "AM",
    "%R": "00:00",
    "%s": "1721952000",
    "%S": "00",
    "%T": "00:00:00",
    "%u": "5",
    "%U": "29",
    "%V": "30",
    "%w": "5",
    "%W": "30",
    "%x": "07/26/24",
    "%X": "00:00:00",
    "%y": "24",
    "%Y": "2024",
    "%z": "",
    "%Z": "",
    "%n": " ",
    "%t": " ",
    "%%": "%",
}
_DATE_MACRO = (
    "{% macro strftime_now(format) %}{{ format"
    + "".join(f" | replace('{directive}', '{text}')" for directive, text in _FIXED_DATE.items())
    + " }}{% endmacro %}\n"
)
_OPEN_THOUGHT = re.compile(r"(?:<([\w:|-]*(?:think|thinking|thought|reasoning|reason))>|\[(THINK)\])\s*\Z", re.IGNORECASE)


def fix_date(template: str) -> str:
    """Return a chat template that prints 26 July 2024 wherever it would print today's date; other templates stay as they are.

    Otherwise the same config would give other ids on another day, and a trained student would read prompts that it never saw.
    Only the date is fixed, not its form: ``strftime_now`` becomes a macro with the format's directives filled in.
    """
    if "strftime_now" not in template or template.startswith(_DATE_MACRO):
        return template
    return _DATE_MACRO + template


def render_chat(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, is_prompt: bool = True) -> str:
    """Render a conversation with the student's chat template, whose date is fixed (see `fix_date`).

    Args:
        tokenizer: has a chat template.
        messages: the turns.
        is_prompt: whether to end with the header of the assistant's next turn.

    Raises:
        ConfigError: the template refuses the conversation; the message says which turn, and what to change.
    """
    try:
        return _render(tokenizer, messages, is_prompt)
    except _FAULTS as error:
        raise ConfigError(_explain(tokenizer, messages, is_prompt, error)) from error


def check_template(tokenizer: PreTrainedTokenizerBase, system: str | None) -> None:
    """Check that a chat template takes the turns of a student's conversations: system message, question and answer.

    Args:
        tokenizer: the student's tokenizer; one without a chat template always passes.
        system: the system message of every prompt, if there is one.

    Raises:
        ConfigError: the template refuses a turn, or leaves its text out.
    """
    if not tokenizer.chat_template:
        return
    named = {"user": f"{SENTINEL}-user", "assistant": f"{SENTINEL}-assistant"}
    if system is not None:
        named = {"system": f"{SENTINEL}-system", **named}
    messages = [{"role": role, "content": content} for role, content in named.items()]
    prompt, whole = render_chat(tokenizer, messages[:-1]), render_chat(tokenizer, messages, is_prompt=False)
    for role, content in named.items():
        if content not in (whole if role == "assistant" else prompt):
            remedy = "set student.system to null" if role == "system" else "choose another student"
            raise ConfigError(f"{_name(tokenizer)} leaves the {role} message out of the conversation; {remedy}")


def find_thought_end(prompt: str) -> str:
    """Return the text that closes a thought which a prompt opens, such as ``</think>``; empty if it opens none.

    The thought stays empty: the student answers right away. So a server that separates thoughts from answers finds the whole
    completion in the answer.
    """
    found = _OPEN_THOUGHT.search(prompt)
    if found is None:
        return ""
    tag = f"[/{found[2]}]" if found[2] else f"</{found[1]}>"
    return f"\n{tag}\n\n"


def _render(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], is_prompt: bool) -> str:
    template = fix_date(tokenizer.get_chat_template())
    return str(
        tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            chat_template=template,
            tokenize=False,
            add_generation_prompt=is_prompt,
        )
    )


def _explain(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], is_prompt: bool, error: Exception) -> str:
    """Say which turn a template refuses: the one without which it renders the conversation."""
    why = f"{type(error).__name__}: {error}"[:300]
    for role, refused, remedy in (
        ("system", "a system message", "set student.system to null and move its text to task.instruction"),
        ("assistant", "an assistant message", "choose a student whose template can render an answer"),
    ):
        others = [message for message in messages if message["role"] != role]
        if others == list(messages):
            continue
        try:
            _render(tokenizer, others, is_prompt)
        except _FAULTS:
            continue
        place = "student.system: " if role == "system" else ""
        return f"{place}{_name(tokenizer)} refuses {refused} ({why}); {remedy}"
    return f"{_name(tokenizer)} can't render a conversation ({why}); choose another student"


def _name(tokenizer: PreTrainedTokenizerBase) -> str:
    return f"the chat template of student {str(tokenizer.name_or_path) or 'without a name'!r}"
