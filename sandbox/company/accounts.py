"""Draws the firms: what they are, how well they fit, what hurts them, when they have money."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from math import exp
from random import Random
from typing import Final

from sandbox.company.names import (
    ADJACENT_INDUSTRIES,
    CORE_INDUSTRIES,
    COUNTRIES,
    DISQUALIFIED_INDUSTRIES,
    INDUSTRIES,
    PARTLY_SERVED,
    SERVED,
    firm_name,
    short_name,
)
from sandbox.company.sellers import ACCOUNT_TEAM, TERRITORY
from sandbox.company.world import Account, BudgetState, World, day_between, month_of
from sandbox.records import SeedOwner

COMPETITORS: Final = ("Portview", "Cargonaut", "StockBeacon", "Trackwell", "LaneLogic")
PAINS: Final = (
    "manual_work",
    "late_deliveries",
    "stockouts",
    "chargebacks",
    "data_quality",
    "tool_sprawl",
    "cost_overrun",
)
NEEDS: Final = ("visibility", "reporting", "integration", "automation", "compliance", "forecasting")
OBJECTIONS: Final = ("price", "timing", "integration", "security", "no_need", "incumbent", "resources")
TECHS: Final = {
    "SAP": 5,
    "NetSuite": 4,
    "Oracle": 2,
    "Dynamics": 4,
    "Infor": 1.5,
    "Excel": 5,
    "Odoo": 1.5,
    "Manhattan": 1,
    "Blue Yonder": 1,
    "Shopify": 1.5,
}

# share of accounts by how well they fit: (customer, churned, open, lost, prospect)
_STATUS: Final = {
    "high": {"customer": 25.0, "churned": 8.0, "open": 31.0, "lost": 25.0, "prospect": 11.0},
    "medium": {"customer": 17.0, "churned": 7.5, "open": 29.0, "lost": 31.0, "prospect": 15.5},
    "low": {"customer": 7.0, "churned": 6.5, "open": 20.0, "lost": 40.0, "prospect": 26.5},
    "excluded": {"customer": 0.0, "churned": 0.0, "open": 3.0, "lost": 17.0, "prospect": 80.0},
}


def _some(rng: Random, items: tuple[str, ...], low: int, high: int) -> list[str]:
    return rng.sample(items, low + int(rng.random() * (high - low + 1)))


def fit_of(industry: str, employees: int, country: str) -> tuple[float, str]:
    """How well a firm fits what Harbourline sells to (0-1) and its level, by the same facts a seller would look at."""
    by_industry = 1.0 if industry in CORE_INDUSTRIES else 0.5 if industry in ADJACENT_INDUSTRIES else 0.0
    by_size = 1.0 if 100 <= employees <= 5000 else 0.5 if 50 <= employees <= 10000 else 0.0
    by_region = 1.0 if country in SERVED else 0.5 if country in PARTLY_SERVED else 0.0
    fit = 0.5 * by_industry + 0.3 * by_size + 0.2 * by_region
    if industry in DISQUALIFIED_INDUSTRIES or employees < 20:
        return fit, "excluded"
    return fit, "high" if fit >= 0.85 else "medium" if fit >= 0.6 else "low"


def _budget_path(world: World, rng: Random, chance: float) -> list[BudgetState]:
    """One to three states over the two years; whether the last one is `available` follows `chance`."""
    day = world.start.date()
    today = world.today
    path: list[BudgetState] = []
    for _ in range(1 + int(rng.random() * 3)):
        if rng.random() < chance:
            path.append(BudgetState(day, "available"))
        elif rng.random() < 0.5:
            opens = None
            if rng.random() < 0.65:
                opens = (day + timedelta(days=60 + int(rng.random() * 240))).replace(day=1)
            path.append(BudgetState(day, "frozen", opens))
        else:
            path.append(BudgetState(day, "none"))
        day = day_between(rng, day + timedelta(days=120), today - timedelta(days=20))
        if day >= today - timedelta(days=25):
            break
    return path


def churn_budget(world: World, rng: Random, account: Account, churned_on: date, index: int) -> None:
    """Gives a churned account a story about money; rotates through the stories so that every size of sample has all.

    Stories: a freeze with a date that has passed by now (the trigger an old call holds), a freeze whose date is
    still to come, an approval written after the churn, none at all, and a freeze without a date.
    """
    before = BudgetState(world.start.date(), "available")
    story = ("frozen_past", "approved", "none", "frozen_future", "approved", "none", "frozen_past", "undated")[
        index % 8
    ]
    squeeze = churned_on - timedelta(days=50)
    today = world.today
    account.budget_opened_after_churn = False
    if story == "frozen_past":
        opens = _first_of_month_between(rng, churned_on + timedelta(days=45), today)
        account.budget = [before, BudgetState(squeeze, "frozen", opens)]
        account.budget_opened_after_churn, account.budget_opens_on = True, opens
    elif story == "frozen_future":
        opens = (
            today.replace(day=1, month=1, year=today.year + 1)
            if rng.random() < 0.6
            else today.replace(day=1, month=3 + int(rng.random() * 5), year=today.year + 1)
        )
        account.budget = [before, BudgetState(squeeze, "frozen", opens)]
        account.budget_opens_on = opens
    elif story == "approved":
        opened = day_between(rng, churned_on + timedelta(days=30), today - timedelta(days=6))
        account.budget = [before, BudgetState(squeeze, "none"), BudgetState(opened, "available")]
        account.budget_opened_after_churn, account.budget_opens_on = True, opened
    elif story == "none":
        account.budget = [before, BudgetState(squeeze, "none")]
    else:
        account.budget = [before, BudgetState(squeeze, "frozen")]


def _first_of_month_between(rng: Random, first: date, last: date) -> date:
    """The first of some month in first..last; the last possible one when the span holds none."""
    months: list[date] = []
    day = (first.replace(day=1) + timedelta(days=32)).replace(day=1)
    while day <= last:
        months.append(day)
        day = (day + timedelta(days=32)).replace(day=1)
    return months[int(rng.random() * len(months))] if months else last.replace(day=1)


def owner_for(world: World, rng: Random, country: str, status: str) -> SeedOwner:
    """A seller of the territory; customers mostly go to the account team."""
    teams = (ACCOUNT_TEAM,) if status == "customer" and rng.random() < 0.75 else TERRITORY[country]
    candidates = [seller for seller in world.sellers if seller.team in teams and not seller.archived]
    return candidates[int(rng.random() * len(candidates))]


def draw_accounts(world: World) -> None:
    """Fills `world.accounts`: about 0.15 per contact."""
    rng = world.stream("accounts")
    taken: set[str] = set()
    industries = {name: share for name, (share, _) in INDUSTRIES.items()}
    countries = {name: country.share for name, country in COUNTRIES.items()}
    count = max(8, round(world.size * 0.15))
    churned = 0
    for number in range(count):
        industry = rng.choices(list(industries), list(industries.values()))[0]
        country = rng.choices(list(countries), list(countries.values()))[0]
        employees = max(4, min(60000, int(exp(rng.gauss(6.1, 1.25)))))
        fit, level = fit_of(industry, employees, country)
        weights = _STATUS[level]
        status = rng.choices(list(weights), list(weights.values()))[0]
        if level != "excluded" and number % 14 == 5:  # even a small sample has churned customers of every story
            status = "churned"
        name, domain = firm_name(rng, industry, country, taken)
        heat = rng.gauss(0, 1) + (0.6 if status == "open" else 0.0)
        created = datetime.combine(
            day_between(rng, world.start.date(), world.today - timedelta(days=150)),
            time(9, int(rng.random() * 60)),
            tzinfo=UTC,
        )
        chance = 1 / (1 + exp(-(heat - 0.2)))
        first_month = rng.randint(3, 8)
        target_from = day_between(rng, world.start.date(), world.today - timedelta(days=30))
        account = Account(
            id=world.new_id("companies"),
            name=name,
            short=short_name(name),
            domain=domain,
            industry=industry,
            employees=employees if rng.random() > 0.06 else None,
            country=country,
            city=rng.choice(COUNTRIES[country].cities),
            fit=fit,
            icp_level=level,
            heat=heat,
            status=status,
            owner=owner_for(world, rng, country, status),
            created=created,
            budget=_budget_path(world, rng, chance),
            pains=_some(rng, PAINS, 1, 3),
            needs=_some(rng, NEEDS, 1, 3),
            techs=list(dict.fromkeys(rng.choices(list(TECHS), list(TECHS.values()), k=2))),
            competitors=_some(rng, COMPETITORS, 0, 2),
            objections=_some(rng, OBJECTIONS, 0, 2),
            team_size=max(2, int(employees * (0.02 + 0.1 * rng.random()))),
            target_months=[
                (target_from, month_of(target_from, first_month)),
                (target_from + timedelta(days=90), month_of(target_from + timedelta(days=90), rng.randint(2, 7))),
                (target_from + timedelta(days=240), month_of(target_from + timedelta(days=240), rng.randint(2, 7))),
            ],
        )
        if status in ("customer", "churned"):
            account.created = min(account.created, world.as_of - timedelta(days=620))
        if status == "churned":
            account.churned_on = day_between(
                rng,
                world.today - timedelta(days=340 if churned % 4 else 430),
                world.today - timedelta(days=75 if churned % 2 else 130),
            )
            churn_budget(world, rng, account, account.churned_on, churned)
            churned += 1
        world.accounts.append(account)
