"""Gives each domain one spelling."""

from __future__ import annotations

from collections.abc import Iterable

from limbeck.answers.identity import merge_spellings


class Spellings:
    """Names that differ at most in case, normal form or invisible characters are one: the first of them that was seen.

    Args:
        known: names that were seen before, such as the domains of the training data.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._found = merge_spellings(known)
        self._known = len(self._found)

    def find(self, name: str) -> str:
        """The name by its first spelling."""
        if name not in self._found:
            self._found[name] = merge_spellings((*self._found, name))[name]
        return self._found[name]

    def list_merged(self) -> dict[str, list[str]]:
        """The other spellings that were found of each name."""
        merged: dict[str, list[str]] = {}
        for spelling, name in list(self._found.items())[self._known :]:
            if spelling != name:
                merged.setdefault(name, []).append(spelling)
        return merged
