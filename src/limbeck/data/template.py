"""The template of a question: its ``{name}`` placeholders, and what only looks like one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

from limbeck.tables import suggest

_BRACES = re.compile(r"\{([^{}]*)\}")
# The arguments of LaTeX commands, \frac{a}{b}, and of ^ and _: braces in them are LaTeX, nested once at most.
_LATEX = re.compile(r"(?:\\[A-Za-z]+\*?|[\^_])(?:\{(?:[^{}]|\{[^{}]*\})*\})+")
# What stands before the brace of an argument.
_ARGUMENT = re.compile(r"(?:\\[A-Za-z]+\*?|[\^_])(?:\{(?:[^{}]|\{[^{}]*\})*\})*\Z")
_STATEMENT = re.compile(r"([%#]).*\1", re.DOTALL)
_SIGILS = "#/^&>~-+ "
_SHOWN_CHARS = 40


def fill_template(template: str, fields: Mapping[str, str]) -> str:
    """Fill the placeholders of a template with fields; placeholders inside field values stay as they are."""
    values = {_to_key(name): value for name, value in fields.items()}
    return _BRACES.sub(lambda match: values.get(_to_key(match[1]), match[0]), template)


def check_template(template: str, fields: Sequence[str]) -> None:
    """Check that a template uses each field, and that nothing in it is a failed attempt at a placeholder.

    A placeholder is ``{name}`` with the name of a field in any script. These are refused: ``{name}`` with another name,
    ``{{ name }}``, ``{ name }``, ``${name}``, ``{name.x}``, ``{name:x}``, ``{name!x}``, ``{name[x]}``, ``{name|x}`` and
    ``{% … %}``. Other braces are text: ``{1, 2}``, ``{}``, JSON, and the arguments of LaTeX commands, such as ``\\frac{a}{b}``.
    An argument that is the name of a field is refused, since it would lose its braces: ``x^{{n}}`` fills in ``n``.

    Raises:
        ValueError: the message names the fields, and says what to write instead.
    """
    names = {_to_key(name): name for name in fields}
    found = list(_BRACES.finditer(template))
    latex = [match.span() for match in _LATEX.finditer(template)]
    unknown = []
    for match in found:
        is_latex = any(start < match.start() and match.end() <= end for start, end in latex)
        _check_form(template, match, names, is_latex=is_latex)
        if _to_key(match[1]) not in names and not is_latex and _is_name(match[1]) and match[1] not in unknown:
            unknown.append(match[1])
    if unknown:
        nearest = suggest(unknown[0], list(fields))
        raise ValueError(f"the template names unknown field(s) {sorted(unknown)}; known: {list(fields)}{nearest}")
    used = {_to_key(match[1]) for match in found}
    unused = [name for key, name in names.items() if key not in used]
    if unused:
        raise ValueError(f"the template never uses the field(s) {unused}: {_find_instead(template, unused[0])}")


def _check_form(template: str, match: re.Match[str], names: Mapping[str, str], *, is_latex: bool) -> None:
    """Refuse braces that name a field or look like a name in a form that is not ours."""
    inside, start, end = match[1], match.start(), match.end()
    is_doubled = template[:start].endswith("{") and template.startswith("}", end)
    key, shown = _to_key(inside.strip().lstrip(_SIGILS).strip()), match[0]
    base = re.split(r"[.\[!:|]", key)[0].strip()
    is_exact = _to_key(inside) in names
    if is_latex and is_exact and not is_doubled and _ARGUMENT.search(template[:start]):
        name = names[_to_key(inside)]
        raise ValueError(
            f"the template has {_cut(shown)!r} at character {start + 1}, as an argument of LaTeX, but {name!r} is a field: "
            f"filled in, it would lose its braces; write {{{{{name}}}}} for the field, or rename the field"
        )
    if is_latex and (is_exact or base not in names):
        return
    if not is_exact and _STATEMENT.fullmatch(inside.strip()):
        raise ValueError(f"the template has {_cut(shown)!r}: only {{name}} is filled in, statements are not")
    if is_doubled:
        if not (base in names or _is_name(key)):
            return
        shown = f"{{{shown}}}"
    elif is_exact:
        if not (template[:start].endswith("$") and not template.startswith("$", end)):
            return
        shown = f"${shown}"
    elif base not in names:
        return
    known = names.get(base)
    nearest = suggest(base, list(names.values()))
    remedy = f"write {{{known}}}" if known else f"placeholders are written {{name}}; known: {list(names.values())}{nearest}"
    raise ValueError(f"the template has {_cut(shown)!r}, which is not filled in: {remedy}")


def _find_instead(template: str, name: str) -> str:
    """Say how to use a field, and what the template has in its place."""
    quoted = re.escape(name)
    other = re.search(rf"%\(\s*{quoted}\s*\)\w?|\$\{{?{quoted}\}}?|<{quoted}>|\[+{quoted}\]+|%{quoted}%|[@:]{quoted}", template)
    instead = f" instead of {_cut(other[0])!r}" if other else ""
    return f"write {{{name}}}{instead} where it belongs, or leave it out of task.fields"


def _to_key(name: str) -> str:
    """The form in which names are compared: accents may be composed or not."""
    return unicodedata.normalize("NFC", name)


def _is_name(text: str) -> bool:
    """Whether a text looks like the name of a field: a letter, then letters of any script, digits, ``_``, ``-`` and spaces."""
    name = text.strip()
    if not name or not (name[0].isalpha() or name[0] == "_"):
        return False
    return all(sign.isalnum() or sign in "_- \u200c\u200d" or unicodedata.category(sign).startswith("M") for sign in name)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"
