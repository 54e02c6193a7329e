"""Reads numbers as people write them, as exact fractions.

One grammar serves data, teachers and students. It reads groups of digits and decimals of several locales, fractions, mixed
numbers, powers, scientific notation, scale words ("1.5 million"), signs, currencies and percent, in plain text and in LaTeX.
What can be read in two ways is no number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from limbeck.answers.notation import write_plainly

_MAX_CHARS = 1_600
_MAX_DIGITS = 400

SCALES = {
    "hundred": 10**2,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "lakh": 10**5,
    "crore": 10**7,
    "万": 10**4,
    "萬": 10**4,
    "亿": 10**8,
    "億": 10**8,
    "만": 10**4,
    "억": 10**8,
}
_FIRST = r"[1-9]\d{0,2}"  # of grouped digits: "0,123" is a decimal
_FORMS = (
    rf"{_FIRST}(?:\.\d{{3}})+,\d+",  # 1.234,50
    rf"{_FIRST}(?:\.\d{{3}}){{2,}}(?!\d)",  # 1.234.567
    rf"{_FIRST}(?:,\d{{3}})+(?!,?\d)(?:\.\d+)?",  # 1,234.5
    r"[1-9]\d?(?:,\d{2})+,\d{3}(?!,?\d)(?:\.\d+)?",  # 12,34,567
    rf"{_FIRST}(?:['’]\d{{3}})+(?!\d)(?:[.,]\d+)?",  # 1'234
    rf"{_FIRST}(?:_\d{{3}})+(?!\d)(?:\.\d+)?",  # 1_234
    rf"{_FIRST}(?: \d{{3}})+(?! ?\d)(?:[.,]\d+)?",  # 1 234,5
    r"\d+,(?:\d{1,2}|\d{4,})(?!,?\d)",  # 3,5
    r"0,\d+(?!,?\d)",
    r"\d+(?:\.\d*)?",
    r"\.\d+",
)
_DIGITS = rf"(?:{'|'.join(_FORMS)})(?:[eE][-+]?\d{{1,2}}(?!\d))?"
CURRENCY_SIGNS = "$€£¥₹₩₽₺₫฿₪₴₦₱"
_CURRENCY = rf"(?:(?:US|A|C|CA|AU|NZ|HK|S|R)?[{CURRENCY_SIGNS}]|(?:USD|EUR|GBP|JPY|CHF|INR|CNY|RMB|CAD|AUD|Rs\.?)) ?"
_NUMBER = re.compile(
    rf"(?P<sign>[-+]?)(?:{_CURRENCY})?(?P<inner>[-+]?)"
    r"(?:(?P<whole>\d{1,9}) (?P<part>\d{1,4})/(?P<parts>\d{1,4})(?![\d.,/])"  # 3 1/2
    rf"|(?P<mantissa>{_DIGITS}) ?[×xX*] ?10 ?(?:\^|\*\*) ?[({{]?(?P<tens>[-+]?\d{{1,2}})[)}}]?(?!\d)"
    rf"|(?P<base>{_DIGITS}) ?(?:\^|\*\*) ?[({{]?(?P<power>-?\d{{1,2}})[)}}]?(?!\d)"
    rf"|(?P<over>{_DIGITS}) ?/ ?(?P<under>-?(?:{_DIGITS}))(?! ?/)"
    rf"|(?P<plain>{_DIGITS}))"
    rf"(?: ?(?P<scale>(?i:{'|'.join(filter(str.isascii, SCALES))})s?(?![A-Za-z])"
    rf"|[{''.join(word for word in SCALES if len(word) == 1)}]))?"
)
# Where a number may begin: a hyphen after a letter, a digit or a bracket joins or subtracts; it is no sign.
_START = re.compile(rf"(?<![\w.,)\]}}%])(?:[-+](?=[A-Z]{{0,3}}[{CURRENCY_SIGNS}]|[-+]?\.?\d))?(?:{_CURRENCY})?[-+]?(?=\.?\d)")


@dataclass(frozen=True)
class Found:
    """The first number of a text.

    Attributes:
        value: its exact value.
        before, after: the text around it.
    """

    value: Fraction
    before: str
    after: str


def find_first_number(text: str) -> Found | None:
    """Find the first digits of a text and read the number they belong to; None if there are none or they are no number.

    Args:
        text: any text, in the notation of `write_plainly`.
    """
    digit = re.search(r"\d", text)
    start = _START.search(text)
    if digit is None or start is None or start.start() > digit.start() or len(text) > _MAX_CHARS:
        return None
    match = _NUMBER.match(text, start.start())
    value = None if match is None else _compute(match)
    return None if match is None or value is None else Found(value, text[: match.start()], text[match.end() :])


def parse_number(text: str) -> Fraction | None:
    """Return the exact value of a number without a unit (``-1,204.50``, ``$3``, ``3/4``, ``12%`` as 12), or None."""
    if len(text) > _MAX_CHARS:
        return None
    found = find_first_number(write_plainly(text))
    if found is None or found.before.strip() or not re.fullmatch(rf"[\s%{CURRENCY_SIGNS}.,]*", found.after):
        return None
    return found.value


def _compute(match: re.Match[str]) -> Fraction | None:
    """Return the value of a match of `_NUMBER`, or None if it is too large, divides by zero or has two signs."""
    if len(match[0]) > _MAX_DIGITS or (match["sign"] and match["inner"]):
        return None
    try:
        value = _compute_size(match)
    except ZeroDivisionError:
        return None
    if match["scale"]:
        value *= SCALES[match["scale"].lower().removesuffix("s")]
    return -value if "-" in (match["sign"], match["inner"]) else value


def _compute_size(match: re.Match[str]) -> Fraction:
    if match["whole"]:
        return int(match["whole"]) + Fraction(int(match["part"]), int(match["parts"]))
    if match["mantissa"]:
        return _read_digits(match["mantissa"]) * Fraction(10) ** int(match["tens"])
    if match["base"]:
        return _read_digits(match["base"]) ** int(match["power"])
    if match["over"]:
        return _read_digits(match["over"]) / _read_digits(match["under"])
    return _read_digits(match["plain"])


def _read_digits(digits: str) -> Fraction:
    """Return the value of digits in one of the `_FORMS`."""
    digits = re.sub(r"[ '’_]", "", digits)
    last = max(digits.rfind("."), digits.rfind(","))
    has_decimals = last >= 0 and digits.count(digits[last]) == 1
    if digits[last] == "," and re.fullmatch(rf"-?{_FIRST},\d{{3}}", digits):
        has_decimals = False  # 1,234
    if has_decimals:
        return Fraction(re.sub(r"[.,]", "", digits[:last]) + "." + digits[last + 1 :])
    return Fraction(re.sub(r"[.,]", "", digits))


def write_number(value: Fraction) -> str:
    """Return the canonical form of a number: a finite decimal if there is one, else a fraction."""
    denominator = value.denominator
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator //= prime
    if value.denominator == 1 or denominator != 1:
        return str(value)
    digits = 0
    while (value * 10**digits).denominator != 1:
        digits += 1
    scaled = str(abs(int(value * 10**digits))).rjust(digits + 1, "0")
    return ("-" if value < 0 else "") + scaled[:-digits] + "." + scaled[-digits:]


NUMBER_WORDS = {
    word: value
    for value, word in enumerate(
        (
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
            "eighteen nineteen twenty"
        ).split()
    )
}
"""The whole numbers up to twenty, by their English names."""
