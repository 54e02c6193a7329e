"""Characters that look alike or can't be seen, for all that compares names, texts and numbers."""

from __future__ import annotations

import re

DASHES = dict.fromkeys(map(ord, "−–‒‐‑﹣"), "-")
"""Minus signs, hyphens and the en dash, for `str.translate`. The em dash separates clauses, so it stays."""

QUOTES = {**dict.fromkeys(map(ord, "‘’‚‛´‹›"), "'"), **dict.fromkeys(map(ord, "“”„‟«»"), '"')}
"""Typographic quotes and apostrophes, for `str.translate`."""

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff\ufe0e\ufe0f]")


def drop_invisible(text: str) -> str:
    """Return a text without soft hyphens, zero-width characters, marks of direction, byte-order marks, variation selectors."""
    return text if text.isascii() else _INVISIBLE.sub("", text)
