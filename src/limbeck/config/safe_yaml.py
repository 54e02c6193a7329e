"""The text of a config → plain values, within limits: a config may come from anybody."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import yaml

from limbeck.errors import ConfigError

MAX_BYTES = 256 * 2**10
"""Of a config; a larger file is another one, given by mistake."""
MAX_VALUES = 20_000
MAX_DEPTH = 20
MAX_DIGITS = 20
_MERGE = "tag:yaml.org,2002:merge"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, empty where the file is.

    Raises:
        ConfigError: it can't be read, is larger than `MAX_BYTES` or no mapping; or as `parse_yaml`.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1).decode("utf-8")
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or a path that can't be one
        raise ConfigError(f"{path}: {(error.strerror or error) if isinstance(error, OSError) else error}") from error
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{path}: more than {MAX_BYTES:,} bytes; is it a config?")
    values = parse_yaml(text, str(path))
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: a mapping of keys is wanted, {type(values).__name__} found")
    return values


class _Loader(yaml.SafeLoader):
    """YAML's plain values; a date stays the text that it is."""

    yaml_implicit_resolvers: ClassVar = {  # type: ignore[misc]
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def parse_yaml(text: str, place: str) -> Any:  # noqa: ANN401 (any YAML value)
    """The value of a YAML text.

    Raises:
        ConfigError: no YAML; or what no config needs and a run could not bear: values too many (aliases within aliases), too
            deep or without end, a key given twice, a number out of range, half of a character.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        _check_node(node, loader, place)
        return None if node is None else loader.construct_document(node)
    except RecursionError as error:
        raise ConfigError(f"{place}: nested too deep; {MAX_DEPTH} levels are allowed") from error
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{place}: not YAML: {' '.join(str(error).split())[:500]}") from error


def _check_node(root: yaml.Node | None, loader: _Loader, place: str) -> None:
    """Refuse what `parse_yaml` says, counting what an alias stands for each time it is used."""
    waiting = [(root, 0)] if root is not None else []
    count = 0
    while waiting:
        node, depth = waiting.pop()
        count += 1
        line = f"{place}: line {node.start_mark.line + 1}"
        if depth > MAX_DEPTH:
            raise ConfigError(f"{line}: nested too deep, or in itself; {MAX_DEPTH} levels are allowed")
        if count + len(waiting) > MAX_VALUES:
            raise ConfigError(f"{line}: more than {MAX_VALUES:,} values, with what aliases (*) stand for")
        if isinstance(node, yaml.ScalarNode):
            _check_scalar(node, loader, line)
        elif isinstance(node, yaml.MappingNode):
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE]
            twice = next((key for key, times in Counter(keys).items() if times > 1), None)
            if twice is not None:
                raise ConfigError(f"{line}: key {twice!r:.80} is given twice here; keep one")
            waiting += [(child, depth + 1) for pair in node.value for child in pair]
        else:
            waiting += [(child, depth + 1) for child in node.value]


def _check_scalar(node: yaml.ScalarNode, loader: _Loader, line: str) -> None:
    tag = node.tag.removeprefix("tag:yaml.org,2002:")
    read_as = loader.resolve(yaml.ScalarNode, node.value, (True, False))  # type: ignore[no-untyped-call]
    if tag != "str" and node.tag != read_as:
        raise ConfigError(f"{line}: {node.value!r:.80} is no {tag}; write plain values, without tags")
    if tag in ("int", "float") and len(node.value) > MAX_DIGITS:
        raise ConfigError(f"{line}: a number of more than {MAX_DIGITS} characters")
    check_text(node.value, line)


def check_text(text: str, place: str) -> None:
    """Refuse a text with what no file or message can hold.

    Raises:
        ConfigError: a null character, or half of a character.
    """
    if any("\ud800" <= char <= "\udfff" or char == "\0" for char in text):
        raise ConfigError(f"{place}: a null character, or half of a character (a lone surrogate), in {text!r:.80}")


def expand(value: Any, path: Path) -> Any:  # noqa: ANN401 (any YAML value)
    """The value with each ``${VARIABLE}`` of its texts replaced from the environment, or by what stands behind ``:-``.

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
