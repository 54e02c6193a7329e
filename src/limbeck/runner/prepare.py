"""Prepares a run: reads and checks the data, checks that the teacher answers, and makes the plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from limbeck.config.config import Config
from limbeck.inputs.data import RunData
from limbeck.methods.table import METHODS
from limbeck.packaged import find_packaged
from limbeck.planner.estimate import Estimator
from limbeck.planner.history import UNLEARNED, Learned
from limbeck.planner.tokens import TokenCounter, load_counter
from limbeck.run_folder.folder import find_ledger
from limbeck.run_folder.plan import Plan
from limbeck.teacher.client.ledger import Ledger
from limbeck.teacher.client.teacher import check_teacher


def prepare(config: Config, out: Path) -> RunData:
    """Read the data and check that the teacher answers, before anything is loaded, trained or measured.

    A run folder with replies may be resumed while the teacher is down, so the teacher is not checked then.

    Raises:
        ConfigError, DataError: see `read_data`; also ``near_duplicates: embedding`` without the encoder's wheel.
        TeacherError: the teacher can't be asked.
    """
    data = read_data(config)
    if config.method.invents and config.method.near_duplicates == "embedding":
        find_packaged("minilm-l6")
    if not config.method.asks_teacher or _has_replies(find_ledger(out)):
        return data
    remark = check_teacher(data.backend, config.teacher)
    return replace(data, notes=[*data.notes, remark]) if remark else data


def _has_replies(path: Path) -> bool:
    if not path.exists():
        return False
    ledger = Ledger(path, is_read_only=True)
    try:
        return bool(ledger.count_models())
    finally:
        ledger.close()


def check_settings(config: Config) -> None:
    """Reject contradictory settings before anything is read.

    Raises:
        ConfigError: the method's input is not set, or the method does not fit the student or its loss.
    """
    METHODS[config.method.name].check(config, config.method)


def read_data(config: Config) -> RunData:
    """Read the method's input and the rows that students are measured on.

    Raises:
        ConfigError: see `check_settings`; also if the budget or the teacher does not fit the method.
        DataError: the data can't be read, are empty, or leak into the test rows; the message names the file.
    """
    check_settings(config)
    return METHODS[config.method.name].read(config, config.method)


def refit(data: RunData, config: Config) -> RunData:
    """Adapt `data` to a config with other method settings, as if by `read_data`, except for the notes.

    Raises:
        ConfigError, DataError: see `read_data`; the caller must run `check_settings`.
    """
    return METHODS[config.method.name].refit(data, config, config.method)


def make_plan(config: Config, data: RunData, learned: Learned = UNLEARNED, count: TokenCounter | None = None) -> Plan:
    """Make the plan of a config.

    Args:
        config: the config to plan.
        data: the run's data.
        learned: what an earlier ledger taught.
        count: counts tokens; None means the counter of the config's teacher.

    Raises:
        ConfigError: ``teacher.tokenizer`` can't be read.
    """
    estimator = Estimator(config, count or load_counter(config.teacher), learned)
    return METHODS[config.method.name].plan(estimator, data, config.method)
