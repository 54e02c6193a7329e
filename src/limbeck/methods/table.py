"""The methods by name, and their presets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter
from pydantic_core import CoreSchema, core_schema

from limbeck.methods.method import Method, MethodSettings
from limbeck.tables import Table

DEFAULT = "baldistill"
METHODS: Table[Method] = Table(
    "methods",
    "method",
    {"baldistill": "limbeck.methods.baldistill.method:BALDISTILL", "gold": "limbeck.methods.gold.method:GOLD"},
)
"""The valid values of ``method.name``."""


def load_presets() -> dict[str, dict[str, Any]]:
    """All presets by name, as method settings whose ``name`` is the method's."""
    return {name: {"name": method, **values} for method in METHODS for name, values in METHODS[method].presets.items()}


class AnyMethod:
    """Annotation for the settings field ``method``; its ``name`` selects the class of settings."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401
        return core_schema.no_info_plain_validator_function(
            _validate, serialization=core_schema.plain_serializer_function_ser_schema(_dump, info_arg=True)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"oneOf": [handler(TypeAdapter(METHODS[name].settings).core_schema) for name in METHODS]}


def _validate(value: object) -> MethodSettings:
    if isinstance(value, MethodSettings):
        return value
    if not isinstance(value, Mapping):
        raise ValueError("expected a mapping of settings")
    return METHODS[METHODS.resolve(value.get("name", DEFAULT))].settings.model_validate(value)


def _dump(value: MethodSettings, info: core_schema.SerializationInfo) -> dict[str, Any]:
    return value.model_dump(mode=info.mode)
