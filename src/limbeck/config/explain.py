"""Readable validation errors for a config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from limbeck.tables import suggest

MAX_FAULTS = 20  # listed in one message
MAYBE_SECRET = ("teacher.api_key_env", "teacher.base_url")  # a user may have put an API key there, so don't repeat the value


def explain(faults: Sequence[ErrorDetails], place: str, models: Mapping[str, type[BaseModel]]) -> str:
    """List the faults of a config in one line: each key, its value and the nearest known key. Leaves out possible secrets.

    Args:
        faults: pydantic's errors.
        place: the config file.
        models: the settings class of the whole config under the key ``""``, and classes that depend on the config's values
            under their own key.
    """
    lines = []
    for fault in faults:
        dotted = f"{'.'.join(map(str, fault['loc'])):.200}"
        if fault["type"] == "extra_forbidden":
            known = _list_keys(models, fault["loc"][:-1])
            lines.append(f"{dotted}: unknown key{suggest(str(fault['loc'][-1]), known) or '; known: ' + ', '.join(known)}")
        else:
            message, given = f"{fault['msg'].removeprefix('Value error, '):.500}", f"{fault['input']!r:.200}"
            # The input of a check across settings is all of them; its message already names the ones that matter.
            is_told = given in message or (fault["type"] == "value_error" and isinstance(fault["input"], dict))
            is_unquoted = fault["type"] == "string_type" and isinstance(fault["input"], (bool, int, float))
            remedy = "; put it in quotes" if is_unquoted else ""
            shown = "" if is_told or dotted in MAYBE_SECRET else f", got {given}"
            lines.append(f"{dotted}{': ' if dotted else ''}{message}{shown}{remedy}")
    more = [f"and {len(lines) - MAX_FAULTS} more"] if len(lines) > MAX_FAULTS else []
    return f"{place}: {'; '.join([*lines[:MAX_FAULTS], *more])}".encode("utf-8", "backslashreplace").decode()


def _list_keys(models: Mapping[str, type[BaseModel]], place: Sequence[int | str]) -> list[str]:
    """The keys allowed at a place of the config."""
    first = str(place[0]) if place else ""
    model, rest = (models[first], place[1:]) if first in models else (models[""], place)
    for step in rest:
        field = model.model_fields.get(str(step))
        types = [] if field is None else [field.annotation, *get_args(field.annotation)]
        found = [kind for kind in types if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not found:
            return []
        model = found[0]
    return list(model.model_fields)
