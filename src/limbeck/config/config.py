"""The config: YAML → validated settings. Each room owns its settings class; this file only joins them. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from limbeck.config.defaults import KIND_DEFAULTS, METHOD_DEFAULTS, PROFILES
from limbeck.config.explain import explain, suggest
from limbeck.config.paths import DATA_KEYS, PATH_KEYS, make_absolute
from limbeck.config.safe_yaml import check_text, expand, parse_yaml, read_yaml
from limbeck.data.sources import DataSettings
from limbeck.data.task import Task
from limbeck.errors import ConfigError
from limbeck.evaluation.settings import EvaluationSettings
from limbeck.methods.settings import BalDistillSettings, MethodSettings, load_presets
from limbeck.settings import Settings
from limbeck.student.settings import StudentSettings, TrainingSettings
from limbeck.teacher.client.budget import BudgetSettings
from limbeck.teacher.settings import TeacherSettings


class Config(Settings):
    """One run, or what `eval` and `predict` need of it. Paths are absolute."""

    name: str = "limbeck"
    seed: int = 13
    profile: Literal["paper", "cpu"] = "cpu"
    data: DataSettings = DataSettings()
    task: Task = Task()
    teacher: TeacherSettings = TeacherSettings()
    budget: BudgetSettings = BudgetSettings(max_examples=1000)
    student: StudentSettings = StudentSettings()
    training: TrainingSettings = TrainingSettings()
    method: MethodSettings = BalDistillSettings()
    evaluation: EvaluationSettings = EvaluationSettings()


def load_config(path: Path | None, overrides: Sequence[str] = (), *, preset: str | None = None) -> Config:
    """Read a YAML config, lay it over its profile and preset, and put `--set` values on top.

    Args:
        path: the YAML file; relative paths in it are relative to its folder. None: no file, overrides only.
        overrides: ``a.b=value`` each; relative paths in them are relative to the working folder.
        preset: a preset's name; its settings win over the file's but for those that ``method.keeps`` lists, and yield to
            `overrides`; where those of a ``method.preset`` in the file yield to the file's others.

    Raises:
        ConfigError: unreadable file, unknown key (with the nearest known one), wrong value, unset ``${VARIABLE}``.
    """
    values = expand(read_yaml(path), path) if path else {}
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
    return make_config(values, str(path or "--set"))


def make_config(values: Mapping[str, Any], place: str = "config") -> Config:
    """The config of plain values, with profile and preset laid under them.

    Raises:
        ConfigError: as `load_config`.
    """
    profile = values.get("profile", "cpu")
    if not isinstance(profile, str) or profile not in PROFILES:
        raise ConfigError(f"{place}: profile: {profile!r:.80} is none of {', '.join(PROFILES)}")
    values = _merge(_preset_values(values, place), _move_template(values, place))
    method = _find_choice(values, "method", "name", "baldistill", METHOD_DEFAULTS, place)
    kind = _find_choice(values, "student", "kind", "causal", KIND_DEFAULTS, place)
    merged: dict[str, Any] = {"method": {"name": method}}
    for under in (PROFILES[profile][method], METHOD_DEFAULTS[method], KIND_DEFAULTS[kind]):
        merged = _merge(merged, under)
    merged = _merge(merged, values)
    if method == "gold":
        data, task = merged.setdefault("data", {}), merged.get("task")
        if isinstance(data, dict) and "domain" not in data:
            is_label = isinstance(task, dict) and task.get("answer") == "label"
            merged["data"] = {**data, "domain": "answer" if is_label else "none"}
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(explain(error, place, Config)) from error


def _find_choice(values: Mapping[str, Any], group: str, key: str, default: str, known: Mapping[str, Any], place: str) -> str:
    """The value of a key that decides which defaults hold."""
    part = values.get(group)
    found = part.get(key, default) if isinstance(part, dict) else default
    if not isinstance(found, str) or found not in known:
        raise ConfigError(f"{place}: {group}.{key}: {found!r:.80} is none of {', '.join(known)}{suggest(str(found), known)}")
    return found


def _move_template(values: Mapping[str, Any], place: str) -> dict[str, Any]:
    """The values with ``data.template`` and ``data.fields``, which stand beside the columns, where the task has them."""
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
        raise ConfigError(f"--set {override:.200}: KEY=VALUE is wanted, such as --set budget.max_examples=100")
    value = parse_yaml(text, f"--set {dotted:.200}")
    *parents, last = dotted.split(".")
    place = values
    for parent in parents:
        if place.get(parent) is None:
            place[parent] = {}
        place = place[parent]
        if not isinstance(place, dict):
            raise ConfigError(f"--set {override:.200}: {parent:.80} is no group of settings")
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
            f"{place}: method.preset: no preset {preset!r:.80}{suggest(str(preset), presets)}; known are {', '.join(presets)}"
        )
    return {"method": presets[preset]}


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged
