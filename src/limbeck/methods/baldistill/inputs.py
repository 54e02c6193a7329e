"""What BalDistill begins with: a pool behind its guards, and a budget that can be spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from limbeck.data.example import Example
from limbeck.errors import ConfigError
from limbeck.inputs.data import RunData
from limbeck.inputs.pool import find_unavailable, read_pool
from limbeck.inputs.sections import Sections
from limbeck.methods.baldistill.settings import BalDistillSettings
from limbeck.selection.quotas import QUOTAS
from limbeck.teacher.request import About, Backend


def read_data(config: Sections, method: BalDistillSettings) -> RunData:
    """Read the pool, and check that method, budget and teacher fit it.

    Raises:
        ConfigError: as `read_pool` and `check_method`.
        DataError: as `read_pool`.
    """
    data = read_pool(config, is_annotated=method.annotation != "none")
    check_method(config, method, data)
    return data


def refit(data: RunData, config: Sections, method: BalDistillSettings) -> RunData:
    """What `read_data` would give with other settings of the method, except for the notes.

    Raises:
        ConfigError: as `check_method`.
        DataError: as `find_unavailable`.
    """
    check_method(config, method, data)
    unavailable = frozenset() if method.annotation == "none" else find_unavailable(config, data)
    return replace(data, unavailable=unavailable)


def check_method(config: Sections, method: BalDistillSettings, data: RunData) -> None:
    """Refuse a method that the budget or the teacher can't carry out.

    Raises:
        ConfigError: the message has the key and the remedy.
    """
    check_budget(config, method, data.counts)
    check_voter(method, data.backend, data.train)


def check_voter(method: BalDistillSettings, backend: Backend, examples: Sequence[Example]) -> None:
    """Refuse votes of a teacher that can't solve what it has not seen.

    Raises:
        ConfigError: ``verify: vote`` with such a teacher.
    """
    is_asked = method.verify == "vote" and method.tail == "synthesize" and method.stages > 0
    if is_asked and not backend.can_answer(About("verify", 0, examples[0].domain, (examples[0],))):
        raise ConfigError(
            "method.verify: vote has the teacher solve new questions, which teacher.backend: recorded can't: its replies are "
            "those of its files. Set method.verify to answer or none, or use another teacher.backend."
        )


def check_budget(config: Sections, method: BalDistillSettings, counts: Mapping[str, int]) -> None:
    """Refuse budgets that can't be spent as the method wants.

    Raises:
        ConfigError: fewer examples than stages, or than domains if the quotas balance domains.
    """
    wanted = config.budget.max_examples
    if wanted < method.stages:
        raise ConfigError(
            f"budget.max_examples = {wanted} is less than method.stages = {method.stages}; a stage would get none"
        )
    if method.stages and QUOTAS[method.quota].is_balanced and wanted < len(counts):
        raise ConfigError(
            f"budget.max_examples = {wanted} is less than the number of domains, {len(counts)}: quota "
            f"{method.quota!r} can't give each a share. Raise the budget, merge domains, or use quota: natural."
        )


def count_min_examples(data: RunData, method: BalDistillSettings) -> int:
    """The smallest ``budget.max_examples`` that `check_budget` accepts."""
    return max(method.stages, len(data.counts) if QUOTAS[method.quota].is_balanced else 1)
