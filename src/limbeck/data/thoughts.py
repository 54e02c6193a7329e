"""Separates a reasoning model's thoughts from what it says, in every form in which models and servers write them."""

from __future__ import annotations

import re
from collections.abc import Mapping

_XML = "think|thinking|thoughts?|reasoning|reflection|scratchpad|inner_monologue|seed:think|longcat_think"
_FORMS = (  # what begins and what ends a block of thoughts
    # DeepSeek-R1, Qwen3, GLM, Phi-4, MiMo, EXAONE (<thought>), Seed-OSS, LongCat; some models close with a sister tag
    (rf"(?i:<(?:{_XML})>)", rf"(?i:</(?:{_XML})>)"),
    (rf"(?i:&lt;(?:{_XML})&gt;)", rf"(?i:&lt;/(?:{_XML})&gt;)"),
    (r"\[THINK\]", r"\[/THINK\]"),  # Magistral
    ("◁think▷", "◁/think▷"),  # Kimi-VL
    (r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"),  # OpenThinker, Sky-T1
    (r"<\|START_THINKING\|>", r"<\|END_THINKING\|>"),  # Command A Reasoning
    (r"<\|inner_prefix\|>", r"<\|inner_suffix\|>"),  # Apertus
    (r"<\|channel>(?:thoughts?|analysis)?\s", r"<channel\|>"),  # Gemma 4
    (r"<unused94>(?:thoughts?\s)?", "<unused95>"),  # MedGemma
)
_TAGS = re.compile("|".join(f"(?P<o{n}>{begin})|(?P<c{n}>{end})" for n, (begin, end) in enumerate(_FORMS)))
_STARTS_LINE = re.compile(r"(?:\A|\n)[ \t]*\Z")
_MAX_DEPTH = 5  # of nested parts
_MAX_PASSES = 20  # a text with more forms inside each other is no reply
_QUOTED = "`'\"“"

# gpt-oss: <|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…<|return|>
_CHANNEL = re.compile(r"<\|channel\|>\s*(analysis|commentary|final)\b[^<\n]{0,80}(?:<\|constrain\|>\s*\w*\s*)?<\|message\|>")
_CHANNEL_END = re.compile(r"<\|(?:end|return|call|start|channel)\|>")
# The same after a decoder dropped the special tokens.
_BARE_CHANNELS = re.compile(r"\s*analysis(?=\S)(.*?)assistantfinal(?=\S)(.*)", re.DOTALL)
_GRANITE = re.compile(r"\s*Here(?: is|'s) my thought process:(.*?)Here(?: is|'s) my response:(.*)", re.DOTALL)  # Granite 3.2
_DETAILS = re.compile(r"\s*<details type=\"reasoning\"[^<>]{0,200}>(.*?)</details>(.*)", re.DOTALL)  # Open WebUI
# Marks around an answer that say nothing themselves.
_ANSWER_MARKS = re.compile(
    r"<\|(?:begin_of_solution|end_of_solution|START_RESPONSE|END_RESPONSE|begin_of_box|end_of_box)\|>", re.IGNORECASE
)
_WRAPPER = re.compile(r"<(answer|response|final_answer)>(.*)</\1>", re.DOTALL | re.IGNORECASE)
_WRAPPER_TAG = re.compile(r"</?(?:answer|response|final_answer)>", re.IGNORECASE)


def split_thoughts(text: str) -> tuple[str, str]:
    """Split a text into ``(thoughts, rest)``; both are stripped if there are thoughts, else the text is left as it is.

    A block may be anywhere if it begins a line or is closed. Its opening tag may be missing, since some chat templates put it
    into the prompt: then everything before the closing tag is thoughts. If a block that begins a line is never closed, the
    model was cut off while it thought, so everything is thoughts and the rest is empty. Splitting the rest again changes
    nothing.
    """
    thoughts: list[str] = []
    rest = text
    for _ in range(_MAX_PASSES):
        found = next((split for form in (_split_channels, _split_headed, _split_blocks) if (split := form(rest))), None)
        if found is None:
            return "\n".join(part for part in thoughts if part), _ANSWER_MARKS.sub("", rest)
        thoughts.append(found[0].strip())
        rest = _unwrap(found[1])
    return text, ""


def begins_with_thoughts(text: str) -> bool:
    """Whether a text begins with a block of thoughts, or with one whose opening tag is missing."""
    if text.startswith(("<|channel|>", "<|start|>")) or _split_headed(text):
        return True
    tag = next((tag for tag in _TAGS.finditer(text) if not _is_quoted(text, tag)), None)
    return tag is not None and (str(tag.lastgroup)[0] == "c" or not text[: tag.start()].strip())


def split_content(content: object) -> tuple[str, str]:
    """Split a message's content, a text or a list of parts, into ``(thoughts, rest)``; tags in texts are read too."""
    said: list[str] = []
    thoughts: list[str] = []
    for part in content if isinstance(content, list) else [content]:
        thought, text = _split_part(part)
        thoughts.append(thought)
        said.append(text)
    tagged, rest = split_thoughts("".join(said))
    return "\n".join(part for part in (*thoughts, tagged) if part.strip()), rest


def read_thoughts(message: Mapping[str, object]) -> str:
    """The thoughts that a message carries in a field of their own, under any of the names that servers use."""
    for name in ("reasoning_content", "reasoning", "thinking", "thoughts", "reasoning_text", "reasoning_details"):
        found = _read_text(message.get(name)).strip()
        if found:
            return found
    return ""


def _split_part(part: object) -> tuple[str, str]:
    """``(thoughts, text)`` of one part. Refusals, images and tool calls are neither."""
    if not isinstance(part, dict):
        return "", part if isinstance(part, str) else ""
    kind = str(part.get("type") or "text").lower()
    if part.get("thought") is True or "think" in kind or "reason" in kind or "reasoningContent" in part:
        return _read_text(part), ""
    return "", _read_text(part.get("text")) if kind in ("text", "output_text", "input_text") else ""


def _read_text(value: object, depth: int = 0) -> str:
    """The text in a value that servers nest differently: a text, an object that holds one, or a list of such objects."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and depth < _MAX_DEPTH:
        return "".join(_read_text(item, depth + 1) for item in value)
    if not isinstance(value, dict) or depth >= _MAX_DEPTH:
        return ""
    names = ("text", "thinking", "reasoning", "reasoning_text", "reasoningContent", "reasoningText", "summary", "content")
    return next((text for name in names if (text := _read_text(value.get(name), depth + 1))), "")


def _split_channels(text: str) -> tuple[str, str] | None:
    """Split channels; what precedes the first one is a block whose header was in the prompt."""
    heads = list(_CHANNEL.finditer(text))
    if not heads:
        return None
    thoughts = [_cut_end(text[: heads[0].start()])]
    said: list[str] = []
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        body = _cut_end(text[head.end() : following.start() if following else len(text)])
        (said if head[1] == "final" else thoughts).append(body)
    return "\n".join(part for part in thoughts if part.strip()), "\n".join(said)


def _cut_end(text: str) -> str:
    return _CHANNEL_END.split(text, maxsplit=1)[0] if not text.startswith("<|start|>") else ""


def _split_headed(text: str) -> tuple[str, str] | None:
    found = _BARE_CHANNELS.fullmatch(text) or _GRANITE.fullmatch(text) or _DETAILS.fullmatch(text)
    return (found[1], found[2]) if found else None


def _split_blocks(text: str) -> tuple[str, str] | None:
    """Split blocks in tags; None without any."""
    tags = [tag for tag in _TAGS.finditer(text) if not _is_quoted(text, tag)]
    last_end = {tag.lastgroup: tag.start() for tag in tags}  # of each form
    thoughts: list[str] = []
    said: list[str] = []
    place, opened = 0, None  # where the unread text begins; the block that it is in
    for tag in tags:
        is_opening, form = str(tag.lastgroup)[0] == "o", str(tag.lastgroup)[1:]
        if opened is not None:
            if not is_opening and form == opened[0]:
                thoughts.append(text[opened[1] : tag.start()])
                place, opened = tag.end(), None
        elif not is_opening:
            thoughts.append(" ".join([*said, text[place : tag.start()]]))
            said, place = [], tag.end()
        elif (starts_line := _starts_line(text, tag)) or tag.start() < last_end.get(f"c{form}", -1):
            said.append(text[place : tag.start()].strip() + ("\n" if starts_line else " "))  # so that no new tag is formed
            opened = (form, tag.end())
    if opened is not None:
        return " ".join([*thoughts, *said, text[opened[1] :]]), ""
    return (
        ("\n".join(part.strip() for part in thoughts if part.strip()), "".join([*said, text[place:].strip()]))
        if place
        else None
    )


def _starts_line(text: str, tag: re.Match[str]) -> bool:
    return _STARTS_LINE.search(text, max(0, tag.start() - 80), tag.start()) is not None


def _is_quoted(text: str, tag: re.Match[str]) -> bool:
    """Whether a text speaks of the tag instead of using it."""
    return tag.start() > 0 and text[tag.start() - 1] in _QUOTED and text[tag.end() : tag.end() + 1] in tuple("`'\"”")


def _unwrap(rest: str) -> str:
    """The answer after thoughts, without the tags around all of it."""
    rest = _ANSWER_MARKS.sub("", rest).strip()
    found = _WRAPPER.fullmatch(rest)
    return found[2].strip() if found and not _WRAPPER_TAG.search(found[2]) else rest
