"""BalDistill's inputs: a guarded pool, and a budget that can be spent."""

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
        ConfigError: see `read_pool` and `check_method`.
        DataError: see `read_pool`.
    """
    data = read_pool(config, is_annotated=method.annotation != "none")
    check_method(config, method, data)
    return data


def refit(data: RunData, config: Sections, method: BalDistillSettings) -> RunData:
    """What `read_data` would return with other method settings, except for the notes.

    Raises:
        ConfigError: see `check_method`.
        DataError: see `find_unavailable`.
    """
    check_method(config, method, data)
    unavailable = frozenset() if method.annotation == "none" else find_unavailable(config, data)
    return replace(data, unavailable=unavailable)


def check_method(config: Sections, method: BalDistillSettings, data: RunData) -> None:
    """Reject a method that the budget or the teacher can't support.

    Raises:
        ConfigError: the message has the key and the remedy.
    """
    check_budget(config, method, data.counts)
    check_voter(method, data.backend, data.train)


def check_voter(method: BalDistillSettings, backend: Backend, examples: Sequence[Example]) -> None:
    """Reject votes by a teacher that can't solve unseen questions.

    Raises:
        ConfigError: ``verify: vote`` with such a teacher.
    """
    is_asked = method.verify == "vote" and method.tail == "synthesize" and method.stages > 0
    if is_asked and not backend.can_answer(About("verify", 0, examples[0].domain, (examples[0],))):
        raise ConfigError(
            "method.verify: vote asks the teacher to solve new questions, but teacher.backend: recorded only has the replies "
            "in its files. Set method.verify to answer or none, or use another teacher.backend."
        )


def check_budget(config: Sections, method: BalDistillSettings, counts: Mapping[str, int]) -> None:
    """Reject budgets that the method can't spend as intended.

    Raises:
        ConfigError: there are fewer examples than stages, or than domains if the quotas balance domains.
    """
    wanted = config.budget.max_examples
    if wanted < method.stages:
        raise ConfigError(
            f"budget.max_examples = {wanted} is less than method.stages = {method.stages}, so a stage would get no examples. "
            "Raise the budget, or use fewer stages."
        )
    if method.stages and QUOTAS[method.quota].is_balanced and wanted < len(counts):
        raise ConfigError(
            f"budget.max_examples = {wanted} is less than the number of domains, {len(counts)}: quota "
            f"{method.quota!r} can't give each domain a share. Raise the budget, merge domains, or use quota: natural."
        )


def count_min_examples(data: RunData, method: BalDistillSettings) -> int:
    """The smallest ``budget.max_examples`` that `check_budget` accepts."""
    return max(method.stages, len(data.counts) if QUOTAS[method.quota].is_balanced else 1)
