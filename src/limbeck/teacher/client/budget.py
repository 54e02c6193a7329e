"""The hard budget: reserved before a request leaves, settled after, never passed."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from limbeck.errors import BudgetExhausted, ConfigError
from limbeck.settings import Settings
from limbeck.teacher.settings import TeacherSettings


class BudgetSettings(Settings):
    """The caps; all that are set hold at once, over every purpose.

    Attributes:
        max_examples: rows of the final training set (kept real + kept synthesized + duplicates), the papers' B.
        max_requests: every attempt that leaves the machine, whatever comes back.
        max_tokens: prompt and completion tokens of all attempts.
        max_cost_usd: money, by the teacher's `prices`; an unknown price under this cap is an error.
    """

    max_examples: int = Field(gt=0)
    max_requests: int | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=0)
    max_cost_usd: float | None = Field(default=None, ge=0)


def check_prices(budget: BudgetSettings, settings: TeacherSettings) -> None:
    """Refuse a money cap under which the prices are unknown.

    Raises:
        ConfigError: with both numbers that are missing.
    """
    if budget.max_cost_usd is not None and settings.prices is None:
        raise ConfigError(
            f"budget.max_cost_usd = {budget.max_cost_usd:g} can't be held: teacher.prices gives no price for "
            f"{settings.model!r}. Set teacher.prices.prompt_usd_per_mtok and completion_usd_per_mtok."
        )


@dataclass(frozen=True)
class Spend:
    """What is spent, or reserved, in the three units that requests cost."""

    requests: int = 0
    tokens: int = 0
    cost_usd: float = 0.0

    def __add__(self, other: Spend) -> Spend:
        return Spend(self.requests + other.requests, self.tokens + other.tokens, self.cost_usd + other.cost_usd)

    def __mul__(self, times: int) -> Spend:
        return Spend(self.requests * times, self.tokens * times, self.cost_usd * times)

    def __sub__(self, other: Spend) -> Spend:
        return Spend(self.requests - other.requests, self.tokens - other.tokens, self.cost_usd - other.cost_usd)


class Budget:
    """Counts what is spent and what is reserved against the caps.

    `spent` starts at what the ledger holds already, so a resumed run goes on where it stopped. `exhausted` is set by who
    asks, once a cap does not allow a request although nothing in flight could give anything back.
    """

    def __init__(self, settings: BudgetSettings, spent: Spend | None = None) -> None:
        self.settings = settings
        self.spent = spent or Spend()
        self.reserved = Spend()
        self.exhausted: BudgetExhausted | None = None

    def compute_excess(self, before: Spend, most: Spend) -> BudgetExhausted | None:
        """The cap that does not allow `most` besides what is spent, reserved, or to come `before` it; None where all do."""
        used = self.spent + self.reserved + before
        caps = (
            ("max_requests", self.settings.max_requests, used.requests, most.requests),
            ("max_tokens", self.settings.max_tokens, used.tokens, most.tokens),
            ("max_cost_usd", self.settings.max_cost_usd, used.cost_usd, most.cost_usd),
        )
        for cap, limit, have, need in caps:
            if limit is not None and have + need > limit + 1e-12:
                return BudgetExhausted(cap, limit, have, need)
        return None

    def reserve(self, most: Spend) -> None:
        """Set aside the most that one request can cost.

        Raises:
            BudgetExhausted: a cap does not allow it; nothing is reserved.
        """
        if (excess := self.compute_excess(Spend(), most)) is not None:
            raise excess
        self.reserved += most

    def settle(self, most: Spend, real: Spend) -> None:
        """Replace a reservation by what the request really cost."""
        left = self.reserved - most
        self.reserved = left if left.requests else Spend()  # exactly nothing, which sums of floats may miss
        self.spent += real
