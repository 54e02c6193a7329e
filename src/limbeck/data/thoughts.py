"""Splits a text into thoughts and what is meant for the reader."""

from __future__ import annotations


def split_thoughts(content: str) -> tuple[str, str]:
    """Split content into ``(reasoning, text)`` at a leading ``<think>`` block; if it is never closed, all is reasoning.

    The opening tag may be missing, since some chat templates put it into the prompt.
    """
    before, tag, after = content.rpartition("</think>")
    if tag:
        return before.strip().removeprefix("<think>").strip(), after.strip()
    if content.lstrip().startswith("<think>"):
        return content.strip().removeprefix("<think>").strip(), ""
    return "", content
