"""Reads a line as one quantity: a number with what may stand around it, such as a unit.

What is around a number may change it ("5 and a half", "less than 5", "5 below zero", "5!"), so only words and signs that
surely don't are allowed. This module decides what a unit may be.
"""

from __future__ import annotations

import re
from fractions import Fraction

from limbeck.answers.arithmetic import evaluate_arithmetic
from limbeck.answers.clauses import strip_markdown
from limbeck.answers.notation import write_plainly
from limbeck.answers.numerals import CURRENCY_SIGNS, NUMBER_WORDS, find_first_number, write_number
from limbeck.answers.rounding import is_same_number

_MAX_CHARS = 2_000  # of a line; more is no answer
# Words that change a number, make a second one, or leave it open.
_COUNTS = (
    set(NUMBER_WORDS)
    | set("thirty forty fifty sixty seventy eighty ninety hundred thousand million billion trillion lakh crore".split())
    | set("hundreds thousands millions billions dozen dozens score half halves third thirds quarter quarters".split())
    | set("fourth fourths fifth fifths sixth sixths seventh sevenths eighth eighths ninth ninths tenth tenths".split())
    | set("hundredth hundredths thousandth thousandths twice thrice double triple both doubled tripled halved".split())
    | set("tens gross grand change".split())
)
_OPEN = set(
    "or nor not never neither no cannot unknown maybe perhaps possibly plus minus negative "
    "divided multiplied squared cubed factorial root sqrt log ln sin cos tan exp pi modulo mod below "
    "some several few another wrong incorrect invalid impossible false hardly but anything".split()
)
_ABBREVIATIONS = set("k K M B b T G bn mn mio mrd mln mld tsd tys e".split())  # a scale, or a unit
_VARIABLES = set("x y z n i π √ ∞".split())
_FOREIGN_SCALES = re.compile(
    r"mil|mille|mila|tausend|tusen|tisíc|tysi\w+|bin|(?:mill?i|milh|milj|mily|bil[lj]?i|bilj|tril[lj]?i|мил)"
    r"(?:on|oon|ón|ona|oni|ones|onen|oner|õ|ã|ard|liard|ar|лион|лиард)\w*|millón|тыс\w*|млн|млрд|हज़ार|हजार|लाख|करोड़|ألف|مليون|مليار"
)
_BEFORE_ONLY = set(
    "almost nearly least most over under above up more less fewer greater smaller per every each from than between without "
    "times square cube reciprocal inverse question problem step part option exercise".split()
)
_COMPARES = frozenset("more less fewer greater smaller than".split())
_EITHER_LOCALE = re.compile(
    rf"^[-+]?[1-9]\d{{0,2}}\.\d{{3}} ?(?:[{CURRENCY_SIGNS}]|(?:EUR|CHF)\b)|^[-+]?[€£] ?[1-9]\d{{0,2}}\.\d{{3}}\b"
)  # 1.234 €
_UNIT_CHARS = re.compile(rf"(?:[^\W\d_]|[\s%°¢'’\".,;:*`()&/×²³^-]|[{CURRENCY_SIGNS}])*")
_POWER = re.compile(r"([A-Za-z]) ?\^ ?[({]?-?[1-9][)}]?")  # m^2
_CJK_CHANGES = re.compile("[千百十兆半几幾数數多余余不没未]|かそれ|以上|以下|未満|左右")
_ATTACHED = re.compile(
    r"(?:kg|mg|cm|mm|km|ml|ha|ft|in|oz|lb|lbs|mph|kmh|kWh|GB|MB|kB|TB|Hz|kHz|MHz|GHz|min|sec|hrs?|[ghLlVWJN])\b|[^\W\d_]{4,}"
)
_IN_NUMBER = re.compile(r"(?<=[a-z] )(?:in|for|after|within|during|over|on) (?:the )?(?:\w+ )?\d+(?= [a-z])")
# Words of Latin letters, or of others: "thousand个" is two.
_WORD = re.compile(r"[A-Za-zÀ-ɏ]+(?:['’][A-Za-zÀ-ɏ]+)?|[^\W\d_A-Za-zÀ-ɏ]+")
_EQUALS = re.compile(r"[=≈≃≅→⇒]")
_OPERATOR = re.compile(r"[-+*/×÷^]")


def read_quantity(text: str) -> Fraction | None:
    """Return the exact value of the one number in a text, in any notation and with or without a unit.

    None if there is no number, if there are two, if the words around it may change it, or if it is compared with something.
    """
    if len(text) > _MAX_CHARS:
        return None
    text = write_plainly(strip_markdown(text))
    found = find_first_number(text)
    if found is None or _COMPARES & set(found.after.lower().split()):
        return None
    return _read_statement(text)


def read_stated_quantity(line: str) -> Fraction | None:
    """Return the quantity that a line states, as `read_quantity` does or as the result of an equation."""
    if len(line) > _MAX_CHARS:
        return None
    text = write_plainly(strip_markdown(line))
    sides = [side.strip() for side in _EQUALS.split(text)]
    return _read_statement(text) if len(sides) == 1 else _read_equation(sides)


def read_result(sentence: str) -> Fraction | None:
    """Return the result of the last equation in a sentence: 24 of "so she sold 48 / 2 = 24 clips in 3 days"; else None.

    What is left of the ``=`` doesn't count, and the words after the result may name another number after a preposition.
    """
    *left, last = _EQUALS.split(write_plainly(strip_markdown(sentence)))
    if not left or (len(left) > 1 and re.search(r"\bor\b", left[-1])):
        return None
    found = find_first_number(last)
    if found is None or found.before.strip():
        return None
    after = _IN_NUMBER.sub(" ", found.after)
    return found.value if is_unit(after) else None


def is_unit(text: str) -> bool:
    """Whether what follows a number leaves its value alone: a unit, the things counted, or nothing."""
    rest = re.sub(r"(?<=[^\W\d_])[.!！]+$|[.。．｡]+$", "", _POWER.sub(r"\1", text).rstrip())
    if re.search(r"\d", rest) or not _UNIT_CHARS.fullmatch(rest) or _CJK_CHANGES.search(rest):
        return False
    if rest[:1].isalpha() and rest[0].isascii() and not _ATTACHED.match(rest):
        return False
    return not any(_changes_numbers(word) for word in _WORD.findall(rest))


def _changes_numbers(word: str) -> bool:
    low = word.lower()
    return (
        word in _ABBREVIATIONS | _VARIABLES
        or (len(word) > 1 and low in _ABBREVIATIONS)
        or low in _COUNTS | _OPEN
        or low.endswith(("n't", "n’t"))
        or _FOREIGN_SCALES.fullmatch(low) is not None
    )


def _read_statement(text: str) -> Fraction | None:
    inner = re.fullmatch(r"\(([\w.\s/-]*)\)", text)
    found = find_first_number(inner[1] if inner else text)
    if found is None or not is_unit(found.after) or not _may_precede(found.before):
        return None
    if _EITHER_LOCALE.search(text[len(found.before) :]):
        return None
    return found.value


def _may_precede(text: str) -> bool:
    """Whether the words before a number leave its value alone."""
    if re.search(r"[^\w\s'’\".,:;*`~≈]|\d|_$", text):
        return False
    words = _WORD.findall(text)
    return not any(_changes_numbers(word) or word.lower() in _BEFORE_ONLY for word in words) and not _CJK_CHANGES.search(text)


def _read_equation(sides: list[str]) -> Fraction | None:
    """Return the quantity that the sides of an equation have in common: 12 of ``x = 3 * 4 = 12`` and of ``12 = 3 * 4``.

    A side without digits is a name. A side that is neither a quantity nor arithmetic, such as ``5 apples + 3 apples``, must be
    in front of the result and contain an operator.
    """
    if len(sides) > 1 and not re.search(r"\d", sides[0]):
        sides = sides[1:]
    quantities = [_read_statement(side) for side in sides]
    stated = [value for value in quantities if value is not None]
    if not stated:
        return None
    result = stated[-1]
    for side, value in zip(sides, quantities, strict=True):
        other = evaluate_arithmetic(side) if value is None else value
        if other is None:
            if side is sides[-1] or not _OPERATOR.search(side) or re.search(r"[,;]|\b(?:and|or)\b", side):
                return None
        elif not is_same_number(write_number(other), write_number(result)):
            return None
    return result
