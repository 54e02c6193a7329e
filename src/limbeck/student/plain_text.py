"""Turns text that people or teachers wrote into ids, so that no part of it acts as a control token.

Tokenizers replace the text of a control token, such as ``<|im_end|>`` or ``<filename>``, by its id wherever it stands. A
chat template needs that. In a question or an answer it does harm: it opens a turn, ends the answer, or vanishes when
the output is decoded. Text without any control token keeps the ids that the tokenizer gives it as a whole, across the
borders between template and content.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from transformers import PreTrainedTokenizerBase

from limbeck.errors import DataError
from limbeck.student.chat_template import Message, render_chat

_SHAPE = re.compile(r"<[|｜].*[|｜]>", re.DOTALL)
_SPACE_MARKS = ("▁", "Ġ")
_MARKERS = range(0xF0000, 0xFFFFE)  # private use: characters without a meaning of their own


@dataclass(frozen=True)
class PlainText:
    """Encodes user text for one tokenizer.

    A control token is an added token that is special, that the chat template writes, or that looks like ``<|…|>``. Other
    added tokens are vocabulary.
    """

    tokenizer: PreTrainedTokenizerBase

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text without any control token.

        Raises:
            DataError: the tokenizer gives control tokens for the text however it is asked.
        """
        ids = self._tokenize(text)
        return ids if self._is_ordinary(text, ids) else self._encode_as_text(text)

    def encode_framed(self, text: str, max_length: int | None = None) -> list[int]:
        """Return the ids of a text between the special tokens that the tokenizer adds (such as EOS, or [CLS] and [SEP]).

        Args:
            text: the text.
            max_length: most ids, with the special tokens; the end of the text is cut off.

        Raises:
            DataError: see `encode`.
        """
        limits = {} if max_length is None else {"truncation": True, "max_length": max_length}
        ids = list(self.tokenizer(text, **limits)["input_ids"])
        if self._pattern.search(text) is None and self._count_control(ids) == self._frame_control:
            return ids
        body = self._encode_as_text(text)
        before, after = self._frame
        return [*before, *(body if max_length is None else body[: max_length - len(before) - len(after)]), *after]

    def encode_prompt(self, messages: Sequence[Message]) -> list[int]:
        """Return the ids of a conversation up to the assistant's header; only the chat template writes control tokens.

        Raises:
            ConfigError: the template refuses the conversation.
            DataError: see `encode`; also if the template takes a text apart that looks like a control token.
        """
        ids = self._tokenize(render_chat(self.tokenizer, messages))
        contents = [message["content"] for message in messages]
        has_pattern = any(self._pattern.search(content) for content in contents)
        if not has_pattern and self._count_control(ids) == self._count_template([message["role"] for message in messages]):
            return ids
        is_ordinary = [self._is_ordinary(content, self._tokenize(content)) for content in contents]
        if all(is_ordinary):
            return ids
        return self._encode_apart(messages, is_ordinary)

    def _encode_apart(self, messages: Sequence[Message], is_ordinary: Sequence[bool]) -> list[int]:
        """Encode a conversation in parts: texts that look like control tokens as text, the rest with control tokens."""
        joined = "".join(message["content"] for message in messages)
        opening, closing = _find_unused(joined)
        marked = [
            message if is_plain else {**message, "content": _mark(message["content"], opening, closing)}
            for message, is_plain in zip(messages, is_ordinary, strict=True)
        ]
        parts = re.split(f"{opening}(.*?){closing}", render_chat(self.tokenizer, marked), flags=re.DOTALL)
        if any(mark in part for part in parts for mark in (opening, closing)):
            raise DataError(
                f"the student's chat template takes this text apart, so its control tokens can't be told from the template's; "
                f"remove them: {joined!r:.300}"
            )
        ids = self._tokenize(parts[0])
        for place, part in enumerate(parts[1:], start=1):
            ids += self._encode_inside(part, is_text=place % 2 == 1)
        return ids

    def _encode_inside(self, part: str, *, is_text: bool) -> list[int]:
        """Encode a part that stands inside a text: without the space that some tokenizers put before every text."""
        encode = self._encode_as_text if is_text else self._tokenize
        if not part or not self._adds_space:
            return encode(part) if part else []
        # After a line break no space is added, so the part is encoded after one, which is then cut off.
        start, ids = self._tokenize("\n"), encode("\n" + part)
        return ids[len(start) :] if ids[: len(start)] == start else encode(part)

    def _encode_as_text(self, text: str) -> list[int]:
        tokenized = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        unknown = self.tokenizer.unk_token_id
        names_unknown = unknown in tokenized and str(self.tokenizer.unk_token) in text
        if self._control.isdisjoint(tokenized) and not names_unknown:
            return list(tokenized)
        pieces = self._encode_pieces(text)
        if not self._control.isdisjoint(pieces):
            found = sorted({str(self.tokenizer.convert_ids_to_tokens(id)) for id in self._control & set(pieces)})
            raise DataError(
                f"the student's tokenizer reads {', '.join(map(repr, found))} as its own control token even in plain text; "
                f"remove it from {text!r:.300}, or choose another student"
            )
        return pieces

    def _encode_pieces(self, text: str) -> list[int]:
        """Encode by the steps of the tokenizer after that of its added tokens, with every control token's text cut in two."""
        core = getattr(self.tokenizer, "backend_tokenizer", None)
        if core is None:
            return self._tokenize(text)
        if core.normalizer is not None:
            text = core.normalizer.normalize_str(text)
        words = [text] if core.pre_tokenizer is None else [word for word, _ in core.pre_tokenizer.pre_tokenize_str(text)]
        pieces = []
        for word in words:
            cuts = [0, *(found.start() + 1 for found in self._pattern.finditer(word)), len(word)]
            pieces += [word[start:end] for start, end in pairwise(cuts) if start < end]
        return [token.id for piece in pieces for token in core.model.tokenize(piece)]

    def _tokenize(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _is_ordinary(self, text: str, ids: Iterable[int]) -> bool:
        return self._pattern.search(text) is None and self._control.isdisjoint(ids)

    def _count_control(self, ids: Iterable[int]) -> Counter[int]:
        return Counter(id for id in ids if id in self._control)

    def _count_template(self, roles: Sequence[str]) -> Counter[int]:
        """Count the control tokens that the template writes around the turns of these roles."""
        key = tuple(roles)
        if key not in self._by_roles:
            plain = [{"role": role, "content": "a"} for role in roles]
            self._by_roles[key] = self._count_control(self._tokenize(render_chat(self.tokenizer, plain)))
        return self._by_roles[key]

    @cached_property
    def _by_roles(self) -> dict[tuple[str, ...], Counter[int]]:
        return {}

    @cached_property
    def _names(self) -> dict[int, str]:
        """The control tokens by id, with the unknown token."""
        template = str(self.tokenizer.chat_template or "")
        added = {
            id: token.content
            for id, token in self.tokenizer.added_tokens_decoder.items()
            if not token.content.isspace()
            and (token.special or token.content in template or _SHAPE.fullmatch(token.content) is not None)
        }
        return added | dict(zip(self.tokenizer.all_special_ids, self.tokenizer.all_special_tokens, strict=True))

    @cached_property
    def _control(self) -> frozenset[int]:
        """The ids that no text may give; the unknown token may stand for any unknown text."""
        return frozenset(self._names) - {self.tokenizer.unk_token_id}

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest_first = sorted(filter(None, self._names.values()), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    @cached_property
    def _frame_control(self) -> Counter[int]:
        return self._count_control(self.tokenizer("a")["input_ids"])

    @cached_property
    def _frame(self) -> tuple[list[int], list[int]]:
        """The special tokens that the tokenizer puts before and after a text."""
        framed, bare = list(self.tokenizer("a")["input_ids"]), self._tokenize("a")
        starts = range(len(framed) - len(bare) + 1)
        start = next((start for start in starts if framed[start : start + len(bare)] == bare), 0)
        return framed[:start], framed[start + len(bare) :]

    @cached_property
    def _adds_space(self) -> bool:
        tokens = self.tokenizer.convert_ids_to_tokens(self._tokenize("a"))
        return bool(tokens) and str(tokens[0]).startswith(_SPACE_MARKS)


def _find_unused(text: str) -> tuple[str, str]:
    """Find two characters that a text doesn't contain."""
    free = (chr(code) for code in _MARKERS if chr(code) not in text)
    return next(free), next(free)


def _mark(text: str, opening: str, closing: str) -> str:
    """Put a text between two marks; white space at its ends stays outside, since templates strip it."""
    inner = text.strip()
    start = text.index(inner)
    return f"{text[:start]}{opening}{inner}{closing}{text[start + len(inner) :]}"
