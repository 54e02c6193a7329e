"""Escapes text for Markdown: names and messages from users, teachers and failed runs may contain anything."""

from __future__ import annotations

import re
from collections.abc import Sequence

from limbeck.system.terminal import make_printable

# An underscore inside a word has no meaning in Markdown.
_MARK = re.compile(r"[\\`*\[\]<>|]|(?<![^\W_])_|_(?![^\W_])")


def escape(text: str) -> str:
    """Put a text on one line, and disable its Markdown syntax, cell separators, tags and control characters."""
    return _MARK.sub(r"\\\g<0>", make_printable(" ".join(text.split())))


def write_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table with the first column left-aligned and the others right-aligned."""
    marks = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row if row is marks else map(escape, row))} |" for row in (head, marks, *rows))
