"""Draws the deals of each account with the history of their stages, and tells when people converted."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from sandbox.company.names import COUNTRIES
from sandbox.company.people import SENIORITY_PULL
from sandbox.company.world import Account, Contact, World, day_between, iso
from sandbox.records import HistoryEntry, SeedOwner

STAGES: Final = (
    "appointmentscheduled",
    "qualifiedtobuy",
    "presentationscheduled",
    "decisionmakerboughtin",
    "contractsent",
)
LOST_REASONS: Final = {
    "No budget this year": 20,
    "Went with a competitor": 17,
    "No decision": 24,
    "Price": 13,
    "Timing": 14,
    "Missing integration": 7,
    "Champion left": 5,
}
CHURN_REASONS: Final = {
    "none": ("Budget cut", "Cost reduction programme"),
    "frozen": ("Budget frozen", "Spending stop"),
    "available": ("Low usage after champion left", "Replaced by ERP module"),
}


@dataclass(slots=True)
class Deal:
    """A deal and the people on it. `stages` are (moment, stage id), oldest first."""

    id: str
    account: Account
    people: list[Contact]
    seller: SeedOwner
    name: str
    amount: int
    kind: str
    pipeline: str
    stages: list[tuple[datetime, str]]
    close: date
    first_close: date
    reason: str = ""
    threads: int = 0
    calls: list[datetime] = field(default_factory=list[datetime])

    @property
    def opened(self) -> datetime:
        return self.stages[0][0]

    @property
    def closed(self) -> bool:
        return self.stages[-1][1] in ("closedwon", "closedlost", "renewal_won", "renewal_lost")

    @property
    def won(self) -> bool:
        return self.stages[-1][1] in ("closedwon", "renewal_won")

    @property
    def lost(self) -> bool:
        return self.closed and not self.won


def _at(world: World, day: date, account: Account) -> datetime:
    return world.office_time(world.workday(day), COUNTRIES[account.country].utc_offset)


def _sales_deal(
    world: World, account: Account, opened: date, outcome: str, days: int, kind: str = "newbusiness"
) -> Deal:
    """A deal of the sales pipeline: `outcome` is won, lost or open; `days` from opening to its end (or to today)."""
    rng = world.rng
    today = world.today
    if outcome == "open":
        reached = min(5, 1 + int(rng.random() * 5))
        end = today - timedelta(days=1 + int(rng.random() * 25))
    else:
        reached = 5 if outcome == "won" else 1 + int(rng.random() * 5)
        end = min(opened + timedelta(days=days), today - timedelta(days=2))
    steps = sorted(day_between(rng, opened, max(opened, end - timedelta(days=1))) for _ in range(reached - 1))
    stages: list[tuple[datetime, str]] = []
    for day, stage in zip([opened, *steps], STAGES, strict=False):
        moment = _at(world, day, account)
        if stages and moment <= stages[-1][0]:
            moment = stages[-1][0] + timedelta(minutes=23)
        stages.append((moment, stage))
    close = end
    if outcome != "open":
        moment = max(_at(world, end, account), stages[-1][0] + timedelta(hours=3))
        stages.append((moment, "closedwon" if outcome == "won" else "closedlost"))
        close = moment.date()
    else:
        close = today + timedelta(days=int(rng.random() * 120) - 18)
    people = _people(world, account)
    employees = account.employees or 250
    amount = int(round((6000 + 22 * min(employees, 6000) ** 0.92) * (0.6 + 0.9 * rng.random()), -2))
    suffix = {
        "newbusiness": world.pick(
            (
                "Shipment visibility",
                "Stock visibility",
                "Harbourline rollout",
                "Visibility platform",
                "Control tower pilot",
            )
        ),
        "existingbusiness": world.pick(("Expansion", "Second site", "Extra warehouses", "Carrier module")),
    }[kind]
    reason = world.weighted(LOST_REASONS) if outcome == "lost" else ""
    return Deal(
        world.new_id("deals"),
        account,
        people,
        account.owner,
        f"{account.short} - {suffix}",
        amount,
        kind,
        "default",
        stages,
        close,
        opened + timedelta(days=90 + int(rng.random() * 40)),
        reason,
    )


def _people(world: World, account: Account) -> list[Contact]:
    """Two or three people of the account, those with more pull first, with chance in it."""
    rng = world.rng
    ranked = sorted(
        account.contacts, key=lambda c: (-(c.intent + 0.4 * SENIORITY_PULL[c.seniority] + rng.gauss(0, 0.8)), c.id)
    )
    return ranked[: 1 + int(rng.random() * 3)]


def _renewal(world: World, account: Account, due: date, outcome: str, amount: int) -> Deal:
    rng = world.rng
    opened = due - timedelta(days=90 + int(rng.random() * 20))
    stages = [(_at(world, opened, account), "renewal_upcoming")]
    if outcome != "open" or rng.random() < 0.6:
        talks = min(opened + timedelta(days=20 + int(rng.random() * 40)), world.today - timedelta(days=2))
        stages.append((max(_at(world, talks, account), stages[-1][0] + timedelta(hours=2)), "renewal_talks"))
    if outcome != "open":
        end = max(_at(world, due, account), stages[-1][0] + timedelta(hours=2))
        if account.churned_on == due:  # the day of the churn is told by the truth: stay on it
            end = datetime.combine(due, time(16, int(rng.random() * 60), 5), tzinfo=UTC)
        stages.append((end, "renewal_won" if outcome == "won" else "renewal_lost"))
    reason = ""
    if outcome == "lost":
        reason = world.pick(CHURN_REASONS[account.budget_on(due).state])
    return Deal(
        world.new_id("deals"),
        account,
        _people(world, account),
        account.owner,
        f"{account.short} - Renewal {due.year}",
        int(round(amount * (0.9 + 0.3 * rng.random()), -2)),
        "renewal",
        "renewals",
        stages,
        due,
        due,
        reason,
    )


def draw_deals(world: World) -> list[Deal]:
    """All deals, by account. Sets when accounts became customers and when people converted."""
    rng = world.rng
    today = world.today
    deals: list[Deal] = []
    for account in world.accounts:
        if not account.contacts:
            continue
        first = account.created.date() + timedelta(days=5)
        if account.status in ("customer", "churned"):
            latest = (
                today - timedelta(days=40)
                if account.status == "customer" and rng.random() < 0.45
                else today - timedelta(days=380)
            )
            if account.churned_on:
                latest = account.churned_on - timedelta(days=190)
            won_on = day_between(rng, min(first + timedelta(days=35), latest), latest)
            cycle = 25 + int(rng.random() * 70)
            opened = max(first, won_on - timedelta(days=cycle))
            deal = _sales_deal(world, account, opened, "won", (won_on - opened).days)
            deals.append(deal)
            account.customer_since = deal.close
            for n, contact in enumerate(deal.people):
                if n == 0 or rng.random() < 0.4:
                    contact.converted_at = deal.close
            if account.churned_on:
                deals.append(_renewal(world, account, account.churned_on, "lost", deal.amount))
                if rng.random() < 0.22 and account.churned_on < today - timedelta(days=110):
                    start = day_between(rng, account.churned_on + timedelta(days=60), today - timedelta(days=15))
                    deals.append(_sales_deal(world, account, start, "open", 0))
            else:
                due = deal.close + timedelta(days=365)
                account.renewal_due = due
                if due < today:
                    deals.append(_renewal(world, account, due, "won", deal.amount))
                elif due < today + timedelta(days=80):
                    deals.append(_renewal(world, account, due, "open", deal.amount))
                if rng.random() < 0.5 and deal.close < today - timedelta(days=90):
                    start = day_between(rng, deal.close + timedelta(days=60), today - timedelta(days=20))
                    deals.append(
                        _sales_deal(
                            world,
                            account,
                            start,
                            rng.choices(("won", "lost", "open"), (4, 3, 4))[0],
                            50,
                            "existingbusiness",
                        )
                    )
        elif account.status == "open":
            start = day_between(rng, max(first, today - timedelta(days=150)), today - timedelta(days=9))
            deals.append(_sales_deal(world, account, start, "open", 0))
            if rng.random() < 0.25 and first < today - timedelta(days=330):
                early = day_between(rng, first, today - timedelta(days=300))
                deals.append(_sales_deal(world, account, early, "lost", 30 + int(rng.random() * 90)))
        elif account.status == "lost":
            start = day_between(rng, first, today - timedelta(days=60))
            deals.append(_sales_deal(world, account, start, "lost", 25 + int(rng.random() * 110)))
            if rng.random() < 0.3 and (today - start).days > 330:
                deals.append(
                    _sales_deal(world, account, start + timedelta(days=200), "lost", 25 + int(rng.random() * 70))
                )
    _people_exist_before_their_deals(deals)
    return deals


def _people_exist_before_their_deals(deals: list[Deal]) -> None:
    for deal in deals:
        for contact in deal.people:
            contact.created = min(contact.created, deal.opened - timedelta(days=3))
        account = deal.account
        account.created = min(account.created, *(c.created for c in deal.people))


def file_deals(world: World, deals: list[Deal]) -> None:
    """Writes the deals as CRM rows with stage, amount and close-date history."""
    rng = world.stream("deal-rows")
    for deal in deals:
        history: dict[str, list[HistoryEntry]] = {"dealstage": [], "closedate": [], "amount": []}
        user = deal.seller.user_id
        for moment, stage in reversed(deal.stages):
            history["dealstage"].append(HistoryEntry(stage, moment, "CRM_UI", "", user))
        close = datetime.combine(deal.close, time(17), tzinfo=UTC)
        if deal.closed:
            close = deal.stages[-1][0]
        changed = [moment for moment, _ in deal.stages]
        if deal.first_close != deal.close and len(deal.stages) > 1:
            history["closedate"].append(HistoryEntry(iso(close), changed[-1], "CRM_UI", "", user))
            history["closedate"].append(
                HistoryEntry(
                    iso(datetime.combine(deal.first_close, time(17), tzinfo=UTC)), changed[0], "CRM_UI", "", user
                )
            )
        else:
            history["closedate"].append(HistoryEntry(iso(close), changed[0], "CRM_UI", "", user))
        history["amount"].append(
            HistoryEntry(str(deal.amount), changed[-1] if len(changed) > 2 else changed[0], "CRM_UI", "", user)
        )
        if len(changed) > 2:
            earlier = int(round(deal.amount * (0.7 + 0.6 * rng.random()), -2))
            history["amount"].append(HistoryEntry(str(earlier), changed[0], "CRM_UI", "", user))
        amount_known = rng.random() > 0.05
        if not amount_known:
            history["amount"].clear()
        updated = changed[-1]
        country = deal.account.country
        currency = "USD" if COUNTRIES[country].phone == "+1" else "GBP" if country == "United Kingdom" else "EUR"
        world.add(
            "deals",
            deal.id,
            {
                "dealname": deal.name,
                "amount": str(deal.amount) if amount_known else "",
                "deal_currency_code": currency,
                "pipeline": deal.pipeline,
                "dealstage": deal.stages[-1][1],
                "closedate": iso(close),
                "dealtype": deal.kind,
                "closed_lost_reason": deal.reason,
                "hubspot_owner_id": deal.seller.id,
                "hs_is_closed": str(deal.closed).lower(),
                "hs_is_closed_won": str(deal.won).lower(),
                "createdate": iso(deal.opened),
                "hs_lastmodifieddate": iso(updated),
            },
            deal.opened,
            updated,
            history,
        )
        world.link("deals", deal.id, "companies", deal.account.id)
        for contact in deal.people:
            world.link("deals", deal.id, "contacts", contact.id)
