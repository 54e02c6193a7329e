r"""Finds LaTeX's ``\boxed{…}``."""

from __future__ import annotations

import re


def list_boxed(text: str) -> list[str]:
    r"""Return the different contents of the ``\boxed{…}`` in a text, of boxes in boxes the innermost."""
    found: list[str] = []
    while (box := find_last_boxed(text)) is not None:
        found.append(box)
        begin = text.rindex("{" + box + "}")
        text = text[:begin].removesuffix("\\boxed") + text[begin + len(box) + 2 :]
    return list(dict.fromkeys(found))


def find_last_boxed(text: str) -> str | None:
    r"""Return the content of the last ``\boxed{…}`` with balanced braces, or None."""
    text = re.sub(r"\\boxed\s+([^\s{}$\\])", r"\\boxed{\1}", text)  # \boxed 2
    best: tuple[int, int] | None = None
    open_braces: list[int] = []
    for match in re.finditer(r"\\boxed\{|[{}]", text):
        if match[0] != "}":
            open_braces.append(match.end() if match[0] != "{" else -1)
        elif open_braces and (begin := open_braces.pop()) >= 0 and (best is None or begin > best[0]):
            best = begin, match.start()
    return None if best is None else text[best[0] : best[1]]
