"""Text that Markdown shows as it is: names of a user, a teacher or a failed run may hold anything."""

from __future__ import annotations

import re
from collections.abc import Sequence

from limbeck.system.terminal import make_printable

# An underscore within a word is no mark.
_MARK = re.compile(r"[\\`*\[\]<>|]|(?<![^\W_])_|_(?![^\W_])")


def escape(text: str) -> str:
    """Text on one line in which nothing is a mark, a cell's end, a tag or a control character."""
    return _MARK.sub(r"\\\g<0>", make_printable(" ".join(text.split())))


def write_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, the first column aligned left and the others right."""
    marks = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row if row is marks else map(escape, row))} |" for row in (head, marks, *rows))
