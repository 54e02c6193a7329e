"""`limbeck plan`: what a run will do and cost, before anything is asked or trained. Imports no torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from limbeck.config.config import ConfigLike, as_config
from limbeck.errors import ConfigError
from limbeck.planner.history import learn, learn_if_there
from limbeck.planner.tokens import load_counter
from limbeck.run_folder.plan import Plan
from limbeck.runner.prepare import make_plan, prepare, read_data
from limbeck.runner.probe import run_probe


def plan(
    config: ConfigLike,
    *,
    out: str | Path | None = None,
    ledger: str | Path | None = None,
    probe: int | None = None,
) -> Plan:
    """Estimate what a config will do and cost.

    Args:
        config: a config, its YAML file, or its plain values.
        out: the folder of the future run; None means ``runs/NAME``. If it has a ledger of the same teacher, the plan learns
            from it.
        ledger: a run folder or ledger to learn from instead.
        probe: first send this many paid requests, and keep their replies in `out`.

    Raises:
        ConfigError, DataError, StorageError: the config can't be planned, or there is nothing to learn from the ledger.
        TeacherError: the teacher can't be probed.
    """
    if ledger is not None and probe is not None:
        raise ConfigError("--ledger and --probe can't be combined; leave out one of them")
    if probe is not None and (type(probe) is not int or probe < 1):
        raise ConfigError(f"probe = {probe!r:.80}: expected a whole number of at least 1; leave it out to ask nothing")
    config = as_config(config)
    out = Path(out or Path("runs") / config.name)
    count, method = load_counter(config.teacher), config.method.model_dump(mode="json")  # before a probe is paid
    data = read_data(config) if probe is None else prepare(config, out)
    facts = None if probe is None else run_probe(config, data, out, probe)
    if ledger is None:
        learned = learn_if_there(out, config.teacher, method, count)
    else:
        learned = learn(Path(ledger), config.teacher, method, count)
    return replace(make_plan(config, data, learned, count), probe=facts)
