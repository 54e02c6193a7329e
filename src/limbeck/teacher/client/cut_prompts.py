"""Notices a server that silently cuts long prompts, as Ollama does at its default context of 2,048 or 4,096 tokens."""

from __future__ import annotations

import re

from limbeck.teacher.request import Reply, TeacherRequest

SMALLEST_CONTEXT = 256  # a server that counts fewer tokens has read the rest from a cache
SAME_COUNTS = 3
_KEPT_PROMPTS = 8
_LONG_WORD = 16


def count_least_tokens(text: str) -> int:
    """A number of tokens that no tokenizer goes under: one for every two words, and for every 32 letters without a space.

    Tokenizers end a token where a word ends, so a text of n words has at least n tokens; the half leaves room for the few that
    join two words. Long runs of letters, as in Chinese, are counted as words of 16 letters.
    """
    return sum(-(-len(word) // _LONG_WORD) for word in re.findall(r"\w+", text)) // 2


class PromptCounts:
    """Compares the server's counts of prompt tokens with the least that the prompts can have.

    Some servers do not count what they read from a cache, so a low count alone proves nothing. A prompt counts as cut if the
    count is too low even for what follows its longest common beginning with earlier prompts; or if several different prompts
    have the same count, and it is too low for each: what a cache leaves differs from prompt to prompt.
    """

    def __init__(self) -> None:
        self._prompts: list[str] = []
        self._low: dict[int, set[int]] = {}

    def find_cut(self, request: TeacherRequest, reply: Reply) -> str | None:
        """The facts if the server has cut the prompt of this reply; else None."""
        prompt = "\n".join(message["content"] for message in request.messages)
        if prompt in self._prompts:
            return None
        counted, least = reply.prompt_tokens, count_least_tokens(prompt)
        is_cut = SMALLEST_CONTEXT <= counted < least and (self._is_new(prompt, counted) or self._is_same(prompt, counted))
        if len(self._prompts) < _KEPT_PROMPTS:
            self._prompts.append(prompt)
        return f"it counts {counted:,} tokens in a prompt that has at least {least:,}" if is_cut else None

    def _is_new(self, prompt: str, counted: int) -> bool:
        """Whether the count is too low even without everything that a cache may hold."""
        shared = max((_count_shared(prompt, known) for known in self._prompts), default=len(prompt))
        return counted < count_least_tokens(prompt[shared:])

    def _is_same(self, prompt: str, counted: int) -> bool:
        prompts = self._low.setdefault(counted, set())
        prompts.add(hash(prompt))
        return len(prompts) >= SAME_COUNTS


def _count_shared(first: str, second: str) -> int:
    """The length of the common beginning of two texts."""
    pairs = enumerate(zip(first, second, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(first), len(second)))
