"""Specification of `limbeck.data.splits`: leaking rows are left out, and all overlaps are counted."""

from __future__ import annotations

from tests.support import make_example

from limbeck.data.overlap import LeakGuard
from limbeck.data.sources import Reading
from limbeck.data.splits import count_shared, describe_overlap, split_leaking

TRAIN = [make_example(f"Calculate {number} + 1.") for number in range(5)]
DEV = [make_example("calculate 2 + 1"), make_example("Calculate 7 + 7.")]
TEST = [make_example("Calculate 4+1"), make_example("CALCULATE 7 + 7."), make_example("Calculate 9 + 9.")]


def read(name: str, examples: list, repeats: int = 0) -> Reading:  # type: ignore[type-arg]
    return Reading(f"folder/{name}.jsonl", tuple(examples), repeats)


def test_what_leaks_is_kept_out_with_the_row_that_it_repeats() -> None:
    """Rows that are in dev or test are left out with a reason and the row they repeat, and counted for the split."""
    leaks = LeakGuard(((e.id, e.question) for e in [*DEV, *TEST]), [e.question for e in TRAIN])
    clean, left_out = split_leaking(TRAIN, leaks)
    assert clean == [TRAIN[0], TRAIN[1], TRAIN[3]]
    assert [(one.example_id, one.reason, one.detail) for one in left_out] == [
        (TRAIN[2].id, "leaks_held_out", f"row {DEV[0].id}"),
        (TRAIN[4].id, "leaks_held_out", f"row {TEST[0].id}"),
    ]
    notes, counts = describe_overlap({"train": read("train", TRAIN, 3), "dev": read("dev", DEV)}, left_out, 0)
    assert notes == ["train.jsonl: 3 exact repeats collapsed"]
    assert counts == {"repeats": {"train": 3, "dev": 0}, "leaks": {"dev": 1}, "dev_in_test": 0}


def test_dev_rows_that_are_also_in_test_are_said() -> None:
    """A dev row that is also in test is counted and reported; if a split is missing, nothing is shared."""
    questions = [e.question for e in TRAIN]
    assert count_shared(DEV, TEST, questions) == 1
    assert count_shared(DEV, [], questions) == count_shared([], TEST, questions) == 0
    notes, counts = describe_overlap({"dev": read("dev", DEV), "test": read("test", TEST)}, [], 1)
    assert counts["dev_in_test"] == 1
    assert notes[0].startswith("1 of 2 dev rows are also in test")
