"""The config: YAML → validated settings. Each room owns its settings class; this file only joins them. No torch."""

from __future__ import annotations

import difflib
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from limbeck.data.readers import find_hub_id
from limbeck.data.sources import DataSettings
from limbeck.data.task import Settings, Task
from limbeck.errors import ConfigError
from limbeck.evaluation.settings import EvaluationSettings
from limbeck.methods.settings import BalDistillSettings, MethodSettings, load_presets
from limbeck.student.settings import StudentSettings, TrainingSettings
from limbeck.teacher.budget import BudgetSettings
from limbeck.teacher.settings import TeacherSettings

# Two sets of defaults for each method, laid under what the user writes. `paper` is the released code's (BalDistill: notes §3;
# GOLD: notes §2 and §8); `cpu` trains small students for a few minutes.
PROFILES: Mapping[str, Mapping[str, dict[str, Any]]] = {
    "paper": {
        "baldistill": {
            "training": {
                "epochs": 5, "learning_rate": 2e-4, "schedule": "constant", "warmup_ratio": 0.0, "batch_size": 16,
                "max_grad_norm": 0.3, "max_length": 1024,
                "lora": {"rank": 8, "alpha": 16, "dropout": 0.1, "target_modules": ["q_proj", "v_proj"]},
            },
            "method": {"stages": 5, "score_max_new_tokens": 200},
            "evaluation": {"max_new_tokens": 400},
        },
        "gold": {
            "training": {
                "epochs": 50, "learning_rate": 5e-5, "schedule": "constant", "warmup_ratio": 0.0, "batch_size": 8,
                "lora": None, "loss": "symmetric_cross_entropy", "alpha": 0.1, "beta": 1.0,
            },
            "method": {"rounds": 15, "batches_per_round": 25},
        },
    },
    "cpu": {
        "baldistill": {
            "training": {"epochs": 3, "learning_rate": 1e-3, "batch_size": 8, "lora": {"rank": 16, "alpha": 32}},
            "method": {"score_max_new_tokens": 100, "max_candidates_per_domain": 64},
            "evaluation": {"max_new_tokens": 200},
        },
        "gold": {
            "training": {"loss": "symmetric_cross_entropy"}, "method": {"batches_per_round": 5},
            "evaluation": {"max_new_tokens": 64},
        },
    },
}  # fmt: skip
# GOLD asks what only a run without data does: how good is the teacher itself?
METHOD_DEFAULTS: Mapping[str, dict[str, Any]] = {"baldistill": {}, "gold": {"evaluation": {"teacher": True}}}
# Small encoders and sequence-to-sequence models are trained whole, and slowly.
KIND_DEFAULTS: Mapping[str, dict[str, Any]] = {
    "causal": {},
    "seq2seq": {"training": {"lora": None, "learning_rate": 3e-4}},
    "classifier": {
        "student": {"model": "packaged:minilm-l6"},
        "training": {"lora": None, "learning_rate": 5e-5, "batch_size": 16, "epochs": 4, "max_length": 256},
    },
}
# What may differ between a run folder and the config that resumes it: it changes no example and no weight.
CHANGEABLE = (
    "budget.max_requests", "budget.max_tokens", "budget.max_cost_usd", "teacher.max_concurrency", "teacher.prices",
    "evaluation.batch_size", "data.root", "data.train", "data.dev", "data.test", "data.human",
    "teacher.path", "teacher.templates.annotate", "teacher.templates.synthesize", "teacher.templates.generate",
    "teacher.templates.answer", "teacher.recorded.annotations",
    "teacher.recorded.synthesized", "teacher.tokenizer", "teacher.timeout_s", "teacher.deadline_s", "teacher.max_attempts",
    "teacher.api_key_env", "teacher.api_key_file", "teacher.base_url", "teacher.shared_replies",
)  # fmt: skip
# Files that a config names. Those of the data begin in `data.root`, the others in the folder of the config.
_DATA_KEYS = (
    "data.human",
    "data.train",
    "data.dev",
    "data.test",
    "teacher.recorded.annotations",
    "teacher.recorded.synthesized",
)
_PATH_KEYS = ("data.root", "teacher.path", "teacher.shared_replies", "teacher.templates.annotate",
              "teacher.templates.synthesize", "teacher.templates.generate", "teacher.templates.answer",
              "teacher.tokenizer", "teacher.api_key_file", "teacher.model")  # fmt: skip
MAX_BYTES = 256 * 2**10
"""Of a config; a larger file is another one, given by mistake."""
MAX_VALUES = 20_000
MAX_DEPTH = 20
MAX_DIGITS = 20
MAX_FAULTS = 20  # told at once
MAYBE_SECRET = ("teacher.api_key_env", "teacher.base_url")  # a key may have been put there; it is not repeated
_MERGE = "tag:yaml.org,2002:merge"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


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
        preset: a preset's name; its settings win over the file's but for those that ``method.keeps`` lists, where those of a
            ``method.preset`` in the file yield to the file's others.

    Raises:
        ConfigError: unreadable file, unknown key (with the nearest known one), wrong value, unset ``${VARIABLE}``.
    """
    values = _expand(_read_yaml(path), path) if path else {}
    folder = path.parent if path else Path()
    _make_absolute(values, _PATH_KEYS, folder)
    for override in overrides:
        _set_value(values, override)
    root = values["data"].get("root") if isinstance(values.get("data"), dict) else None
    given = {override.partition("=")[0] for override in overrides}
    from_file = [key for key in _DATA_KEYS if key not in given]
    _make_absolute(values, from_file, Path(root) if isinstance(root, str) else folder)
    if preset is not None:
        wanted = {"method": {"preset": preset}}
        settings = _preset_values(wanted, "--preset")["method"]
        values = _merge(values, wanted)
        keeps = values["method"].get("keeps")
        kept = keeps if isinstance(keeps, list) else []
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
        raise ConfigError(_explain(error, place)) from error


def _find_choice(values: Mapping[str, Any], group: str, key: str, default: str, known: Mapping[str, Any], place: str) -> str:
    """The value of a key that decides which defaults hold."""
    part = values.get(group)
    found = part.get(key, default) if isinstance(part, dict) else default
    if not isinstance(found, str) or found not in known:
        raise ConfigError(f"{place}: {group}.{key}: {found!r:.80} is none of {', '.join(known)}{_nearest(str(found), known)}")
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


def find_differences(first: Mapping[str, Any], second: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted keys whose values differ, `CHANGEABLE` ones left out."""
    found: list[str] = []
    for key in sorted({*first, *second}):
        name = f"{prefix}{key}"
        a, b = first.get(key), second.get(key)
        if name in CHANGEABLE or a == b:
            continue
        found += find_differences(a, b, f"{name}.") if isinstance(a, dict) and isinstance(b, dict) else [name]
    return found


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1).decode("utf-8")
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or a path that can't be one
        raise ConfigError(f"{path}: {(error.strerror or error) if isinstance(error, OSError) else error}") from error
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{path}: more than {MAX_BYTES:,} bytes; is it a config?")
    values = _parse_yaml(text, str(path))
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


def _parse_yaml(text: str, place: str) -> Any:  # noqa: ANN401 (any YAML value)
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
    """Refuse what `_parse_yaml` says, counting what an alias stands for each time it is used."""
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
    _check_text(node.value, line)


def _check_text(text: str, place: str) -> None:
    if any("\ud800" <= char <= "\udfff" or char == "\0" for char in text):
        raise ConfigError(f"{place}: a null character, or half of a character (a lone surrogate), in {text!r:.80}")


def _expand(value: Any, path: Path) -> Any:  # noqa: ANN401 (any YAML value)
    if isinstance(value, dict):
        return {key: _expand(item, path) for key, item in value.items()}
    if isinstance(value, list):
        return [_expand(item, path) for item in value]
    if not isinstance(value, str):
        return value

    def look_up(match: re.Match[str]) -> str:
        found = os.environ.get(match[1], match[2])
        if found is None:
            raise ConfigError(
                f"{path}: the environment variable {match[1]} is not set; set it, or write ${{{match[1]}:-DEFAULT}}"
            )
        _check_text(found, f"{path}: the environment variable {match[1]}")
        return found

    return _VARIABLE.sub(look_up, value)


def _make_absolute(values: dict[str, Any], keys: Sequence[str], folder: Path) -> None:
    for dotted in keys:
        *parents, last = dotted.split(".")
        place: Any = values
        for parent in parents:
            place = place.get(parent) if isinstance(place, dict) else None
        if isinstance(place, dict) and _is_path(dotted, place.get(last)):
            place[last] = _find_path(dotted, place[last], folder)


def _is_path(dotted: str, value: object) -> bool:
    """Whether the value of a key that may name a file does; a model is one only where it ends in .gguf."""
    return isinstance(value, str) and (dotted != "teacher.model" or value.endswith(".gguf"))


def _find_path(dotted: str, source: str, folder: Path) -> str:
    """The absolute path of what a key names in a folder; or a source of data itself where it can only be a Hub id.

    A path whose first part is a folder here is a path, even if the rest of it is missing.
    """
    if dotted not in _DATA_KEYS:
        return str(_resolve(source, folder))
    path, colon, split = source.partition(":")
    absolute = _resolve(path, folder)
    is_here = absolute.exists() or (folder / next(iter(Path(path).parts), "")).is_dir() if path else False
    if not is_here and not source.startswith((".", "~", "/")) and find_hub_id(source):
        return source
    return f"{absolute}{colon}{split}"


def _resolve(path: str, folder: Path) -> Path:
    try:
        found = (folder / Path(path).expanduser()).resolve()
        found.exists()
    except (OSError, RuntimeError, ValueError) as error:  # too long, ~nobody, links in a circle
        raise ConfigError(f"{path!r:.80} can't be a path: {error!s:.200}") from error
    return found


def _set_value(values: dict[str, Any], override: str) -> None:
    _check_text(override, "--set")
    dotted, equals, text = override.partition("=")
    if not equals or not dotted:
        raise ConfigError(f"--set {override:.200}: KEY=VALUE is wanted, such as --set budget.max_examples=100")
    value = _parse_yaml(text, f"--set {dotted:.200}")
    *parents, last = dotted.split(".")
    place = values
    for parent in parents:
        if place.get(parent) is None:
            place[parent] = {}
        place = place[parent]
        if not isinstance(place, dict):
            raise ConfigError(f"--set {override:.200}: {parent:.80} is no group of settings")
    is_path = dotted in (*_PATH_KEYS, *_DATA_KEYS) and _is_path(dotted, value)
    place[last] = _find_path(dotted, value, Path()) if is_path else value


def _preset_values(values: Mapping[str, Any], place: str) -> dict[str, Any]:
    method = values.get("method")
    preset = method.get("preset") if isinstance(method, dict) else None
    if preset is None:
        return {}
    presets = load_presets()
    if not isinstance(preset, str) or preset not in presets:
        raise ConfigError(
            f"{place}: method.preset: no preset {preset!r:.80}{_nearest(str(preset), presets)}; known are {', '.join(presets)}"
        )
    return {"method": presets[preset]}


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _nearest(name: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name[:80], list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def _explain(error: ValidationError, place: str) -> str:
    lines = []
    for fault in error.errors():
        # pydantic puts the name of the method between `method` and its key.
        loc = [step for index, step in enumerate(fault["loc"]) if not (index == 1 and fault["loc"][0] == "method" and
               step in METHOD_DEFAULTS and len(fault["loc"]) > 2)]  # fmt: skip
        dotted = f"{'.'.join(map(str, loc)):.200}"
        if fault["type"] == "extra_forbidden":
            known = _known_keys(Config, fault["loc"][:-1])
            lines.append(f"{dotted}: unknown key{_nearest(str(loc[-1]), known) or '; known are ' + ', '.join(known)}")
        else:
            given = "" if dotted in MAYBE_SECRET else f", {fault['input']!r:.200} given"
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
