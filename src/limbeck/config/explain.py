"""What is wrong with a config, said so that it can be mended: each key, its value, and the nearest known one."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from limbeck.config.defaults import METHOD_DEFAULTS

MAX_FAULTS = 20  # told at once
MAYBE_SECRET = ("teacher.api_key_env", "teacher.base_url")  # a key may have been put there; it is not repeated


def suggest(name: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    """The question whether the nearest known name is meant, as the end of a sentence; nothing where none is near."""
    close = difflib.get_close_matches(name[:80], list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def explain(error: ValidationError, place: str, model: type[BaseModel]) -> str:
    """The faults of values for a model, in one line; a value that may be a secret is not repeated."""
    lines = []
    for fault in error.errors():
        # pydantic puts the name of the method between `method` and its key.
        loc = [
            step
            for index, step in enumerate(fault["loc"])
            if not (index == 1 and fault["loc"][0] == "method" and step in METHOD_DEFAULTS)
        ]
        dotted = f"{'.'.join(map(str, loc)):.200}"
        if fault["type"] == "extra_forbidden":
            known = _known_keys(model, fault["loc"][:-1])
            lines.append(f"{dotted}: unknown key{suggest(str(loc[-1]), known) or '; known are ' + ', '.join(known)}")
        else:
            # A check of settings against each other, whose words name them, gets all of them.
            is_told = dotted in MAYBE_SECRET or (fault["type"] == "value_error" and isinstance(fault["input"], dict))
            given = "" if is_told else f", {fault['input']!r:.200} given"
            lines.append(f"{dotted}: {fault['msg'].removeprefix('Value error, '):.500}{given}")
    more = [f"and {len(lines) - MAX_FAULTS} more"] if len(lines) > MAX_FAULTS else []
    return f"{place}: {'; '.join([*lines[:MAX_FAULTS], *more])}".encode("utf-8", "backslashreplace").decode()


def _known_keys(model: type[BaseModel], place: Sequence[int | str]) -> list[str]:
    found: list[type[BaseModel]] = [model]
    for step in place:
        tagged = [kind for kind in found if kind.model_fields.get("name", FieldInfo()).default == step]
        if len(found) > 1 and tagged:
            found = tagged
            continue
        field = found[0].model_fields.get(str(step))
        types = [] if field is None else [field.annotation, *get_args(field.annotation)]
        found = [kind for kind in types if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not found:
            return []
    model = found[0]
    return list(model.model_fields)
