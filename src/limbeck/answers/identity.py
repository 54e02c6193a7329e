"""When two spellings of a name (a label, a domain) mean the same."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable

from limbeck.answers.typography import DASHES, QUOTES, drop_invisible

# What may enclose a name. A point, a sign or a comparison in front of a digit is part of it, and so is a star behind it.
_BEFORE = re.compile(r"^(?:[\s\"'`(\[{「『]|[<.](?!\s*[\d.=]))+")
_AFTER = re.compile(r"(?:[\s\"'`.:;,!?)\]}。．｡！？：；，、」』]|(?<=[^\W\d])>)+$")
_STARS = re.compile(r"^(\*{1,3})(?=[^*\s])(.*[^*\s])\1$")
_SEPARATORS = re.compile(r"(?<=\w)[\s_-]+(?=\w)")


def make_key(text: str) -> str:
    """Return the form in which names are compared: Unicode NFC, no invisible characters, single spaces, trimmed."""
    return " ".join(drop_invisible(unicodedata.normalize("NFC", text)).split())


def fold_case(text: str) -> str:
    """Return the key of a name without case and with any dash as ``-``."""
    return unicodedata.normalize("NFC", make_key(text).translate(DASHES).casefold())


def _drop_decoration(text: str) -> str:
    bare = fold_case(text).translate(QUOTES)
    for _ in range(2):  # bold text in quotes, or quotes in bold text
        bare = _STARS.sub(r"\2", _AFTER.sub("", _BEFORE.sub("", bare)))
    return bare


def join_words(text: str) -> str:
    """Also drop what joins words (``not_entailment`` is ``not entailment``) and the zeros of ``1.0``."""
    joined = _SEPARATORS.sub(" ", _drop_decoration(text)).strip()
    return re.sub(r"(?<![\d.])(\d+)\.0+", r"\1", joined)


_FORMS: tuple[Callable[[str], str], ...] = (make_key, fold_case, _drop_decoration, join_words)


class Names:
    """Finds the name that a text is, in ever looser forms.

    A text is compared as written (see `make_key`), then without case and with any dash as ``-``, then without quotes and
    punctuation around it, then with ``-``, ``_`` and space between words the same. A looser form is used only while it keeps
    all names apart, so ``A*`` and ``A``, or ``US`` and ``us``, are never confused.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(dict.fromkeys(names))
        self._tables: list[tuple[Callable[[str], str], dict[str, str]]] = []
        for form in _FORMS:
            table = {form(name): name for name in self.names}
            if len(table) < len(self.names) or "" in table:
                break
            self._tables.append((form, table))

    @property
    def ignores_case(self) -> bool:
        """Whether all names stay apart without case."""
        return len(self._tables) > _FORMS.index(fold_case)

    @property
    def ignores_separators(self) -> bool:
        """Whether all names stay apart with ``-``, ``_`` and space the same."""
        return len(self._tables) > _FORMS.index(join_words)

    def find(self, text: str) -> str | None:
        """Return the name that the whole text is, or None."""
        return next((table[form(text)] for form, table in self._tables if form(text) in table), None)


def merge_spellings(names: Iterable[str]) -> dict[str, str]:
    """Map each spelling to the first one seen that differs from it at most in case, normal form or invisible characters."""
    first: dict[str, str] = {}
    return {name: first.setdefault(fold_case(name), make_key(name)) for name in names}
