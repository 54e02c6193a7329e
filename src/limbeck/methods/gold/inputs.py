"""GOLD's inputs: a few human examples, and held-out rows that must not contain any of them."""

from __future__ import annotations

from limbeck.data.splits import read_splits
from limbeck.errors import ConfigError, DataError
from limbeck.hashing import hash_text
from limbeck.inputs.data import RunData, make_run_data
from limbeck.inputs.sections import Sections
from limbeck.methods.gold.settings import GoldSettings
from limbeck.selection.subset import choose_rows


def check_settings(config: Sections, method: GoldSettings) -> None:
    """Reject contradictory settings before anything is read.

    Raises:
        ConfigError: there are no human examples, or `alphas` is set but the loss has no alpha.
    """
    if config.data.human is None:
        raise ConfigError(
            "data.human is not set: GOLD starts from a few labelled examples (three are enough) and generates all others"
        )
    if method.alphas and config.training.loss != "symmetric_cross_entropy":
        raise ConfigError(f"method.alphas has no effect on training.loss: {config.training.loss}; use symmetric_cross_entropy")


def read_human(config: Sections, method: GoldSettings) -> RunData:
    """Read GOLD's human examples and the held-out rows, which must not contain any of them.

    Raises:
        ConfigError: the budget needs prices that are not known, or the teacher's settings are invalid.
        DataError: see `read_examples`; or a human example is also in dev or test, which would show the teacher, and so the
            student, what the student is measured on.
    """
    splits = read_splits(config.task, config.data, "human")
    notes = []
    if method.attributes == "draw" and not config.task.attributes:
        notes.append(
            "method.attributes: draw has no effect because task.attributes is empty; set lists such as "
            "{topic: [acting, music]} to make examples more varied"
        )
    if splits.left_out:
        human, leak = splits.source, splits.left_out[0]
        leaking = next(example for example in human.examples if example.id == leak.example_id)
        first = f"{leaking.question[:80]!r} is also in dev or test ({leak.detail})"
        if config.data.human_size is None or not splits.clean:
            raise DataError(
                f"{human.source}: the human example {first}. It would be shown to the teacher; replace it with a "
                "row of a training split."
            )
        notes.append(f"{len(splits.left_out)} of {len(human.examples)} rows of data.human are skipped; the first one: {first}")
    chosen = choose_rows(
        [example.domain for example in splits.clean],
        config.data.human_size,
        lambda index: hash_text(f"human/{config.seed}/{splits.clean[index].id}"),
    )
    return make_run_data(config, splits, [splits.clean[index] for index in chosen], notes)
