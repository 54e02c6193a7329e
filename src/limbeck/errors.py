"""Every error a user can meet, each with the exit code of DESIGN §3.

To add one: subclass the nearest class below, keep the message in the order *what, where, limit, remedy*, and never
swallow it on the way up: only `cli.main` turns errors into exit codes.
"""

from __future__ import annotations


class LimbeckError(Exception):
    """Root of all errors that carry a message for the user; anything else that escapes is a bug (exit code 1)."""

    exit_code = 1


class ConfigError(LimbeckError, ValueError):
    """The command line or the config asks for something that can't be done."""

    exit_code = 2


class DataError(LimbeckError, ValueError):
    """A data file, or a row of it, is not what the config says it is."""

    exit_code = 3


class StorageError(LimbeckError, OSError):
    """A file of the run folder could not be written (full disk, read-only folder)."""

    exit_code = 3


class TeacherError(LimbeckError, RuntimeError):
    """The teacher can't be reached, or refuses every request."""

    exit_code = 4


class BudgetExhausted(LimbeckError):
    """A cap of the budget does not allow the next request.

    Attributes:
        cap: name of the cap, with its unit (``max_requests``, ``max_tokens``, ``max_cost_usd``).
        limit: the cap's value.
        spent: what is spent or reserved already, in the same unit.
        needed: what the next request would need at most, in the same unit.
        bought: a sentence that says what was had for it and what is missing, once that is known.
    """

    exit_code = 5

    def __init__(self, cap: str, limit: float, spent: float, needed: float, bought: str = "") -> None:
        super().__init__(
            f"budget.{cap} = {limit:g} is spent: {spent:g} used or reserved, {needed:g} more needed for the next "
            f"request. {bought + ' ' if bought else ''}Raise budget.{cap} and run the same command again to go on."
        )
        self.cap, self.limit, self.spent, self.needed, self.bought = cap, limit, spent, needed, bought

    def explain(self, bought: str) -> BudgetExhausted:
        """The same with what was bought."""
        return BudgetExhausted(self.cap, self.limit, self.spent, self.needed, bought)


class NothingKept(LimbeckError):
    """A stage kept no example at all, so there is nothing to train on."""

    exit_code = 5
