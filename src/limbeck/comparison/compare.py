"""`limbeck compare`: presets and seeds on the same data, student and budget; one table, paired tests. Imports no torch.

Each run is a run folder of its own, ``DIR/PRESET/seed_S``, made by `limbeck run` and resumed like any other. Replies of the
teacher are shared through ``DIR/replies.sqlite``: the teacher is asked once, and each run is charged as if it were alone. What
the untouched student answers is shared through ``DIR/baselines`` and no part of a run's seconds.
Beside the arms stand, where they make sense, a student trained on *all* real labels (``all-labels``) and the teacher itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from limbeck.comparison.budget import equalise
from limbeck.comparison.results import collect_results
from limbeck.comparison.runs import TEACHER, ArmRun, Tell, run_all
from limbeck.config.changes import check_same_run, find_differences
from limbeck.config.config import Config, load_config
from limbeck.data.readers import name_split
from limbeck.errors import ConfigError
from limbeck.inputs.data import RunData, check_settings, fit_to_method, read_data
from limbeck.methods.settings import BalDistillSettings, load_presets
from limbeck.reports.comparison import write_markdown
from limbeck.run_folder.folder import RunFolder
from limbeck.system.files import write_json, write_text
from limbeck.teacher.backends import can_share
from limbeck.teacher.request import About

ALL_LABELS = "all-labels"
REPLIES = "replies.sqlite"
BASELINES = "baselines"


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        config: the YAML file of all arms.
        sets: ``--set`` values of all arms.
        equal: ``examples``, ``tokens`` or both (`compare_budget.equalise`).
        share: whose replies are shared: ``all`` runs', or only those of one ``seed``, so that seeds differ in them too.
        jobs: runs at once.
        has_all_labels, has_teacher: whether those two stand beside the arms; None where they make sense.
    """

    config: Path
    presets: tuple[str, ...]
    seeds: tuple[int, ...]
    sets: tuple[str, ...] = ()
    equal: tuple[str, ...] = ("examples",)
    share: str = "all"
    jobs: int = 1
    has_all_labels: bool | None = None
    has_teacher: bool | None = None


def compare(wanted: Comparison, out: Path | None, tell: Tell) -> tuple[dict[str, Any], int]:
    """Run what is not run yet, and write ``compare.json`` and ``compare.md``.

    Returns:
        What ``compare.json`` holds, and the exit code of the first run that failed (0 where none did).

    Raises:
        ConfigError, DataError: an arm can't be run, or the folder holds runs of another config or other data.
    """
    arms = {preset: _load(wanted, preset) for preset in wanted.presets}
    first = arms[wanted.presets[0]]
    out = (out or Path("runs") / f"{first.name}-compare").absolute()
    data = _read_all(arms)
    if not all(each.test for each in data.values()):
        raise ConfigError("data.test is not set, or empty: arms are compared by what their students answer to it")
    if (out / "run.json").exists():
        raise ConfigError(f"{out} is the folder of a single run; choose another --out")
    examples, max_tokens, notes = equalise({name: (config, data[name]) for name, config in arms.items()}, wanted.equal)
    runs = [
        _make_run(wanted, out, arm, arm, seed, _arm_sets(wanted, config, examples[arm], max_tokens))
        for arm, config in arms.items()
        for seed in wanted.seeds
    ]
    beside = _make_references(wanted, out, arms, data)
    pooled = _find_pooled(arms)
    for run in [*runs, *beside]:
        _check_folder(run, data[run.arm if run.arm in data else str(pooled)])  # beside stands nothing without a pool
    notes += [*_compare_configs(arms), *_explain_sharing(wanted, first)]
    if any(run.arm == TEACHER and run.config.data.test != first.data.test for run in beside):
        notes.append("the teacher is measured on the dev rows, the students on the test rows")
    replies = sorted({_replies(wanted, out, seed) for seed in wanted.seeds}) if can_share(first.teacher) else None
    # That of the config's own budget, the same for all arms however many examples each gets.
    tail = frozenset[str]() if pooled is None else data[pooled].tail
    with RunFolder.open(out):
        run_all([*runs, *beside], wanted.jobs, tell)
        result = collect_results(
            runs,
            beside,
            tail=tail,
            notes=notes,
            equal=wanted.equal,
            replies=replies,
            prices=first.teacher.prices,
        )
        facts = {
            "name": first.name,
            "presets": list(wanted.presets),
            "seeds": list(wanted.seeds),
            "equal": list(wanted.equal),
            "share": wanted.share,
            "budget": {"max_examples": examples, "max_tokens": max_tokens or first.budget.max_tokens},
            **result,
        }
        write_json(out / "compare.json", facts)
        write_text(out / "compare.md", write_markdown(facts))
    return facts, next((run["exit_code"] or 1 for run in result["runs"] if not run["is_finished"]), 0)


def parse_list(text: str, flag: str) -> tuple[str, ...]:
    """The parts of ``a,b,c``.

    Raises:
        ConfigError: there is none, or one is given twice.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or len(set(parts)) < len(parts):
        raise ConfigError(f"{flag} {text!r:.80}: names or numbers with commas between them are wanted, each once")
    return tuple(parts)


def parse_seeds(text: str) -> tuple[int, ...]:
    """The seeds of ``1,2,3``.

    Raises:
        ConfigError: one is no whole number from 0 to 2³² − 1, or given twice.
    """
    parts = parse_list(text, "--seeds")
    if not all(part.isascii() and part.isdigit() and int(part) < 2**32 for part in parts) or len({*map(int, parts)}) < len(
        parts
    ):
        raise ConfigError(f"--seeds {text!r:.80}: different whole numbers of at least 0 are wanted, such as 1,2,3")
    return tuple(map(int, parts))


def _load(wanted: Comparison, preset: str) -> Config:
    return load_config(wanted.config, choose_sets(wanted, preset), preset=preset)


def choose_sets(wanted: Comparison, preset: str) -> list[str]:
    """The ``--set`` values of an arm. A preset that fixes its stages keeps them: K is for the others.

    Raises:
        ConfigError: a ``--set`` says otherwise than the preset, which would be another arm under its name.
    """
    fixed = load_presets().get(preset, {})
    chosen = [one for one in wanted.sets if not (one.startswith("method.stages=") and "stages" in fixed)]
    method = load_config(wanted.config, chosen, preset=preset).method
    keeps = getattr(method, "keeps", None) or ()
    for one in chosen:
        key = one.partition("=")[0].removeprefix("method.")
        if one.startswith("method.") and key in fixed and key not in keeps and getattr(method, key) != fixed[key]:
            raise ConfigError(
                f"--set {one}: preset {preset} is {key}: {fixed[key]}, and would be another arm. Leave it out of --presets, or "
                f"add --set 'method.keeps=[{key}]', by which all presets take it from the config"
            )
    return chosen


def _read_all(arms: Mapping[str, Config]) -> dict[str, RunData]:
    """The data of each arm, read once for each method; every arm's settings and budget are checked against it."""
    for config in arms.values():  # before the first reading, which may take long
        check_settings(config)
    by_method: dict[str, RunData] = {}
    found: dict[str, RunData] = {}
    for name, config in arms.items():
        known = by_method.get(config.method.name)
        found[name] = read_data(config) if known is None else fit_to_method(known, config)
        by_method.setdefault(config.method.name, found[name])
    return found


def _find_pooled(arms: Mapping[str, Config]) -> str | None:
    """The first arm that chooses from a pool, or None."""
    return next((name for name, config in arms.items() if isinstance(config.method, BalDistillSettings)), None)


def _arm_sets(wanted: Comparison, config: Config, examples: int, max_tokens: int | None) -> list[str]:
    """What an arm's runs are set to beyond the config: its share of what is equal, and whether it measures the teacher too."""
    sets = []
    if examples != config.budget.max_examples:
        sets.append(f"budget.max_examples={examples}")
    if max_tokens is not None:
        sets.append(f"budget.max_tokens={max_tokens}")
    if isinstance(config.method, BalDistillSettings) or wanted.has_teacher is False:
        sets.append("evaluation.teacher=false")  # what it costs is no cost of the arm
    return sets


def _make_run(wanted: Comparison, out: Path, arm: str, preset: str, seed: int, sets: Sequence[str]) -> ArmRun:
    folder = out / arm / f"seed_{seed}"
    # What stands beside the arms is no variant of them.
    beside = [*(one for one in wanted.sets if not one.startswith("method.")), "method.keeps=null"]
    own = choose_sets(wanted, preset) if arm == preset else beside
    shared = {"teacher.shared_replies": _replies(wanted, out, seed), "evaluation.shared_baseline": out / BASELINES}
    all_sets = [*own, *sets, f"seed={seed}", *(f"{key}={_quote(path)}" for key, path in shared.items())]
    config = load_config(wanted.config, all_sets, preset=preset)
    flags = [part for each in all_sets for part in ("--set", each)]
    return ArmRun(arm, seed, folder, config, (str(wanted.config), "--preset", preset, "--out", str(folder), "--json", *flags))


def _quote(text: object) -> str:
    """A text as a YAML value on one line."""
    return json.dumps(str(text), ensure_ascii=False)


def _replies(wanted: Comparison, out: Path, seed: int) -> Path:
    return out / (REPLIES if wanted.share == "all" else f"replies_seed_{seed}.sqlite")


def _make_references(wanted: Comparison, out: Path, arms: Mapping[str, Config], data: Mapping[str, RunData]) -> list[ArmRun]:
    """The runs beside the arms: all real labels, for each seed; the teacher, for each choice of the rows it is measured on.

    Those are the dev rows where there are some: the test rows are for what is compared.
    """
    pooled = _find_pooled(arms)
    if pooled is None:
        if wanted.has_all_labels:
            raise ConfigError("--all-labels: no preset begins with real labels (data.train); leave it out")
        return []  # GOLD's own runs measure the teacher
    config, its = arms[pooled], data[pooled]
    runs = []
    if wanted.has_all_labels is not False:
        sets = [f"budget.max_examples={len(its.train)}", "evaluation.teacher=false"]
        runs += [_make_run(wanted, out, ALL_LABELS, "random-label", seed, sets) for seed in wanted.seeds]
    can_answer = its.backend.can_answer(About("evaluate", 0, its.test[0].domain, (its.test[0],)))
    if wanted.has_teacher and not can_answer:
        raise ConfigError(f"--teacher: the {config.teacher.backend} teacher can't answer questions; use --no-teacher")
    if wanted.has_teacher is not False and can_answer:
        most, rows = config.evaluation.max_examples, its.dev or its.test
        seeds = wanted.seeds if most is not None and most < len(rows) else wanted.seeds[:1]
        sets = ["evaluation.teacher=true"]
        if its.dev:
            sets += [f"data.test={_quote(name_split(str(config.data.dev), 'dev'))}", "data.dev=null"]
        runs += [_make_run(wanted, out, TEACHER, "zero-shot", seed, sets) for seed in seeds]
    return runs


def _check_folder(run: ArmRun, data: RunData) -> None:
    """Refuse a folder that holds another run before anything is begun: one that is finished would not be looked at again."""
    folder = RunFolder(run.folder)
    if folder.state:
        hashes = dict(data.hashes)
        if run.arm == TEACHER and "dev" in hashes:
            hashes["test"] = hashes.pop("dev")
        check_same_run(run.folder, folder.config, folder.state, run.config, hashes)


def _compare_configs(arms: Mapping[str, Config]) -> list[str]:
    """A note where arms differ in more than their method, as they do where methods have defaults of their own."""
    names = list(arms)
    plain = {name: config.model_dump(mode="json", exclude={"method"}) for name, config in arms.items()}
    notes = []
    for name in names[1:]:
        different = find_differences(plain[names[0]], plain[name])
        if different:
            notes.append(f"{names[0]} and {name} differ in more than their method: {', '.join(different)}")
    return notes


def _explain_sharing(wanted: Comparison, config: Config) -> list[str]:
    """What the intervals leave out where seeds share a sampling teacher's replies."""
    if wanted.share != "all" or len(wanted.seeds) < 2 or config.teacher.temperature == 0 or not can_share(config.teacher):
        return []
    return [
        "replies are shared by the seeds too, so the intervals leave out how far the teacher's own sampling varies; --share "
        "seed asks anew for each seed"
    ]
