"""Parses YAML configs into plain values, within limits, since a config may be untrusted."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, ClassVar

import yaml

from limbeck.config.yaml_words import check_words
from limbeck.errors import ConfigError

MAX_BYTES = 256 * 2**10
MAX_DEPTH = 20
MAX_DIGITS = 20
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def read_yaml(path: Path) -> dict[str, Any]:
    """Read the mapping in a YAML file; an empty file gives an empty mapping.

    Raises:
        ConfigError: the file can't be read, is larger than `MAX_BYTES` or is not a mapping; see also `parse_yaml`.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ConfigError(f"{path}: more than {MAX_BYTES:,} bytes; is it a config?")
        text = content.decode("utf-8")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or an invalid path
        raise ConfigError(f"{path}: {(error.strerror or error) if isinstance(error, OSError) else error}") from error
    values = parse_yaml(text, str(path))
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping of keys, found {type(values).__name__}")
    return values


class _Loader(yaml.SafeLoader):
    """Loads plain values only: rejects aliases and repeated keys, and keeps dates as text."""

    yaml_implicit_resolvers: ClassVar = {  # type: ignore[misc]
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:  # noqa: ANN401
        """Reject aliases: a few of them can expand to billions of values."""
        if self.check_event(yaml.AliasEvent):
            raise ValueError(f"line {self.line + 1}: aliases (*) are not supported; write the value out")
        node: yaml.Node | None = super().compose_node(parent, index)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Reject a key that is given twice; YAML would silently keep the last one."""
        seen: set[str] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():  # a list may be tagged !!map
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise ValueError(f"line {key.start_mark.line + 1}: key {key.value!r:.80} is given twice; keep one")
                seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: ANN401 (any YAML value)
        """Say where a value does not fit its tag, such as ``!!int x``; PyYAML raises whatever its parser ran into."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError) as error:
            if not isinstance(node, yaml.ScalarNode):
                raise  # of a value inside, which is explained already
            kind, reason = node.tag.rpartition(":")[2], f": {error}" if isinstance(error, ValueError) else ""
            place = f"line {node.start_mark.line + 1}"
            raise ValueError(f"{place}: {node.value!r:.80} can't be read as {kind}{reason}") from error


def parse_yaml(text: str, place: str, under: str = "") -> Any:  # noqa: ANN401 (any YAML value)
    """Parse a YAML text.

    Args:
        text: the text.
        place: its file or option, for errors.
        under: the dotted key whose value the text is; empty for a whole config.

    Raises:
        ConfigError: not YAML, an alias, a key given twice, more than `MAX_DEPTH` levels, a number of more than `MAX_DIGITS`
            digits, text that can't be written to a file, or a word that YAML reads as another value (see `check_words`).
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        value = None if node is None else loader.construct_document(node)
    except RecursionError as error:
        raise ConfigError(f"{place}: nested too deep; at most {MAX_DEPTH} levels are allowed") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{place}: not YAML: {' '.join(str(error).split())[:500]}") from error
    _check(value, place)
    try:
        check_words(node, tuple(under.split(".")) if under else ())
    except ValueError as error:
        raise ConfigError(f"{place}: {error}") from error
    return value


def _check(value: object, place: str, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        raise ConfigError(f"{place}: nested too deep; at most {MAX_DEPTH} levels are allowed")
    if isinstance(value, (dict, list)):
        for child in [*value, *value.values()] if isinstance(value, dict) else value:
            _check(child, place, depth + 1)
    elif isinstance(value, str):
        check_text(value, place)
    elif isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
        raise ConfigError(f"{place}: a number of more than {MAX_DIGITS} digits")
    elif value is not None and not isinstance(value, (bool, int, float)):
        raise ConfigError(f"{place}: {value!r:.80} is a {type(value).__name__}; write plain values without tags")


def check_text(text: str, place: str) -> None:
    """Reject text that can't be written to a file or a message.

    Raises:
        ConfigError: it contains a null character or a lone surrogate.
    """
    if any("\ud800" <= char <= "\udfff" or char == "\0" for char in text):
        raise ConfigError(f"{place}: a null character or half of a character (a lone surrogate) in {text!r:.80}")


def expand(value: Any, path: Path) -> Any:  # noqa: ANN401 (any YAML value)
    """Replace each ``${VARIABLE}`` in the texts of a value from the environment, or by the default after ``:-``.

    Raises:
        ConfigError: a variable is not set and has no default.
    """
    if isinstance(value, dict):
        return {key: expand(item, path) for key, item in value.items()}
    if isinstance(value, list):
        return [expand(item, path) for item in value]
    if not isinstance(value, str):
        return value

    def look_up(match: re.Match[str]) -> str:
        found = os.environ.get(match[1], match[2])
        if found is None:
            raise ConfigError(
                f"{path}: the environment variable {match[1]} is not set; set it, or write ${{{match[1]}:-DEFAULT}}"
            )
        check_text(found, f"{path}: the environment variable {match[1]}")
        return found

    return _VARIABLE.sub(look_up, value)
