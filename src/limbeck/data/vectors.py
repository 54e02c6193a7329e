"""Vectors of questions, each made once: what near-duplicates in meaning and measures of diversity are read from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from limbeck.data.example import Example

Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts → their vectors, shape (texts, width), of unit length: a dot product is a cosine, 1 = the same."""

COSINE_DIGITS = 5  # of a cosine that count: what a text is padded to, and the machine, move the last ones


class Vectors:
    """The vectors of a run's questions, by their text.

    The user's rows are embedded a domain at a time, when the first question of the domain is looked up: head domains, for
    which nothing is invented, never are. Any other text is embedded alone, so that a resumed run, which meets the texts in
    other company, finds the same digits.
    """

    def __init__(self, embed: Embed, examples: Iterable[Example] = ()) -> None:
        self._embed = embed
        self._waiting: dict[str, list[str]] = {}
        self._known: dict[str, np.ndarray] = {}
        for example in examples:
            self._waiting.setdefault(example.domain, []).append(example.question)

    def find(self, texts: Sequence[str], domain: str) -> np.ndarray:
        """The vectors of questions of a domain, shape (texts, width), in their order; `texts` is not empty."""
        if domain in self._waiting:
            waiting = list(dict.fromkeys(self._waiting.pop(domain)))
            self._known.update(zip(waiting, self._embed(waiting), strict=True))
        for text in texts:
            if text not in self._known:
                self._known[text] = self._embed([text])[0]
        return np.stack([self._known[text] for text in texts])
