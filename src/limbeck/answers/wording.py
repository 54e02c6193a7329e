"""When two texts are the same: normal forms of texts as people write them."""

from __future__ import annotations

import re
import unicodedata

from limbeck.answers.typography import DASHES, QUOTES, drop_invisible

_TYPOGRAPHIC = {**QUOTES, **DASHES, ord("…"): "..."}


def normalise_typography(text: str) -> str:
    """Return a text in Unicode NFC with ASCII quotes, hyphens and dots, single spaces and no invisible characters."""
    return " ".join(drop_invisible(unicodedata.normalize("NFC", text)).translate(_TYPOGRAPHIC).split())


def normalise_wording(text: str) -> str:
    """Return the form in which text answers are compared.

    Case, typographic variants, quotes around the whole text, the punctuation that ends it, and commas, colons and semicolons
    between words don't count. Everything else does: signs, digits, operators, and words such as articles.
    """
    text = normalise_typography(text).casefold()
    while True:
        bare = re.sub(r"""^(["'])(.*)\1$""", r"\2", text.strip()).strip()
        bare = re.sub(r"\.$|(?<=\w)[.?,;:]+$|(?<=[^\W\d_]{2})[.!?]+$", "", bare)
        if bare == text:
            break
        text = bare
    text = re.sub(r"(?<=\w)[,;:](?=\s)", "", text)
    return unicodedata.normalize("NFC", text) or normalise_typography(text)
