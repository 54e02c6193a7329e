"""All errors that a user can see, each with its exit code.

To add one: subclass the nearest class below, write the message in the order *what, where, limit, remedy*, and don't
catch it on the way up: only `cli.main` turns errors into exit codes.
"""

from __future__ import annotations


class LimbeckError(Exception):
    """Base of all errors with a message for the user; anything else that escapes is a bug (exit code 1)."""

    exit_code = 1


class ConfigError(LimbeckError, ValueError):
    """The command line or the config asks for something that can't be done."""

    exit_code = 2


class DataError(LimbeckError, ValueError):
    """A data file, or a row of it, does not match the config."""

    exit_code = 3


class StorageError(LimbeckError, OSError):
    """A file of the run folder could not be written (full disk, read-only folder)."""

    exit_code = 3


class TeacherError(LimbeckError, RuntimeError):
    """The teacher can't be reached, or refuses every request."""

    exit_code = 4


class BudgetExhausted(LimbeckError):
    """The next request would exceed a cap of the budget.

    Attributes:
        cap: name of the cap, with its unit (``max_requests``, ``max_tokens``, ``max_cost_usd``).
        limit: the cap's value.
        spent: already spent or reserved, in the same unit.
        needed: the most that the next request may cost, in the same unit.
        bought: a sentence on what the spend bought and what is missing, once that is known.
    """

    exit_code = 5

    def __init__(self, cap: str, limit: float, spent: float, needed: float, bought: str = "") -> None:
        super().__init__(
            f"budget.{cap} = {limit:g} is spent: {spent:g} used or reserved, and the next request needs up to "
            f"{needed:g}. {bought + ' ' if bought else ''}Raise budget.{cap} and run the same command again to resume."
        )
        self.cap, self.limit, self.spent, self.needed, self.bought = cap, limit, spent, needed, bought

    def explain(self, bought: str) -> BudgetExhausted:
        """The same error, with what the spend bought."""
        return BudgetExhausted(self.cap, self.limit, self.spent, self.needed, bought)


class NothingKept(LimbeckError):
    """A stage kept no example, so there is nothing to train on."""

    exit_code = 5
