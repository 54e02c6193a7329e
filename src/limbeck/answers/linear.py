"""Parses sums of named quantities (``50 * ox carts + 0.7 * (tables + chairs)``) exactly and in bounded time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction

MAX_DEPTH = 12
MAX_DIGITS = 30
MAX_TOKENS = 300

Linear = Mapping[str, Fraction]  # coefficient by name; the constant has the empty name

_NAME_HYPHEN = "\u2011"  # replaces a hyphen inside a name, so every remaining "-" is a minus sign
_SIGNS = str.maketrans(
    {
        "−": " - ",
        "–": "-",
        "‐": "-",
        _NAME_HYPHEN: "-",
        "×": "*",
        "·": "*",
        "⋅": "*",
        "∗": "*",
        "÷": "/",
        "’": "'",
        "‘": "'",
        "“": None,
        "”": None,
        '"': None,
    }
)
_JOINED = re.compile(r"(?<=[\w'])-(?=\w)")
_SYMBOL = re.compile(r"[^\W\d_][0-9]*")  # x, y1: next to a one-letter variable, a hyphen is a minus sign
_WORD_END = re.compile(r"[\w']*$")
_WORD_BEGIN = re.compile(r"\w*")
_WORD_NEXT = re.compile(r"[ \t]+[^\W\d]")  # F-16 jets, 3-D printers
_PERCENT_OF = re.compile(r"%\s+of\s")
_TOKEN = re.compile(
    rf"\s*(?:(?P<name>(?:[0-9]+(?={_NAME_HYPHEN})|[^\W0-9])[\w&'{_NAME_HYPHEN}]*(?:\s+[\w&'{_NAME_HYPHEN}]+)*)"
    r"|(?P<number>(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)|(?P<sign>[-+*/()%]))"
)


class Unreadable(Exception):
    """The text is not a linear sum, or it exceeds the bounds."""


class SumReader:
    """Reads sums that share their variables, and records which names occur in the same sum.

    Attributes:
        sums: for each sum, the names of its terms as written; the input of `choose_names`.
    """

    def __init__(self) -> None:
        self.sums: list[set[str]] = []
        self._tokens: list[tuple[str, str]] = []
        self._place = 0

    def read(self, text: str) -> Linear:
        """Return the coefficient of each name, as written, in a linear sum.

        It reads sums, differences, products and quotients with a number (``2x``, ``2 * x``, ``x * 2``, ``1/3 x``,
        ``0.7 (x + y)``), percentages (``70% of x``), thousands commas and parentheses. A name is one or more words, which may
        contain digits, ``&``, apostrophes and hyphens (``R&B``, ``machine 1``, ``3-wheeler``). A hyphen next to a space is a
        minus sign. So is one with a number or a single letter on both sides (``x-y``, ``x-2y``), unless a word follows
        (``F-16 jets``).

        Raises:
            Unreadable: the text is not a linear sum, or it exceeds the bounds.
        """
        self._tokens, self._place = _tokenize(text), 0
        found = self._read_sum(0)
        if self._place < len(self._tokens):
            raise Unreadable
        return found

    def _next(self) -> str:
        """Return the kind of the next token: ``name``, ``number``, the sign itself, or an empty string at the end."""
        if self._place >= len(self._tokens):
            return ""
        kind, token = self._tokens[self._place]
        return token if kind == "sign" else kind

    def _take(self) -> str:
        self._place += 1
        return self._tokens[self._place - 1][1]

    def _read_sum(self, depth: int) -> Linear:
        if depth > MAX_DEPTH:
            raise Unreadable
        names: set[str] = set()
        total = self._read_term(depth, names)
        while self._next() in ("+", "-"):
            sign = 1 if self._take() == "+" else -1
            total = add(total, self._read_term(depth, names), sign)
        self.sums.append(names)
        return total

    def _read_term(self, depth: int, names: set[str]) -> Linear:
        sign = 1
        while self._next() in ("+", "-"):
            sign = -sign if self._take() == "-" else sign
        value = scale(self._read_factor(depth, names), Fraction(sign))
        while (kind := self._next()) in ("*", "/", "%", "(", "name"):
            if kind in ("*", "/", "%"):
                self._take()
            elif value.keys() - {""}:
                raise Unreadable  # 2x and 2(x) are products; x y and x(y) have no meaning
            if kind == "%":
                value = _divide(value, {"": Fraction(100)})
            elif kind == "/":
                value = _divide(value, self._read_factor(depth, names))
            else:
                value = _multiply(value, self._read_factor(depth, names))
        return value

    def _read_factor(self, depth: int, names: set[str]) -> Linear:
        kind = self._next()
        if kind == "number":
            return {"": Fraction(self._take().replace(",", ""))}
        if kind == "name":
            name = self._take()
            names.add(name)
            return {name: Fraction(1)}
        if kind != "(":
            raise Unreadable
        self._take()
        inner = self._read_sum(depth + 1)
        if self._next() != ")":
            raise Unreadable
        self._take()
        return inner


def _tokenize(text: str) -> list[tuple[str, str]]:
    text = _PERCENT_OF.sub("% * ", _JOINED.sub(_judge_hyphen, text.translate(_SIGNS))).rstrip()
    tokens: list[tuple[str, str]] = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None or len(tokens) >= MAX_TOKENS:
            raise Unreadable
        kind = match.lastgroup or ""
        token = match[kind]
        if kind == "number" and len(token) > MAX_DIGITS:
            raise Unreadable
        tokens.append((kind, " ".join(token.replace("_", " ").replace(_NAME_HYPHEN, "-").split()) if kind == "name" else token))
        place = match.end()
    return tokens


def _judge_hyphen(match: re.Match[str]) -> str:
    before = _WORD_END.search(match.string[max(0, match.start() - 40) : match.start()])
    after = _WORD_BEGIN.match(match.string, match.end())
    left, right = before[0] if before else "", after[0] if after else ""
    left = left.lstrip("0123456789")  # a coefficient: 2x-y
    is_joined = (left and not _SYMBOL.fullmatch(left)) or not (_SYMBOL.fullmatch(right) or right[:1].isdigit())
    return _NAME_HYPHEN if is_joined or _WORD_NEXT.match(match.string, match.end() + len(right)) else " - "


def add(first: Linear, second: Linear, sign: int = 1) -> Linear:
    """Add two linear sums, or subtract the second if `sign` is −1; terms that cancel are dropped."""
    total = dict(first)
    for name, value in second.items():
        total[name] = total.get(name, Fraction(0)) + sign * value
    return {name: value for name, value in total.items() if value}


def scale(linear: Linear, factor: Fraction) -> Linear:
    """Multiply each coefficient by a number."""
    return {name: value * factor for name, value in linear.items() if value * factor}


def _multiply(first: Linear, second: Linear) -> Linear:
    for number, other in ((first, second), (second, first)):
        if not number.keys() - {""}:
            return scale(other, number.get("", Fraction(0)))
    raise Unreadable


def _divide(first: Linear, second: Linear) -> Linear:
    if second.keys() != {""} or not second[""]:
        raise Unreadable
    return scale(first, 1 / second[""])


def fold_name(name: str) -> str:
    """Lower-case a variable's name and drop the plural s of each word of four letters or more."""
    words = name.casefold().split()
    return " ".join(word[:-1] if len(word) > 3 and word[-1] == "s" and word[-2] != "s" else word for word in words)


def choose_names(sums: Iterable[set[str]]) -> Callable[[str], str]:
    """Return how to compare the names of one program: folded, or as written if two names in one sum fold alike.

    A sum of ``A`` and ``a``, or of ``news`` and ``new``, has two variables.
    """
    distinct: set[str] = set()
    for names in sums:
        folded = [fold_name(name) for name in names]
        distinct |= {name for name in folded if folded.count(name) > 1}

    def choose(name: str) -> str:
        return name if fold_name(name) in distinct else fold_name(name)

    return choose
