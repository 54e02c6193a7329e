"""Seeded damage to valid texts, values and bytes, with content known from hostile files."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from typing import Any

PUMPED = 20_000
"""How often a short piece is repeated: enough to expose a quadratic step, but cheap for a linear one."""

TOKENS = (
    "",
    "\0",
    "\x1b[31m",
    "\x9b2J",
    "\r",
    "\t",
    "\n\n",
    "\u202e",
    "\ufeff",
    "\u2028",
    "\\ud800",
    "\ud800",
    "😀",
    "é",
    "\\",
    "\\\\",
    "'",
    '"',
    "`",
    "```",
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "{{",
    "}}",
    "{%",
    "%}",
    "{0.__class__}",
    "%s",
    "%1000000000d",
    "${HOME}",
    "${NOT_SET}",
    "${A:-b}",
    "$(id)",
    "../../x",
    "/etc/passwd",
    "~nobody-is-called-so/x",
    "[red]",
    "<script>",
    "&",
    "*",
    "&a [*a]",
    "<<: *a",
    "!!python/object/apply:os.system [id]",
    "!!int x",
    "!!binary =",
    "? ",
    ": ",
    "- ",
    "#",
    "|",
    ">",
    "---",
    "...",
    "%YAML 1.1",
    "@",
    "null",
    "~",
    "true",
    ".nan",
    ".inf",
    "-.inf",
    "NaN",
    "Infinity",
    "1e999",
    "-0",
    "0x" + "f" * 5000,
    "9" * 5000,
    "1:59:59:59",
    "2001-99-99",
    "0b_",
    "1_000",
    "1.",
    "-1",
    "The answer is: ",
    "The answer is",
    "Question: ",
    "Rationale: ",
    "<think>",
    "</think>",
    "\\boxed{",
    "\\frac{1}{2}",
    "maximize ",
    "subject to ",
    "x >= ",
    "12",
    "3/0",
    "2 ^ 9 ^ 9",
    "1,000",
    "50%",
    "$",
    "a" * 300,
    " " * 300,
    "(A)",
    "A or B",
    "the given answer",
    "null\n",
    ",",
    ";",
    ".",
    "=",
    "<=",
)
UNITS = (
    " ",
    "\n",
    "\t",
    "a",
    "1",
    "1,",
    "(",
    "[",
    "{",
    '{"a":',
    "- ",
    "&a ",
    "*",
    "* ",
    "$",
    "$1",
    "=",
    "_",
    "#",
    ">",
    "`",
    "``` ",
    "\\",
    "\\(",
    "\\boxed{",
    "{{",
    "{%",
    "A ",
    "A,",
    "or ",
    "1 / ",
    ". ",
    "; ",
    ": ",
    "a\n",
    "\n ",
    "1 ",
    "x + ",
    "- 1",
    "**",
    "** ",
    "The answer is: ",
    "Question: ",
    "ﷺ",
    "é",
    "<think>",
    "</think>",
    "maximize ",
    "subject to ",
    ", and ",
    "\\text{",
    "<",
    "“",
    "'",
    '"',
    "%",
    "\r",
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    2**31,
    2**63,
    2**64,
    -(2**70),
    10**400,
    0.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    float("-inf"),
    "",
    " ",
    "x",
    "\0",
    "\x1b[2J",
    "\ud800",
    "0",
    "1e5",
    "none",
    "a" * 5000,
    [],
    {},
    [[]],
    [None],
    {"": None},
    {"a": {"b": {"c": []}}},
    ["x", 1, None],
    [{"role": "user"}],
    {"x": 1},
    "${HOME}",
    "../../x",
    "~nobody-is-called-so",
    "/dev/null",
    "packaged:none",
    "a/b",
    "/",
    ".",
    "..",
    "{question}",
    "{0}",
    "%d",
)


def mutate_text(draw: random.Random, text: str, tokens: Sequence[str] = TOKENS) -> str:
    """Return the text with one to four random damages."""
    for _ in range(draw.choice((1, 1, 2, 3, 4))):
        start = draw.randint(0, len(text))
        end = min(len(text), start + draw.choice((0, 1, 1, 2, 5, 20, 200)))
        kind = draw.random()
        if kind < 0.35:
            text = text[:start] + draw.choice(tokens) + text[end:]
        elif kind < 0.5:
            text = text[:start] + text[end:]
        elif kind < 0.6:
            text = text[:start] + text[start:end] * draw.choice((2, 3, 50)) + text[end:]
        elif kind < 0.7:
            text = text[:start] + draw.choice(tokens) + draw.choice(tokens) + text[start:]
        elif kind < 0.8:
            other = draw.randint(0, len(text))
            text = text[:start] + text[other : other + end - start] + text[end:]
        elif kind < 0.85:
            text = text[:start]
        elif kind < 0.95:
            letters = [
                chr(draw.choice((draw.randrange(128), draw.randrange(0x3000), draw.randrange(0x110000)))) for _ in range(4)
            ]
            text = text[:start] + "".join(letters) + text[end:]
        else:
            text = text[:start] + draw.choice(UNITS) * draw.choice((30, 1000, PUMPED)) + text[end:]
    return text


def mutate_value(draw: random.Random, value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    """Return the value with one to three of its parts replaced, removed, renamed or repeated."""
    value = copy.deepcopy(value)
    for _ in range(draw.choice((1, 1, 2, 3))):
        holder = [value]
        place: Any = holder
        key: Any = 0
        while isinstance(place[key], (dict, list)) and place[key] and draw.random() < 0.8:
            place = place[key]
            key = draw.choice(list(place)) if isinstance(place, dict) else draw.randrange(len(place))
        kind = draw.random()
        if kind < 0.5 or place is holder:
            place[key] = copy.deepcopy(draw.choice(VALUES))
        elif kind < 0.6:
            del place[key]
        elif kind < 0.7 and isinstance(place, dict):
            place[draw.choice(("", "x", "labels", "name", "a.b", "\0", str(key).upper(), str(key)[:-1]))] = place.pop(key)
        elif kind < 0.85 and isinstance(place[key], str):
            place[key] = mutate_text(draw, place[key])
        elif kind < 0.9:
            place[key] = nest(draw, place[key])
        else:
            place[key] = [place[key]] * draw.choice((1, 2, 300))
        value = holder[0]
    return value


def nest(draw: random.Random, value: Any) -> Any:  # noqa: ANN401 (any JSON value)
    """Return the value nested in many lists or objects."""
    for _ in range(draw.choice((10, 100, 300))):
        value = [value] if draw.random() < 0.5 else {"a": value}
    return value


def mutate_bytes(draw: random.Random, data: bytes) -> bytes:
    """Return the bytes with one to four random damages, regardless of character boundaries."""
    for _ in range(draw.choice((1, 1, 2, 4))):
        start = draw.randint(0, len(data))
        kind = draw.random()
        if kind < 0.4:
            data = data[:start] + draw.randbytes(draw.choice((1, 2, 8))) + data[start + draw.choice((0, 1, 4)) :]
        elif kind < 0.6:
            data = data[:start]
        elif kind < 0.8:
            data = data[:start] + data[start + draw.choice((1, 3, 30)) :]
        else:
            data = (
                data[:start]
                + draw.choice((b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r\n", b"\n" * 50))
                + data[start:]
            )
    return data


def encode(draw: random.Random, text: str) -> bytes:
    """Encode the text: mostly as UTF-8, sometimes damaged or in another encoding."""
    kind = draw.random()
    if kind < 0.75:
        return text.encode("utf-8", "replace")
    if kind < 0.8:
        return text.encode("utf-8", "surrogatepass")
    if kind < 0.85:
        return text.encode("utf-16", "replace")
    return mutate_bytes(draw, text.encode("utf-8", "replace"))
