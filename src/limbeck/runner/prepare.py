"""What a run begins with: its method's data behind guards, and a teacher that answers."""

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
    """Read the data, and find out whether the teacher can be asked, before anything is loaded, trained or measured.

    A run folder that holds replies may go on while its teacher is away, so there the teacher is not bothered.

    Raises:
        ConfigError, DataError: as `read_data`; or ``near_duplicates: embedding`` without the encoder's wheel.
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
    """Refuse settings that contradict each other, before anything is read.

    Raises:
        ConfigError: what the method begins with is not set, or it does not fit the student or its loss.
    """
    METHODS[config.method.name].check(config, config.method)


def read_data(config: Config) -> RunData:
    """Read what the method begins with, and what it is measured on.

    Raises:
        ConfigError: as `check_settings`, or the budget or the teacher can't carry out the method.
        DataError: the data can't be read, leak into what is measured, or are none; the message has the file.
    """
    check_settings(config)
    return METHODS[config.method.name].read(config, config.method)


def refit(data: RunData, config: Config) -> RunData:
    """What `read_data` gives for a config that differs from the one of `data` in its method's settings, except for the notes.

    Raises:
        ConfigError, DataError: as `read_data`; `check_settings` is for the caller.
    """
    return METHODS[config.method.name].refit(data, config, config.method)


def make_plan(config: Config, data: RunData, learned: Learned = UNLEARNED, count: TokenCounter | None = None) -> Plan:
    """The plan of a config's method.

    Args:
        config: what is planned.
        data: of the run.
        learned: what an earlier ledger taught.
        count: counts tokens; None stands for that of the config's teacher.

    Raises:
        ConfigError: ``teacher.tokenizer`` can't be read.
    """
    estimator = Estimator(config, count or load_counter(config.teacher), learned)
    return METHODS[config.method.name].plan(estimator, data, config.method)
