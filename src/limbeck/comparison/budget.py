"""Equalises what arms may spend: the same examples, the same tokens, or both."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from limbeck.config.config import Config
from limbeck.errors import ConfigError
from limbeck.inputs.data import RunData
from limbeck.methods.table import METHODS
from limbeck.runner.prepare import make_plan

MOST_DOUBLINGS = 6


def equalise(arms: Mapping[str, tuple[Config, RunData]], equal: Sequence[str]) -> tuple[dict[str, int], int | None, list[str]]:
    """Return ``budget.max_examples`` of each arm, the cap ``budget.max_tokens`` of all, and notes to the user.

    ``examples`` keeps the config's number. ``tokens`` gives each arm as many examples as its plan likely affords with a
    fixed number of tokens: the config's cap, or else the likely need of the cheapest arm that asks anything. Both together
    give all arms the smallest of these numbers. With ``tokens`` alone, arms that ask nothing keep the config's number.

    Args:
        arms: each arm's config and data.
        equal: ``examples``, ``tokens`` or both.

    Raises:
        ConfigError: an arm likely needs more tokens even for its smallest number of examples.
    """
    given = {name: config.budget.max_examples for name, (config, _) in arms.items()}
    if "tokens" not in equal:
        return given, None, []
    needs = {name: tokens for name, (config, data) in arms.items() if (tokens := _foresee(config, data, given[name])[0]) > 0}
    caps = [config.budget.max_tokens for config, _ in arms.values() if config.budget.max_tokens is not None]
    if not needs:
        return given, None, ["no arm asks the teacher anything, so there are no tokens to equalise"]
    tokens = min(caps) if caps else math.ceil(min(needs.values()))
    fitted = {name: fit_examples(*arms[name], tokens) for name in needs}
    if "examples" in equal:
        fitted = dict.fromkeys(given, min(fitted.values()))
    shown = ", ".join(f"{name} {count}" for name, count in fitted.items())
    notes = [f"equal tokens: {tokens:,} for each arm; examples, according to the plan: {shown}"]
    silent = [name for name in given if name not in fitted]
    if silent:
        notes.append(f"{', '.join(silent)}: no requests to the teacher, so budget.max_examples of the config applies")
    return {**given, **fitted}, tokens, notes


def fit_examples(config: Config, data: RunData, tokens: int) -> int:
    """Return the most examples for which the plan of a run likely stays within the tokens.

    Raises:
        ConfigError: the tokens are too few even for the fewest examples that the method can start with.
    """
    least = METHODS[config.method.name].count_min_examples(data, config.method)
    needed, _ = _foresee(config, data, least)
    if needed > tokens:
        raise ConfigError(
            f"--equal tokens: {tokens:,} tokens are fewer than the {needed:,.0f} that {least} examples of "
            f"{config.method.preset} likely need; raise budget.max_tokens or leave that preset out"
        )
    low, high = least, max(least, config.budget.max_examples) + 1
    for _ in range(MOST_DOUBLINGS):
        needed, examples = _foresee(config, data, high)
        if needed > tokens:
            break
        low, high = high, 2 * high
        if examples < low:  # the pool is exhausted
            return max(least, examples)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _foresee(config, data, middle)[0] <= tokens else (low, middle)
    return low


def _foresee(config: Config, data: RunData, examples: int) -> tuple[float, int]:
    """Plan a run with a budget of so many examples; return its likely tokens and the examples it can get."""
    budget = config.budget.model_copy(update={"max_examples": examples})
    planned = make_plan(config.model_copy(update={"budget": budget}), data).totals
    return planned.tokens.likely, planned.examples
