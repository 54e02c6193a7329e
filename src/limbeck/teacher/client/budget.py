"""The hard budget: a request's worst case is reserved before it is sent and settled after, so no cap is exceeded.

The one exception is a teacher that counts more tokens than a request can have; its count is charged.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from limbeck.errors import BudgetExhausted, ConfigError
from limbeck.settings import Settings
from limbeck.teacher.settings import TeacherSettings


class BudgetSettings(Settings):
    """The budget's caps. Every cap that is set applies, across all purposes.

    Attributes:
        max_examples: rows of the final training set (kept real + kept synthesized + duplicates), the papers' B.
        max_requests: every attempt that is sent, whether or not it is answered.
        max_tokens: prompt and completion tokens of all attempts.
        max_cost_usd: cost in USD by the teacher's `prices`; it is an error to set this cap without prices.
    """

    max_examples: int = Field(gt=0)
    max_requests: int | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=0)
    max_cost_usd: float | None = Field(default=None, ge=0)


def check_prices(budget: BudgetSettings, settings: TeacherSettings) -> None:
    """Refuse a money cap if the prices are unknown.

    Raises:
        ConfigError: the prices are missing; the message names both settings.
    """
    if budget.max_cost_usd is not None and settings.prices is None:
        raise ConfigError(
            f"budget.max_cost_usd = {budget.max_cost_usd:g} can't be enforced: teacher.prices gives no price for "
            f"{settings.model!r}. Set teacher.prices.prompt_usd_per_mtok and completion_usd_per_mtok."
        )


@dataclass(frozen=True)
class Spend:
    """An amount spent or reserved, in the three units a request costs."""

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

    `spent` starts at the ledger's total, so a resumed run continues where it stopped. The caller sets `exhausted` once a
    cap does not allow a request and nothing in flight could release any budget.
    """

    def __init__(self, settings: BudgetSettings, spent: Spend | None = None) -> None:
        self.settings = settings
        self.spent = spent or Spend()
        self.reserved = Spend()
        self.exhausted: BudgetExhausted | None = None

    def compute_excess(self, before: Spend, most: Spend) -> BudgetExhausted | None:
        """The cap that `most` would exceed, on top of what is spent, reserved and still to come `before` it; None if none."""
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
        """Reserve the most that one request can cost.

        Raises:
            BudgetExhausted: a cap does not allow it; nothing is reserved.
        """
        if (excess := self.compute_excess(Spend(), most)) is not None:
            raise excess
        self.reserved += most

    def settle(self, most: Spend, real: Spend) -> None:
        """Replace a reservation with the request's real cost."""
        left = self.reserved - most
        self.reserved = left if left.requests else Spend()  # exactly zero: float sums may leave a remainder
        self.spent += real
