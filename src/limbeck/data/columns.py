"""Values of typed columns as people write them: class labels by name, and float32 in its shortest form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from limbeck.data.rows import Row

Convert = Callable[[Any], Any]


def make_converter(schema: Any, features: Mapping[str, Any]) -> Callable[[Row], Row]:  # noqa: ANN401 (a pyarrow schema)
    """A function that converts the rows of a table.

    Args:
        schema: the table's Arrow schema, whose float32 and float16 columns are shortened.
        features: the features that `datasets` knows, as JSON; class labels in them, at any depth, are read as names.
    """
    converters: dict[str, list[Convert]] = {}
    for field in schema:
        convert = _shorten_floats(field.type)
        if convert is not None:
            converters.setdefault(field.name, []).append(convert)
    for name, feature in features.items():
        convert = _name_labels(feature)
        if convert is not None:
            converters.setdefault(name, []).append(convert)

    def convert_row(row: Row) -> Row:
        for column, found in converters.items():
            for convert in found:
                if column in row:
                    row[column] = convert(row[column])
        return row

    return convert_row


def _name_labels(feature: object) -> Convert | None:
    """Replaces the numbers of class labels by their names; a number without a name becomes None."""
    if isinstance(feature, list):  # an older way to write a list
        return _each(_name_labels(feature[0])) if len(feature) == 1 else None
    if not isinstance(feature, dict):
        return None
    if feature.get("_type") == "ClassLabel" and isinstance(feature.get("names"), list):
        names = feature["names"]
        return lambda value: (names[value] if 0 <= value < len(names) else None) if type(value) is int else value
    if isinstance(feature.get("_type"), str):
        return _each(_name_labels(feature.get("feature")))
    return _inside({name: _name_labels(inner) for name, inner in feature.items()})


def _shorten_floats(kind: Any) -> Convert | None:  # noqa: ANN401 (a pyarrow type)
    """Replaces each float32 by the shortest number that is the same float32: 0.1, not 0.10000000149011612."""
    import numpy as np
    from pyarrow import types

    if types.is_float32(kind) or types.is_float16(kind):
        narrow = np.float32 if types.is_float32(kind) else np.float16
        return lambda value: float(str(narrow(value))) if isinstance(value, float) else value
    if types.is_struct(kind):
        return _inside({field.name: _shorten_floats(field.type) for field in kind})
    if types.is_dictionary(kind):
        return _shorten_floats(kind.value_type)
    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return _each(_shorten_floats(kind.value_type)) if is_list else None


def _each(convert: Convert | None) -> Convert | None:
    """Converts each item of a list; of an object of lists, which `datasets` makes of a list of objects, the object."""
    if convert is None:
        return None

    def convert_each(value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, list):
            return [convert(item) for item in value]
        return convert(value) if isinstance(value, dict) else value

    return convert_each


def _inside(converters: Mapping[str, Convert | None]) -> Convert | None:
    used = {name: convert for name, convert in converters.items() if convert is not None}
    if not used:
        return None

    def convert_inside(value: Any) -> Any:  # noqa: ANN401
        if not isinstance(value, dict):
            return value
        return {name: _apply(used[name], item) if name in used else item for name, item in value.items()}

    return convert_inside


def _apply(convert: Convert, value: Any) -> Any:  # noqa: ANN401
    return convert(value)
