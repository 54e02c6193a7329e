r"""Rewrites typographic and LaTeX notation in plain characters: ``½`` as ``1/2``, ``−`` as ``-``, ``\times`` as ``×``."""

from __future__ import annotations

import re
import unicodedata

from limbeck.answers.typography import DASHES, drop_invisible

_SIGNS = DASHES | str.maketrans(
    {
        **dict.fromkeys("⁄∕", "/"),
        **dict.fromkeys("⋅·∙∗", "×"),
        **dict.fromkeys("\u00a0\u2002\u2003\u2007\u2008\u2009\u200a\u202f\u3000", " "),
        "٫": ".",
        "٬": ",",
        "＝": "=",
    }
)
_JOIN = "\ue001"  # in front of a fraction; after a digit it makes a mixed number
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_LATEX = (
    (re.compile(r"\\[dtc]frac"), r"\\frac"),
    (re.compile(r"\\frac(\d)(\d)"), r"\\frac{\1}{\2}"),
    (re.compile(r"(?<=\d)\s?\\frac\{(\d+)\}\{(\d+)\}"), r" \1/\2"),  # a mixed number
    (re.compile(r"(?<=[-+])\\frac\{([^{}\\]*)\}\{([^{}\\]*)\}"), r"\1/\2 "),
    (re.compile(r"\\frac\{([^{}\\]*)\}\{([^{}\\]*)\}"), r" \1/\2 "),
    (re.compile(r"\\(?:text|mathrm|textbf|mathbf|mbox|operatorname)\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"(?<=\d)\{,\}(?=\d)|(?<=\d)\\,(?=\d{3})"), ","),
    (re.compile(r"\\[!,;: ]|\\(?:left|right|displaystyle)(?![A-Za-z])|~"), " "),
    (re.compile(r"\^?\{?\\circ\}?"), "°"),
    (re.compile(r"\\times|\\cdot"), "×"),
    (re.compile(r"\\approx"), "≈"),
    (re.compile(r"\\div(?![A-Za-z])"), "÷"),
    (re.compile(r"\\([%$€£&#])"), r"\1"),
)
_MATH = re.compile(r"\$\$?([^$\n]+?)\$?\$(?!\d)|\\\((.+?)\\\)|\\\[(.+?)\\\]")
_WORD = re.compile(r"(?<!\\)\b[A-Za-z]{3,}")


def write_plainly(text: str) -> str:
    """Return a text with digits, signs, fractions, spaces and LaTeX commands in plain characters; other text stays."""
    text = drop_invisible(text)
    if not text.isascii():
        text = "".join(map(_write_char, text))
        text = re.sub(rf"(?<=\d){_JOIN}", " ", text).replace(_JOIN, "")
        text = re.sub(r"(?<=\d|[)}])[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+|(?<=[A-Za-z])[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+", _write_power, text)
        text = text.translate(_SIGNS)
    text = _MATH.sub(_open_math, text.replace("\\$", "\ue000"))
    if "\\" in text or "{," in text or "~" in text:
        for pattern, plain in _LATEX:
            text = pattern.sub(plain, text)
    return re.sub(r"(?<=\d) {2,}(?=\d)", " ", text.replace("\ue000", "$")).strip()


def _open_math(match: re.Match[str]) -> str:
    """Return what math delimiters enclose; dollar signs around words are two prices."""
    inner = match[1] or match[2] or match[3]
    bare = re.sub(r"\\[a-z]+\{[^{}]*\}", "", inner)
    return match[0] if match[1] and _WORD.search(bare) else inner


def _write_char(char: str) -> str:
    if "\uff01" <= char <= "\uff5e":  # full-width forms of ASCII
        return chr(ord(char) - 0xFEE0)
    digit = unicodedata.decimal(char, None)
    if digit is not None:
        return str(digit)
    if unicodedata.decomposition(char).startswith("<fraction>"):
        top, _, bottom = unicodedata.normalize("NFKC", char).partition("⁄")
        return f"{_JOIN}{top}/{bottom}" if bottom else char
    return char


def _write_power(match: re.Match[str]) -> str:
    return "^" + match[0].translate(_SUPERSCRIPTS)
