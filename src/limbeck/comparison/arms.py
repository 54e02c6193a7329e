"""The arms of a comparison: their configs, data and runs, and the references shown with them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from limbeck.comparison.request import Request
from limbeck.comparison.runs import TEACHER, ArmRun
from limbeck.config.changes import check_same_run, list_differences
from limbeck.config.config import Config, load_config
from limbeck.data.readers import name_split
from limbeck.errors import ConfigError
from limbeck.inputs.data import RunData
from limbeck.methods.table import METHODS, load_presets
from limbeck.run_folder.comparison import ComparisonFolder
from limbeck.run_folder.folder import RunFolder
from limbeck.runner.prepare import check_settings, read_data, refit
from limbeck.teacher.backends import can_share
from limbeck.teacher.request import About

ALL_LABELS = "all-labels"


def load_arms(wanted: Request) -> dict[str, Config]:
    """Load the config of each preset.

    Raises:
        ConfigError: see `load_config` and `choose_sets`.
    """
    return {preset: load_config(wanted.config, choose_sets(wanted, preset), preset=preset) for preset in wanted.presets}


def choose_sets(wanted: Request, preset: str) -> list[str]:
    """Return the overrides of an arm; a preset that fixes its number of stages ignores ``method.stages``.

    Raises:
        ConfigError: an override contradicts the preset, so the arm would not be what its name says.
    """
    fixed = load_presets().get(preset, {})
    chosen = [one for one in wanted.sets if not (one.startswith("method.stages=") and "stages" in fixed)]
    method = load_config(wanted.config, chosen, preset=preset).method
    keeps = getattr(method, "keeps", None) or ()
    for one in chosen:
        key = one.partition("=")[0].removeprefix("method.")
        if one.startswith("method.") and key in fixed and key not in keeps and getattr(method, key) != fixed[key]:
            raise ConfigError(
                f"--set {one}: preset {preset} sets {key}: {fixed[key]}, so this would be another arm. Leave {preset} out of "
                f"--presets, or add --set 'method.keeps=[{key}]' so that all presets take {key} from the config"
            )
    return chosen


def read_all(arms: Mapping[str, Config]) -> dict[str, RunData]:
    """Read the data of each arm, once per method, and check every arm's settings and budget against it."""
    for config in arms.values():  # before reading any data, which may take long
        check_settings(config)
    by_method: dict[str, RunData] = {}
    found: dict[str, RunData] = {}
    for name, config in arms.items():
        known = by_method.get(config.method.name)
        found[name] = read_data(config) if known is None else refit(known, config)
        by_method.setdefault(config.method.name, found[name])
    return found


def find_pooled(arms: Mapping[str, Config]) -> str | None:
    """Return the first arm that selects from a pool, or None."""
    return next((name for name, config in arms.items() if METHODS[config.method.name].has_pool), None)


def list_own_sets(wanted: Request, config: Config, examples: int, max_tokens: int | None) -> list[str]:
    """Return what an arm's runs override beyond the config: the equalised budget and whether to measure the teacher."""
    sets = []
    if examples != config.budget.max_examples:
        sets.append(f"budget.max_examples={examples}")
    if max_tokens is not None:
        sets.append(f"budget.max_tokens={max_tokens}")
    if METHODS[config.method.name].has_pool or wanted.has_teacher is False:
        sets.append("evaluation.teacher=false")  # its cost does not belong to the arm
    return sets


def make_run(wanted: Request, folder: ComparisonFolder, arm: str, preset: str, seed: int, sets: Sequence[str]) -> ArmRun:
    """Make one run of an arm or a reference."""
    # A reference is not a variant of an arm, so overrides of the method do not apply.
    plain = [*(one for one in wanted.sets if not one.startswith("method.")), "method.keeps=null"]
    own = choose_sets(wanted, preset) if arm == preset else plain
    shared = {
        "teacher.shared_replies": folder.replies(None if wanted.share == "all" else seed),
        "evaluation.shared_baseline": folder.baselines,
    }
    all_sets = [*own, *sets, f"seed={seed}", *(f"{key}={_quote(path)}" for key, path in shared.items())]
    config = load_config(wanted.config, all_sets, preset=preset)
    path = folder.run(arm, seed)
    flags = [part for each in all_sets for part in ("--set", each)]
    arguments = (str(wanted.config), "--preset", preset, "--out", str(path), "--json", *flags)
    return ArmRun(arm, seed, folder, config, arguments)


def _quote(text: object) -> str:
    """Write a text as a YAML value on one line."""
    return json.dumps(str(text), ensure_ascii=False)


def make_references(
    wanted: Request, folder: ComparisonFolder, arms: Mapping[str, Config], data: Mapping[str, RunData]
) -> list[ArmRun]:
    """Make the runs of the references: all real labels for each seed, and the teacher for each sample of rows to measure on.

    The teacher is measured on the dev rows if there are any, because the test rows are reserved for the arms.

    Raises:
        ConfigError: a requested reference does not make sense.
    """
    pooled = find_pooled(arms)
    if pooled is None:
        if wanted.has_all_labels:
            raise ConfigError("--all-labels: no preset uses real labels (data.train); leave the flag out")
        return []  # runs without a pool measure the teacher themselves
    config, its = arms[pooled], data[pooled]
    runs = []
    if wanted.has_all_labels is not False:
        sets = [f"budget.max_examples={len(its.train)}", "evaluation.teacher=false"]
        runs += [make_run(wanted, folder, ALL_LABELS, "random-label", seed, sets) for seed in wanted.seeds]
    can_answer = its.backend.can_answer(About("evaluate", 0, its.test[0].domain, (its.test[0],)))
    if wanted.has_teacher and not can_answer:
        raise ConfigError(f"--teacher: the {config.teacher.backend} teacher can't answer questions; use --no-teacher")
    if wanted.has_teacher is not False and can_answer:
        most, rows = config.evaluation.max_examples, its.dev or its.test
        seeds = wanted.seeds if most is not None and most < len(rows) else wanted.seeds[:1]
        sets = ["evaluation.teacher=true"]
        if its.dev:
            sets += [f"data.test={_quote(name_split(str(config.data.dev), 'dev'))}", "data.dev=null"]
        runs += [make_run(wanted, folder, TEACHER, "zero-shot", seed, sets) for seed in seeds]
    return runs


def check_run_folder(run: ArmRun, data: RunData) -> None:
    """Refuse a folder that contains a different run before anything starts; finished runs are not checked later."""
    folder = RunFolder(run.path)
    if folder.state:
        hashes = dict(data.hashes)
        if run.arm == TEACHER and "dev" in hashes:
            hashes["test"] = hashes.pop("dev")
        check_same_run(run.path, folder.config, folder.state, run.config, hashes)


def compare_configs(arms: Mapping[str, Config]) -> list[str]:
    """Note the arms that differ from the first in more than their method, e.g. because methods have their own defaults."""
    names = list(arms)
    plain = {name: config.model_dump(mode="json", exclude={"method"}) for name, config in arms.items()}
    notes = []
    for name in names[1:]:
        different = list_differences(plain[names[0]], plain[name])
        if different:
            notes.append(f"{names[0]} and {name} differ in more than their method: {', '.join(different)}")
    return notes


def explain_sharing(wanted: Request, config: Config) -> list[str]:
    """Note what the intervals leave out if seeds share a sampling teacher's replies."""
    if wanted.share != "all" or len(wanted.seeds) < 2 or config.teacher.temperature == 0 or not can_share(config.teacher):
        return []
    return [
        "all seeds share the teacher's replies, so the intervals leave out the variance of the teacher's sampling; "
        "--share seed asks again for each seed"
    ]
