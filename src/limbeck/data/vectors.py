"""Vectors of questions, each computed once, for near-duplicates in meaning and diversity measures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from limbeck.data.example import Example

Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts → vectors of unit length, shape (texts, width); dot products are cosines, 1 = same direction."""

COSINE_DIGITS = 5  # the digits beyond vary with padding and hardware


class Vectors:
    """The vectors of a run's questions, by their text.

    The user's rows are embedded one domain at a time, when a question of the domain is first looked up, so head domains
    without inventions are never embedded. Every other text is embedded alone, so that a resumed run, which would batch the
    texts differently, gets the same digits.
    """

    def __init__(self, embed: Embed, examples: Iterable[Example] = ()) -> None:
        self._embed = embed
        self._waiting: dict[str, list[str]] = {}
        self._known: dict[str, np.ndarray] = {}
        for example in examples:
            self._waiting.setdefault(example.domain, []).append(example.question)

    def find(self, texts: Sequence[str], domain: str) -> np.ndarray:
        """The vectors of a domain's questions, shape (texts, width), in the same order; `texts` must not be empty."""
        if domain in self._waiting:
            waiting = list(dict.fromkeys(self._waiting.pop(domain)))
            self._known.update(zip(waiting, self._embed(waiting), strict=True))
        for text in texts:
            if text not in self._known:
                self._known[text] = self._embed([text])[0]
        return np.stack([self._known[text] for text in texts])
