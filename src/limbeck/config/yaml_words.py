"""Finds plain YAML scalars that mean something else than they look like: ``yes`` is true, ``010`` is 8, ``12:30`` is 750."""

from __future__ import annotations

import re

import yaml

_TEXTS = (
    *(("task", name) for name in ("labels", "attributes", "fields", "answer_prefix", "noun", "instruction")),
    *(("data", name) for name in ("domains", "columns", "fields")),
)
"""Where the config wants texts: labels, domains, columns, values of attributes."""

_ODD_NUMBER = re.compile(r"[-+]?(?:0[0-7_]+|0b[01_]+|[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?)")


def check_words(node: yaml.Node | None, path: tuple[str, ...] = ()) -> None:
    """Refuse scalars without quotes that YAML 1.1 reads as another value than what is written.

    Octal, binary and sexagesimal numbers are refused everywhere; booleans, nulls and numbers that are not in their simplest
    form where the config wants texts.

    Args:
        node: a YAML document, or a part of it.
        path: the keys above the node.

    Raises:
        ValueError: the message names the line, the value that YAML reads, and the remedy.
    """
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            _check_scalar(key, path, is_value=False)
            check_words(value, (*path, key.value if isinstance(key, yaml.ScalarNode) else ""))
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_scalar(item, path, is_value=False)
            check_words(item, path)
    elif node is not None:
        _check_scalar(node, path, is_value=True)


def _check_scalar(node: yaml.Node, path: tuple[str, ...], *, is_value: bool) -> None:
    if not isinstance(node, yaml.ScalarNode) or node.style in ("'", '"', "|", ">"):
        return
    kind = node.tag.rpartition(":")[2]
    if kind in ("str", "merge", "value") or not (_ODD_NUMBER.fullmatch(node.value) or path[:2] in _TEXTS):
        return
    if kind == "null" and is_value:
        return
    value = yaml.SafeLoader("").construct_object(node)
    if kind in ("int", "float") and str(value) == node.value:
        return
    shown = {True: "true", False: "false", None: "null"}.get(value, value) if kind in ("bool", "null") else value
    number = f", or {value} if it is a number" if kind in ("int", "float") else ""
    raise ValueError(
        f"line {node.start_mark.line + 1}: YAML reads {node.value or 'nothing'} as {shown!s}; put it in quotes, "
        f'"{node.value}", if it is a text{number}'
    )
