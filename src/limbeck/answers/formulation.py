"""Parses linear programs written as text (NL4OPT) into a normal form in which equal programs compare equal."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from limbeck.answers.answer_type import AnswerType
from limbeck.answers.linear import Linear, SumReader, Unreadable, add, choose_names

MAX_CHARS = 4_000
MAX_CLAUSES = 60
_MAX_PROGRAMS = 12  # candidates tried, from the end of the text

Terms = tuple[tuple[str, Fraction], ...]  # sorted by name; an objective's constant has the empty name

_MARKS = r"[\s>#*_•-]{0,8}"
_BEGIN = re.compile(
    rf"^{_MARKS}(?:objective(?: function)?[\s:*_]{{0,8}})?(?P<direction>max|min)(?:imi[sz]e|imum)?\b",
    re.IGNORECASE | re.MULTILINE,
)
# Mid-line, only the verb starts a program: "Oil Max" is a product.
_LAST = re.compile(rf"\b(?:max|min)imi[sz]e\b|(?:^|:){_MARKS}\b(?:max|min)(?:imum)?\b", re.IGNORECASE | re.MULTILINE)
_ANOTHER = re.compile(r"\b(?:maximi[sz]e|minimi[sz]e|subject\s+to|such\s+that)\b", re.IGNORECASE)
_SUBJECT = re.compile(
    r"(?:\bsubject\s+to\b|\bsuch\s+that\b|\bs\.\s?t\.|\bs[./]t\b)"
    r"(?:[ \t]+the\b)?(?:[ \t]+following\b)?(?:[ \t]+constraints?\b)?"
    r"|^[^\w\n]{0,8}constraints?[*_]{0,2}:",
    re.IGNORECASE | re.MULTILINE,
)
_PREAMBLE = re.compile(rf"{_MARKS}(?:decision\s+)?variables?\b|[\s:*_#]*(?:objective(?: function)?)?[\s:*_#]*\Z", re.IGNORECASE)
_FENCE = re.compile(r"^[ \t]*```[\w-]*[ \t]*$", re.MULTILINE)
_BOLD = re.compile(r"(?<![\w)])\*\*([A-Za-z][A-Za-z .:]{0,60})\*\*(?![\w(])|^[ \t]*\*\*(.*)\*\*[ \t]*$", re.MULTILINE)
_WORDS = re.compile(r"\\(?:text|mathrm|textbf|operatorname)\{([^{}]{0,80})\}|(?<=_)\{(\w{1,20})\}")
_FRACTION = re.compile(r"\\[dt]?frac\{([0-9.]{1,20})\}\{([0-9.]{1,20})\}")
_COMMAND = re.compile(r"\\(?P<name>leqslant|leq|le|geqslant|geq|ge|times|cdot|left|right|quad)(?![A-Za-z])")
_COMMANDS = {"leqslant": "≤", "leq": "≤", "le": "≤", "geqslant": "≥", "geq": "≥", "ge": "≥", "times": "*", "cdot": "*"}
_PLAIN = (("\\\\", "\n"), ("\\[", ""), ("\\]", ""), ("\\(", ""), ("\\)", ""), ("\\$", ""), ("\\%", "%"), ("$", ""), ("`", ""))
_LABEL = re.compile(r"[^\W\d][^:<>=≤≥+*/\n]{0,60}:")
_NAMED = re.compile(r"[^\W\d][\w ,()]{0,60}=(?![<>=])")
_DASHED = re.compile(r"\s*[-–]\s+")
_BULLET = re.compile(r"\s*(?:[*•▪◦]\s+|[0-9]{1,2}[.)]\s+|and\s+)+", re.IGNORECASE)
_COMPARISON = re.compile(r"(<=|>=|=<|=>|==|[<>=≤≥⩽⩾])")
_COMPARING = re.compile(r"[<>=≤≥⩽⩾]|\\[lg]e")
# A comma between digits groups thousands. "and" separates constraints only after a number; elsewhere it is part of a name.
_SEPARATOR = re.compile(r"[;\n]|,(?![0-9])|(?<=[0-9)%])[ \t]+(?=and\b)")


@dataclass(frozen=True)
class Constraint:
    """``sum of terms ≤ limit`` (or ``=``), scaled so that the largest coefficient is 1 or −1.

    The first coefficient of an equality is positive.
    """

    terms: Terms
    limit: Fraction
    is_equality: bool


@dataclass(frozen=True)
class Formulation:
    """A linear program.

    Attributes:
        direction: ``maximize`` or ``minimize``; None if the text begins with its constraints.
        objective: coefficient by name, as given; empty if there is none.
        constraints: in normal form; their order does not matter.
    """

    direction: str | None
    objective: Terms
    constraints: frozenset[Constraint]


def parse_formulation(text: str) -> Formulation | None:
    """Parse a linear program: a direction, an objective, "subject to" and constraints; None if the text is not one.

    It accepts the forms that models use: other spellings of words and signs (``Maximise``, ``s.t.``, ``≤``, ``=<``),
    markdown, bullets (dashes count only if every line begins with one), labels, a name before the objective (``Z =``),
    newlines, commas or semicolons between constraints, a list of variables first, ``2 <= x <= 5``, and every sum that
    `SumReader.read` accepts. It reads ``<`` as ``≤``. `choose_names` decides which names are the same. Any other word
    makes the text unreadable. Nothing is added (such as ``x >= 0``) or rounded (``1/3`` is not ``0.3333``).
    """
    if len(text) > MAX_CHARS:
        return None
    try:
        return _parse(_clean(text))
    except Unreadable:
        return None


def is_equal_formulation(first: str, second: str) -> bool:
    """Whether two programs have the same direction, objective and set of constraints, in any form and order.

    If either can't be parsed, they are equal only if their texts match, ignoring case and whitespace.
    """
    a, b = parse_formulation(first), parse_formulation(second)
    if a is None or b is None:
        return first.casefold().split() == second.casefold().split()
    return a == b


def read_formulation(text: str) -> str | None:
    """Return the text of a program without the code fence around it, or None if the text is not a program."""
    text = _FENCE.sub("", text).strip().strip("`").strip()
    return None if parse_formulation(text) is None else text


def find_last_formulation(text: str) -> str | None:
    """Return the last program in a text, from ``maximize`` or ``minimize`` to the last line with a comparison, or None."""
    for match in reversed(list(_LAST.finditer(text))[-_MAX_PROGRAMS:]):
        lines = _FENCE.split(text[match.start() :].lstrip(": \t\n"), maxsplit=1)[0].split("\n")
        while lines and not _COMPARING.search(lines[-1]):
            lines.pop()
        found = read_formulation("\n".join(lines))
        if found is not None:
            return found
    return None


def _clean(text: str) -> str:
    text = _BOLD.sub(lambda match: match[1] or match[2], _FENCE.sub("", text))
    text = _FRACTION.sub(r"(\1/\2)", _WORDS.sub(lambda match: match[1] or match[2] or "", text))
    text = _COMMAND.sub(lambda match: _COMMANDS.get(match["name"], ""), text)
    for command, sign in _PLAIN:
        text = text.replace(command, sign)
    return text.strip()


def _parse(text: str) -> Formulation:
    begin = _BEGIN.search(text)
    preamble = text[: begin.start()] if begin else ""
    if preamble.strip() and not _PREAMBLE.match(preamble):
        raise Unreadable
    body = text[begin.end() :] if begin else text
    subject = _SUBJECT.search(body)
    if subject is None or (begin is None and subject.start() > 0):
        raise Unreadable
    goal, block = body[: subject.start()], body[subject.end() :]
    if _ANOTHER.search(goal) or _ANOTHER.search(block):
        raise Unreadable
    reader = SumReader()
    objective = _read_objective(goal, reader)
    clauses = _split_clauses(block)
    if not 0 < len(clauses) <= MAX_CLAUSES:
        raise Unreadable
    rows = [row for clause in clauses for row in _read_comparisons(clause, reader)]
    choose = choose_names(reader.sums)
    direction = f"{begin['direction'].lower()}imize" if begin else None
    return Formulation(direction, _rename(objective, choose), frozenset(_normalise(*row, choose) for row in rows))


def _read_objective(goal: str, reader: SumReader) -> Linear:
    goal = " ".join(goal.split()).removeprefix(". ").lstrip(":* ").rstrip(",;. ")
    for before in (_LABEL, _NAMED):
        match = before.match(goal)
        goal = goal[match.end() :].strip() if match else goal
    return reader.read(goal) if goal else {}


def _split_clauses(block: str) -> list[str]:
    first, *lines = block.lstrip(" \t:*_").split("\n")
    lines = [line for line in lines if line.strip()]
    if not first.strip() and lines and all(map(_DASHED.match, lines)):
        if len(lines) == 1:
            raise Unreadable  # ambiguous: a bullet or a minus sign
        lines = [_DASHED.sub("", line, count=1) for line in lines]
    clauses = []
    for clause in _SEPARATOR.split("\n".join((first, *lines))):
        clause = _BULLET.sub("", clause, count=1) if _BULLET.match(clause) else clause
        label = _LABEL.match(clause)
        clauses.append((clause[label.end() :] if label else clause).strip().rstrip(".").strip())
    return [clause for clause in clauses if clause]


def _read_comparisons(clause: str, reader: SumReader) -> list[tuple[Linear, str]]:
    """Return each comparison of a clause as a sum that is ``<=`` 0 or ``=`` 0."""
    parts = _COMPARISON.split(clause)
    if len(parts) not in (3, 5):
        raise Unreadable
    # Some NL4OPT rows lack the left side: read it as an empty sum.
    sides = [reader.read(part) if part.strip() or place else {} for place, part in enumerate(parts[::2])]
    rows = []
    for left, sign, right in zip(sides, parts[1::2], sides[1:], strict=False):
        if sign in ("=", "=="):
            rows.append((add(left, right, -1), "="))
        else:
            rows.append((add(left, right, -1) if sign in ("<=", "=<", "<", "≤", "⩽") else add(right, left, -1), "<="))
    return rows


def _normalise(row: Linear, sign: str, choose: Callable[[str], str]) -> Constraint:
    terms = _rename(row, choose)
    limit = -dict(terms).get("", Fraction(0))
    terms = tuple(term for term in terms if term[0])
    is_equality = sign == "="
    if terms:
        factor = 1 / max(abs(value) for _, value in terms)
        factor = -factor if is_equality and terms[0][1] < 0 else factor
        terms = tuple((name, value * factor) for name, value in terms)
        limit *= factor
    elif is_equality:
        limit = abs(limit)
    return Constraint(terms, limit, is_equality)


def _rename(linear: Linear, choose: Callable[[str], str]) -> Terms:
    total: Linear = {}
    for name, value in linear.items():
        total = add(total, {choose(name): value})
    return tuple(sorted(total.items()))


FORMULATION = AnswerType(
    lambda cell, labels: read_formulation(cell),
    lambda text, labels: find_last_formulation(text),
    is_equal_formulation,
    read_line=lambda text, labels: read_formulation(text) or find_last_formulation(text),
    is_multiline=True,
    has_rouge=True,
)
