"""The budget holds for any order of reserving and settling, as long as no call costs more than its worst case."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enrich.budget import NightBudget, Reservation

MONEY = st.decimals(min_value=0, max_value=5, places=4)
STEPS = st.lists(st.tuples(st.sampled_from(["a", "b"]), MONEY, st.integers(0, 100)), max_size=60)


@given(night=MONEY, a=MONEY, b=MONEY, steps=STEPS)
def test_neither_the_night_nor_an_operation_is_ever_overspent(
    night: Decimal, a: Decimal, b: Decimal, steps: list[tuple[str, Decimal, int]]
) -> None:
    budget = NightBudget(night, {"a": a, "b": b})
    open_reservations: list[Reservation] = []
    for operation, worst_case, percent in steps:
        reservation = budget.reserve(operation, worst_case)
        if reservation is not None:
            open_reservations.append(reservation)
        if percent % 3 == 0 and open_reservations:
            settled = open_reservations.pop(percent % len(open_reservations))
            budget.settle(settled, settled.usd * percent / 100)
        assert budget.outstanding == len(open_reservations)
        assert budget.reserved() == sum((item.usd for item in open_reservations), Decimal(0))
        assert budget.spent() + budget.reserved() <= night
        assert budget.spent("a") + budget.reserved("a") <= a
        assert budget.spent("b") + budget.reserved("b") <= b


@given(limit=MONEY, worst_case=MONEY)
def test_what_fits_alone_is_granted_and_what_does_not_never_could(limit: Decimal, worst_case: Decimal) -> None:
    budget = NightBudget(Decimal(5), {"a": limit})
    assert budget.could_fit("a", worst_case) == (budget.reserve("a", worst_case) is not None) == (worst_case <= limit)


def test_a_reservation_is_settled_once() -> None:
    budget = NightBudget(Decimal(5), {"a": Decimal(5)})
    reservation = budget.reserve("a", Decimal(1))
    assert reservation is not None
    budget.settle(reservation, Decimal("0.5"))
    with pytest.raises(ValueError, match="settled twice"):
        budget.settle(reservation, Decimal("0.5"))
    assert budget.spent() == Decimal("0.5")


def test_an_operation_without_a_limit_has_nothing_to_spend_but_may_work_for_free() -> None:
    budget = NightBudget(Decimal(5), {})
    assert budget.reserve("a", Decimal("0.01")) is None
    assert budget.reserve("a", Decimal(0)) is not None


def test_what_a_night_has_cost_is_restored_and_never_forgotten() -> None:
    budget = NightBudget(Decimal(5), {"a": Decimal(2)})
    budget.restore({"a": Decimal("1.5")})
    budget.restore({"a": Decimal("1.0")})
    assert budget.spent("a") == Decimal("1.5")
    assert budget.reserve("a", Decimal("0.6")) is None
    assert "operation_usd.a is 2" in budget.why_not("a", Decimal("0.6"))
    night = NightBudget(Decimal(1), {"a": Decimal(2)})
    assert "night_usd is 1" in night.why_not("a", Decimal("1.5"))
