"""What a night may cost: the worst case is reserved before a call, the real cost settled after it.

Money is decimal. Nothing here knows a price; agents do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nightdesk.policy.models import Budget

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Reservation:
    """Money set aside for one call; hand it back to `settle()` exactly once."""

    operation: str
    usd: Decimal


class NightBudget:
    """One night's money, shared by all operations of the night. For one event loop; not thread-safe.

    Args:
        night_usd: The most all operations together may cost.
        operation_usd: The most each operation may cost. An operation that is not named has nothing to spend.
    """

    def __init__(self, night_usd: Decimal, operation_usd: Mapping[str, Decimal]) -> None:
        self.night_usd = night_usd
        self.operation_usd = dict(operation_usd)
        self._spent: dict[str, Decimal] = {}
        self._reserved: dict[str, Decimal] = {}
        self._outstanding = 0

    @classmethod
    def from_policy(cls, budget: Budget) -> NightBudget:
        """The limits of `policies/budget.yml`."""
        return cls(budget.night_usd, {str(name): usd for name, usd in budget.operation_usd.items()})

    def restore(self, spent: Mapping[str, Decimal]) -> None:
        """Take over what the ledger says the night has cost already, e.g. before a crash. Never lowers a number."""
        for operation, usd in spent.items():
            self._spent[operation] = max(self.spent(operation), usd)

    def spent(self, operation: str | None = None) -> Decimal:
        """USD settled so far: of one operation, or of the night."""
        return sum(self._spent.values(), ZERO) if operation is None else self._spent.get(operation, ZERO)

    def reserved(self, operation: str | None = None) -> Decimal:
        """USD set aside for calls in flight."""
        return sum(self._reserved.values(), ZERO) if operation is None else self._reserved.get(operation, ZERO)

    @property
    def outstanding(self) -> int:
        """Calls whose cost is not settled yet."""
        return self._outstanding

    def reserve(self, operation: str, worst_case_usd: Decimal) -> Reservation | None:
        """Set the worst case aside; None when it does not fit beside what is spent and reserved now."""
        if worst_case_usd < ZERO:
            raise ValueError("a worst case cannot be negative")
        if worst_case_usd > self._room(operation, with_reserved=True):
            return None
        self._reserved[operation] = self.reserved(operation) + worst_case_usd
        self._outstanding += 1
        return Reservation(operation, worst_case_usd)

    def could_fit(self, operation: str, worst_case_usd: Decimal) -> bool:
        """Whether it would fit if every call in flight turned out free: is waiting for them worth it?"""
        return worst_case_usd <= self._room(operation, with_reserved=False)

    def settle(self, reservation: Reservation, actual_usd: Decimal) -> None:
        """Replace a reservation by what the call did cost."""
        if self._outstanding <= 0 or self.reserved(reservation.operation) < reservation.usd:
            raise ValueError("settled twice, or never reserved")
        self._reserved[reservation.operation] = self.reserved(reservation.operation) - reservation.usd
        self._outstanding -= 1
        self._spent[reservation.operation] = self.spent(reservation.operation) + actual_usd

    def why_not(self, operation: str, worst_case_usd: Decimal) -> str:
        """The reason of an `over_budget` outcome, for a person."""
        limit = self.operation_usd.get(operation, ZERO)
        if worst_case_usd > limit - self.spent(operation):
            return f"operation_usd.{operation} is {limit} USD and {self.spent(operation):.4f} are spent"
        return f"night_usd is {self.night_usd} and {self.spent():.4f} USD are spent"

    def _room(self, operation: str, *, with_reserved: bool) -> Decimal:
        limit = self.operation_usd.get(operation, ZERO)
        of_operation = limit - self.spent(operation)
        of_night = self.night_usd - self.spent()
        if with_reserved:
            of_operation -= self.reserved(operation)
            of_night -= self.reserved()
        return min(of_operation, of_night)
