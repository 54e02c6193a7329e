"""What GOLD begins with: a few human examples, and held-out rows from which none of them may come."""

from __future__ import annotations

from collections import Counter

from limbeck.data.sources import collect_labels, read_examples
from limbeck.data.splits import count_shared, describe_overlap, read_held_out, split_leaking
from limbeck.errors import ConfigError, DataError
from limbeck.hashing import hash_text
from limbeck.inputs.data import RunData, hash_inputs, list_examples
from limbeck.inputs.sections import Sections
from limbeck.methods.gold.settings import GoldSettings
from limbeck.selection.subset import choose_rows
from limbeck.teacher.backends import open_backend
from limbeck.teacher.client.budget import check_prices


def check_settings(config: Sections, method: GoldSettings) -> None:
    """Refuse settings that contradict each other, before anything is read.

    Raises:
        ConfigError: there are no human examples, or candidates for a parameter that the loss does not have.
    """
    if config.data.human is None:
        raise ConfigError(
            "data.human is not set: GOLD begins with a few labelled examples (three will do), and generates all others"
        )
    if method.alphas and config.training.loss != "symmetric_cross_entropy":
        raise ConfigError(f"method.alphas has no effect on training.loss: {config.training.loss}; use symmetric_cross_entropy")


def read_human(config: Sections, method: GoldSettings) -> RunData:
    """Read GOLD's human examples and the held-out rows, from which none of them may come.

    Raises:
        ConfigError: prices that the budget needs are not known, or the teacher's settings.
        DataError: as `read_examples`; or a human example that is also in dev or test, which would show the teacher, and so
            the student, what it is measured on.
    """
    task = collect_labels(config.task, config.data, "human")
    human = read_examples(str(config.data.human), task, config.data, "train")
    dev, test, leaks = read_held_out(config.data, config.task, [])
    clean, left_out = split_leaking(human.examples, leaks)
    shared = count_shared(list_examples(dev), list_examples(test), [])
    notes, overlap = describe_overlap({"human": human, "dev": dev, "test": test}, left_out, shared)
    if method.attributes == "draw" and not config.task.attributes:
        notes.append(
            "task.attributes is empty, so prompts draw none; lists such as {topic: [acting, music]} keep examples apart"
        )
    if left_out:
        leaking = next(example for example in human.examples if example.id == left_out[0].example_id)
        first = f"{leaking.question[:80]!r} is also in dev or test ({left_out[0].detail})"
        if config.data.human_size is None or not clean:
            raise DataError(
                f"{human.source}: the human example {first}. It would be shown to the teacher; take another one, from a "
                "training split."
            )
        notes.append(f"{len(left_out)} of {len(human.examples)} rows of data.human are passed over: the first {first}")
    chosen = choose_rows(
        [example.domain for example in clean],
        config.data.human_size,
        lambda index: hash_text(f"human/{config.seed}/{clean[index].id}"),
    )
    examples = [clean[index] for index in chosen]
    check_prices(config.budget, config.teacher)
    backend = open_backend(config.teacher, task)
    counts = Counter(example.domain for example in examples)
    return RunData(
        task,
        examples,
        frozenset(),
        list_examples(dev),
        list_examples(test),
        leaks,
        counts,
        frozenset(),
        hash_inputs(config, {"human": human, "dev": dev, "test": test}, backend),
        notes,
        overlap,
        left_out,
        backend,
    )
