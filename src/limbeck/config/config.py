"""Reads YAML into a validated config. Each package owns its settings class; this file only joins them. Imports no torch."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from limbeck.config.explain import explain
from limbeck.config.paths import DATA_KEYS, PATH_KEYS, make_absolute
from limbeck.config.safe_yaml import check_text, expand, parse_yaml, read_yaml
from limbeck.data.sources import DataSettings
from limbeck.data.task import Task
from limbeck.engines.table import ExecutionSettings
from limbeck.errors import ConfigError
from limbeck.evaluation.settings import EvaluationSettings
from limbeck.methods.method import MethodSettings
from limbeck.methods.table import DEFAULT, METHODS, AnyMethod, load_presets
from limbeck.settings import Settings
from limbeck.student.settings import StudentSettings, TrainingSettings
from limbeck.student.tables import KINDS
from limbeck.tables import Table, suggest
from limbeck.teacher.client.budget import BudgetSettings
from limbeck.teacher.settings import TeacherSettings

PROFILES = ("paper", "cpu")
"""Two sets of defaults: ``paper`` follows the papers' released code, ``cpu`` trains small students in a few minutes."""


class Config(Settings):
    """All settings of one run; `evaluate` and `predict` use some of them. Paths are absolute."""

    name: str = "limbeck"
    seed: int = 13
    profile: Literal["paper", "cpu"] = "cpu"
    data: DataSettings = DataSettings()
    task: Task = Task()
    teacher: TeacherSettings = TeacherSettings()
    budget: BudgetSettings = BudgetSettings(max_examples=1000)
    student: StudentSettings = StudentSettings()
    training: TrainingSettings = TrainingSettings()
    method: Annotated[MethodSettings, AnyMethod()] = Field(default_factory=lambda: METHODS[DEFAULT].settings.model_validate({}))
    evaluation: EvaluationSettings = EvaluationSettings()
    execution: ExecutionSettings = ExecutionSettings()

    @model_validator(mode="after")
    def _check_prefix(self) -> Config:
        if not self.task.marker:
            raise ValueError(
                f"task.answer_prefix: {self.task.answer_prefix!r} has no word or sign, so no answer can be found in a "
                "reply; write one, such as 'The answer is: '"
            )
        return self


ConfigLike = Config | str | Path | Mapping[str, Any]
"""A config, its YAML file, or its plain values."""


def as_config(config: ConfigLike | None) -> Config:
    """Return a config as it is, or load it from a YAML file or plain values; None means the defaults.

    Raises:
        ConfigError: see `load_config`.
    """
    return config if isinstance(config, Config) else load_config(config)


def load_config(
    source: str | Path | Mapping[str, Any] | None, overrides: Sequence[str] = (), *, preset: str | None = None
) -> Config:
    """Read a config, fill in the defaults of its profile and preset, and apply overrides.

    Args:
        source: a YAML file, whose relative paths start at its folder; or plain values, whose relative paths start at the
            working directory; None means the defaults.
        overrides: ``a.b=value`` each, as for ``--set``; their relative paths start at the working directory.
        preset: name of a preset. It overrides `source`, except for the keys in ``method.keeps``; `overrides` override it.
            A ``method.preset`` inside `source`, in contrast, yields to the other settings there.

    Raises:
        ConfigError: `source` is of another type, unreadable file, unknown key (the message suggests the nearest known one),
            wrong value, unset ``${VARIABLE}``.
    """
    path = Path(source) if isinstance(source, (str, Path)) else None
    values = expand(read_yaml(path), path) if path else _read_plain(source)
    folder = path.parent if path else Path()
    make_absolute(values, PATH_KEYS, folder)
    for override in overrides:
        _set_value(values, override)
    root = values["data"].get("root") if isinstance(values.get("data"), dict) else None
    given = {override.partition("=")[0] for override in overrides}
    from_file = [key for key in DATA_KEYS if key not in given]
    make_absolute(values, from_file, Path(root) if isinstance(root, str) else folder)
    if preset is not None:
        wanted = {"method": {"preset": preset}}
        settings = _preset_values(wanted, "--preset")["method"]
        values = _merge(values, wanted)
        keeps = values["method"].get("keeps")
        kept = [*(keeps if isinstance(keeps, list) else []), *(key.removeprefix("method.") for key in given)]
        values = _merge(values, {"method": {key: value for key, value in settings.items() if key not in kept}})
    return make_config(values, str(path) if path else "--set" if source is None else "config")


def _read_plain(source: object) -> dict[str, Any]:
    """A copy of plain values, in which paths are text; none for None."""
    if source is not None and not isinstance(source, Mapping):
        kind = type(source).__name__
        raise ConfigError(
            f"config: {source!r:.80} is of type {kind}; expected the path of a YAML file, a mapping of settings, or None"
        )
    return {} if source is None else {key: _to_plain(value) for key, value in source.items()}


def _to_plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_plain(item) for item in value]
    return str(value) if isinstance(value, PurePath) else copy.deepcopy(value)


def make_config(values: Mapping[str, Any], place: str = "config") -> Config:
    """Build a config from plain values and the defaults of their profile and preset.

    Raises:
        ConfigError: see `load_config`.
    """
    profile = values.get("profile", "cpu")
    if not isinstance(profile, str) or profile not in PROFILES:
        raise ConfigError(f"{place}: profile: {profile!r:.80} is not one of {', '.join(PROFILES)}")
    values = _merge(_preset_values(values, place), _move_template(values, place))
    name = _read_name(values, "method", "name", DEFAULT, METHODS, place)
    kind = _read_name(values, "student", "kind", "causal", KINDS, place)
    method = METHODS[name]
    merged: dict[str, Any] = {"method": {"name": name}}
    for under in (method.complete(values), method.defaults.get(profile, {}), KINDS[kind].defaults, values):
        merged = _merge(merged, under)
    faults: list[ErrorDetails] = []
    try:
        merged["method"] = method.settings.model_validate(merged["method"])
    except ValidationError as error:
        faults += [{**fault, "loc": ("method", *fault["loc"])} for fault in error.errors()]
        del merged["method"]
    try:
        config = Config.model_validate(merged)
    except ValidationError as error:
        faults += error.errors()
    if faults:
        raise ConfigError(explain(faults, place, {"": Config, "method": method.settings}))
    return config


def _read_name(values: Mapping[str, Any], group: str, key: str, default: str, table: Table[Any], place: str) -> str:
    """The value of a key that decides which defaults apply."""
    part = values.get(group)
    try:
        return table.resolve(part.get(key, default) if isinstance(part, dict) else default)
    except ValueError as error:
        raise ConfigError(f"{place}: {group}.{key}: {error}") from error


def _move_template(values: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Move ``data.template`` and ``data.fields``, which may be written next to the columns, to the task."""
    data, task = values.get("data"), values.get("task") or {}
    if not isinstance(data, dict) or not isinstance(task, dict):
        return dict(values)
    moved = {key: data[key] for key in ("template", "fields") if key in data}
    twice = sorted(set(moved) & set(task))
    if twice:
        raise ConfigError(f"{place}: {', '.join(twice)} given both in data and in task; keep one")
    rest = {key: value for key, value in data.items() if key not in moved}
    return {**values, "data": rest, "task": {**task, **moved}} if moved else dict(values)


def _set_value(values: dict[str, Any], override: str) -> None:
    check_text(override, "--set")
    dotted, equals, text = override.partition("=")
    if not equals or not dotted:
        raise ConfigError(f"--set {override:.200}: expected KEY=VALUE, such as --set budget.max_examples=100")
    value = parse_yaml(text, f"--set {dotted:.200}", dotted)
    *parents, last = dotted.split(".")
    place = values
    for parent in parents:
        if place.get(parent) is None:
            place[parent] = {}
        place = place[parent]
        if not isinstance(place, dict):
            raise ConfigError(f"--set {override:.200}: {parent:.80} is not a group of settings")
    place[last] = value
    if dotted in (*PATH_KEYS, *DATA_KEYS):
        make_absolute(values, [dotted], Path())


def _preset_values(values: Mapping[str, Any], place: str) -> dict[str, Any]:
    method = values.get("method")
    preset = method.get("preset") if isinstance(method, dict) else None
    if preset is None:
        return {}
    presets = load_presets()
    if not isinstance(preset, str) or preset not in presets:
        raise ConfigError(
            f"{place}: method.preset: no preset {preset!r:.80}{suggest(str(preset), presets)}; known: {', '.join(presets)}"
        )
    return {"method": presets[preset]}


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged
