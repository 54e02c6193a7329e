"""The fake teacher's replies: texts in the form that limbeck's prompts ask for, made without understanding them.

A prompt that shows the right answer gets that answer. A prompt that asks for a new example gets one of the examples it shows,
with other numbers and words. A text depends only on the prompt and a given draw. Such replies show that a run works end to
end, with its checks and its bookkeeping. They are worth nothing for training.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from limbeck.teacher.backends.http_parts import read_content

PREFIX = "The answer is: "
STEPS = "Working it out step by step."
FIXED = "This is what a fake teacher says to whatever it does not know."
FORMLESS = "There is much to be said here, and little of it is certain.\n\n- Some see it one way.\n- Others see it another way."
REFUSAL = "I'm sorry, but I can't help with that."
_HINT = "The correct answer is "
_INVENTED = "Another thing that nobody has written about before stands here"  # if a prompt shows no example
_SLOT = re.compile(r"^(.*)<([^<>\n]+)>[ \t]*$", re.MULTILINE)
_FORM = "write nothing else"
_JSON_FORM = re.compile(r"one JSON object with the texts (.+?) and write nothing else")
_CHOICES = re.compile(r"Answer with one of (.+) and nothing else\.")
_SEEDS = re.compile(r"^You write new exercises .*?:\n+(.*)^Write one new exercise (.*)$", re.MULTILINE | re.DOTALL)
_WANTED = re.compile(r"with the answer (.+?)\. Solve it")
_DIGITS = re.compile(r"\d+")
_WORD = re.compile(r"[^\W\d_]{4,}")
_CYRILLIC = str.maketrans(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "абцдефгхижклмнопкрстувшхызАБЦДЕФГХИЖКЛМНОПКРСТУВШХЫЗ"
)


@dataclass(frozen=True)
class Draft:
    """A reply before it is written down.

    Attributes:
        parts: pairs of a head (``Question: ``, or empty) and the text after it.
        answer: the last part if it is an answer; the language fault leaves it unchanged.
        prefix: the head of the answer.
        is_json: whether the reply is one JSON object; the heads are then its field names.
    """

    parts: tuple[tuple[str, str], ...]
    answer: str | None = None
    prefix: str = PREFIX
    is_json: bool = False

    def write(self) -> str:
        """The text of the reply."""
        if self.is_json:
            return json.dumps({**dict(self.parts), self.prefix: self.answer}, ensure_ascii=False)
        end = [] if self.answer is None else [self.prefix + self.answer]
        return "\n".join([*(head + text for head, text in self.parts), *end])

    def in_cyrillic(self) -> Draft:
        """This draft in Cyrillic script, with the same form and answer."""
        return replace(self, parts=tuple((head, to_cyrillic(text)) for head, text in self.parts))


def to_cyrillic(text: str) -> str:
    """The text with each Latin letter replaced by a Cyrillic one."""
    return text.translate(_CYRILLIC)


def draft_reply(messages: Sequence[Mapping[str, object]], draw: str) -> Draft:
    """Draft the reply to a conversation; `draw` (any text) decides what is invented."""
    said = [read_content(message.get("content")) for message in messages]
    prompt = said[-1] if said else ""
    if _HINT in prompt:
        answer = prompt.rpartition(_HINT)[2]
        end = answer.find(". Write down")
        answer = answer[:end] if end >= 0 else answer.partition("\n")[0].removesuffix(".")
        return Draft((("", STEPS),), answer, _read_prefix(prompt))
    if seeds := _SEEDS.search(prompt):
        return _invent(*seeds.groups(), draw=draw)
    if choices := _CHOICES.search(prompt):
        labels = choices[1].split(", ")
        return Draft((), labels[int(_hash(draw, choices[1])[:8], 16) % len(labels)], "")
    if prompt.startswith("Write a"):
        shown = [text for text, message in zip(said, messages, strict=True) if message.get("role") == "assistant"]
        return _invent("\n".join(shown[-1:]), prompt, draw=draw)
    return Draft((("", FIXED),), "4", _read_prefix(prompt))


def _read_prefix(prompt: str) -> str:
    before, slot, _ = prompt.rpartition("<answer>")
    return before.rpartition("\n")[2] if slot else PREFIX


def _invent(shown: str, wish: str, *, draw: str) -> Draft:
    """One of the shown examples with other numbers, and other words if it has no numbers or its answer is not a number."""
    slots = _SLOT.findall(wish.partition(_FORM)[2])
    names = re.findall(r'"([^"]+)"', found[1]) if (found := _JSON_FORM.search(wish)) else []
    if names:
        slots = [*((f"{name.capitalize()}: ", name) for name in names[:-1]), (PREFIX, "answer")]
    heads = [head for head, _ in slots] or [""]
    example = _pick(_cut_examples(shown, heads), heads, draw)
    prefix = next((head for head, name in slots if name == "answer"), None)
    answer = None if prefix is None else example.pop(prefix, "4")
    wanted = _WANTED.search(wish)
    texts = {head: text for head, text in example.items() if not head.startswith("Rationale")}
    changed = _change(texts, answer or "", draw)
    if answer is not None:
        answer = wanted[1] if wanted else changed.pop(PREFIX)
    parts = tuple((head, changed.get(head, STEPS)) for head in heads if head != prefix)
    if names:
        parts = tuple((name, changed.get(head, STEPS)) for head, name in slots[:-1])
        return Draft(parts, answer, names[-1], is_json=True)
    return Draft(parts, answer, prefix or "")


def _cut_examples(shown: str, heads: Sequence[str]) -> list[dict[str, str]]:
    """Split the shown text into examples, each as the text after every head; a new one begins at the first head."""
    if heads == [""]:
        return [{"": shown.strip()}] if shown.strip() else []
    places = list(re.finditer("^(" + "|".join(map(re.escape, heads)) + ")", shown, re.MULTILINE))
    ends = [*(place.start() for place in places[1:]), len(shown)][: len(places)]
    examples: list[dict[str, str]] = []
    for place, end in zip(places, ends, strict=True):
        if place[1] == heads[0] or not examples:
            examples.append({})
        examples[-1].setdefault(place[1], shown[place.end() : end].strip())
    return examples


def _pick(examples: Sequence[dict[str, str]], heads: Sequence[str], draw: str) -> dict[str, str]:
    if not examples:
        return dict.fromkeys(heads[:1], _INVENTED)
    return dict(examples[int(_hash(draw, "pick")[:8], 16) % len(examples)])


def _change(texts: Mapping[str, str], answer: str, draw: str) -> dict[str, str]:
    """Change the texts and, under `PREFIX`, the answer; equal numbers stay equal, and words of the answer are kept."""
    together = "\n".join(texts.values())
    is_number = not _WORD.search(answer) and bool(_DIGITS.search(answer))
    kept = {word.lower() for word in _WORD.findall(answer)}

    def change_number(match: re.Match[str]) -> str:
        number = int(_hash(draw, match[0])[:12], 16)
        length = max(3, len(match[0]))
        return str(10 ** (length - 1) + number % (9 * 10 ** (length - 1)))

    def change_word(match: re.Match[str]) -> str:
        if match[0].lower() in kept:
            return match[0]
        digits = _hash(draw, match[0].lower())
        made = "".join(
            ("bdfgklmnprstvzjh" if place % 2 == 0 else "aeiouaeiouaeioua")[int(digit, 16)]
            for place, digit in zip(range(len(match[0])), digits, strict=False)
        )
        return made.capitalize() if match[0][0].isupper() else made

    changed = {head: _DIGITS.sub(change_number, text) for head, text in texts.items()}
    if not (is_number and _DIGITS.search(together)):
        changed = {head: _WORD.sub(change_word, text) for head, text in changed.items()}
    known = set(_DIGITS.findall(together))
    is_changed = is_number or any(number in known for number in _DIGITS.findall(answer))
    return {**changed, PREFIX: _DIGITS.sub(change_number, answer) if is_changed else answer}


def _hash(draw: str, text: str) -> str:
    return hashlib.sha256(f"{draw}/{text}".encode("utf-8", "surrogatepass")).hexdigest()
