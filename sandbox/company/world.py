"""The state a generation run builds up: random streams, ids, the rows for the CRM and the truth behind them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import TypeVar

from sandbox.company.grammar import Bank, Phrases
from sandbox.company.truth import Truth
from sandbox.records import HistoryEntry, SeedAssociation, SeedObject, SeedOwner, SeedUnsubscribe

T = TypeVar("T")

_FIRST_ID = {
    "contacts": 10151,
    "companies": 40207,
    "deals": 70113,
    "emails": 200411,
    "calls": 900107,
    "meetings": 950023,
    "notes": 970031,
    "tasks": 980017,
}


def iso(moment: datetime) -> str:
    """A time as HubSpot sends it: UTC, milliseconds, Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


@dataclass(slots=True)
class BudgetState:
    """What an account would say about money from `since` on. `opens_on` only for `frozen` with a date."""

    since: date
    state: str  # available | frozen | none
    opens_on: date | None = None


@dataclass(slots=True)
class Account:
    """A firm and everything latent about it."""

    id: str
    name: str
    short: str
    domain: str
    industry: str
    employees: int | None
    country: str
    city: str
    fit: float
    icp_level: str
    heat: float
    status: str  # customer | churned | open | lost | prospect
    owner: SeedOwner
    created: datetime
    budget: list[BudgetState]
    pains: list[str]
    needs: list[str]
    techs: list[str]
    competitors: list[str]
    objections: list[str]
    team_size: int
    target_months: list[tuple[date, str]]  # (from this day on, they aim at this month YYYY-MM)
    contacts: list[Contact] = field(default_factory=list["Contact"])
    churned_on: date | None = None
    budget_opened_after_churn: bool = False
    budget_opens_on: date | None = None
    last_touch: datetime | None = None
    customer_since: date | None = None
    renewal_due: date | None = None

    def budget_on(self, day: date) -> BudgetState:
        """What they would say about money on that day."""
        found = self.budget[0]
        for state in self.budget:
            if state.since <= day:
                found = state
        return found

    def target_on(self, day: date) -> str | None:
        """The month they would name on that day, None when it lies behind them."""
        found = None
        for since, month in self.target_months:
            if since <= day and month > day.strftime("%Y-%m"):
                found = month
        return found


@dataclass(slots=True)
class Contact:
    """A person and everything latent about them."""

    id: str
    first: str
    last: str
    email: str
    title: str
    function: str  # core | adjacent | other | unknown
    seniority: str
    persona: str
    language: str
    phone: str
    account: Account | None
    owner: SeedOwner | None
    created: datetime
    intent: float  # latent pull towards buying, about -3..3
    register: str  # terse | chatty | formal | typos
    signature: str = ""
    headcount_line: str = ""
    role: str = ""  # champion | buyer | ... within the account
    last_touch: datetime | None = None
    first_touch: datetime | None = None
    converted_at: date | None = None
    opted_out: bool = False
    opted_out_on: datetime | None = None
    bounced: int = 0
    lead_status: str = "NEW"
    lifecycle: list[tuple[datetime, str]] = field(default_factory=list[tuple[datetime, str]])
    inbound: int = 0

    @property
    def name(self) -> str:
        return f"{self.first} {self.last}"

    def touch(self, moment: datetime) -> None:
        """Remember that something happened with this person."""
        if self.last_touch is None or moment > self.last_touch:
            self.last_touch = moment
        if self.first_touch is None or moment < self.first_touch:
            self.first_touch = moment
        account = self.account
        if account is not None and (account.last_touch is None or moment > account.last_touch):
            account.last_touch = moment


class World:
    """One generation run. `rng` decides structure, `text` decides wording, so other `phrases` keep the same company."""

    def __init__(self, contacts: int, seed: int, as_of: date, phrases: Phrases) -> None:
        self.size = contacts
        self.seed = seed
        self.today = as_of
        self.as_of = datetime.combine(as_of, time(), tzinfo=UTC)
        self.start = self.as_of - timedelta(days=730)
        self.bank = Bank(phrases)
        self.rng = self.stream("structure")
        self.text = self.stream("text")
        self.truth = Truth()
        self.objects: list[SeedObject] = []
        self.associations: list[SeedAssociation] = []
        self.unsubscribes: list[SeedUnsubscribe] = []
        self.accounts: list[Account] = []
        self.contacts: list[Contact] = []
        self.sellers: list[SeedOwner] = []
        self.twin_emails: set[str] = set()
        self.emails_made = 0
        self.is_hostile = True
        self._next = dict(_FIRST_ID)
        self._id_streams = {object_type: self.stream(f"ids:{object_type}") for object_type in _FIRST_ID}
        self._threads = 0
        self.said: dict[str, list[tuple[datetime, str, str, str]]] = defaultdict(
            list
        )  # company id -> (when, type, id, predicate)

    def stream(self, label: str) -> Random:
        """An own random stream: what one room draws never shifts another's."""
        return Random(f"harbourline:{self.seed}:{self.size}:{label}")

    def new_id(self, object_type: str) -> str:
        value = self._next[object_type]
        self._next[object_type] = value + 1 + int(self._id_streams[object_type].random() * 4)
        return str(value)

    def new_thread(self) -> str:
        self._threads += 1
        return f"th{self._threads:06d}"

    def add(
        self,
        object_type: str,
        id_: str,
        properties: dict[str, str],
        created: datetime,
        updated: datetime,
        history: Mapping[str, Sequence[HistoryEntry]] | None = None,
        *,
        archived: datetime | None = None,
        merged_into: str | None = None,
    ) -> None:
        """Add a CRM row; empty values are left out, as HubSpot does."""
        kept = {name: value for name, value in properties.items() if value != ""}
        kept["hs_object_id"] = id_
        tracked = {name: tuple(entries) for name, entries in (history or {}).items() if entries}
        self.objects.append(SeedObject(object_type, id_, kept, created, updated, tracked, archived, merged_into))

    def link(self, from_type: str, from_id: str, to_type: str, to_id: str, label: str | None = None) -> None:
        self.associations.append(SeedAssociation(from_type, from_id, to_type, to_id, label))

    def pick(self, items: Sequence[T]) -> T:
        return items[int(self.rng.random() * len(items))]

    def weighted(self, table: Mapping[T, float]) -> T:
        point = self.rng.random() * sum(table.values())
        last: T | None = None
        for item, weight in table.items():
            last = item
            point -= weight
            if point <= 0:
                return item
        assert last is not None
        return last

    def office_time(self, day: date, offset: int = 0) -> datetime:
        """A moment in that day's office hours, for a clock `offset` hours from UTC."""
        hour = 8 + self.rng.random() * 9.5
        minutes = int(hour * 60)
        moment = datetime.combine(day, time(minutes // 60, minutes % 60, int(self.rng.random() * 60)), tzinfo=UTC)
        return moment - timedelta(hours=offset) + timedelta(milliseconds=int(self.rng.random() * 1000))

    def workday(self, day: date) -> date:
        """That day, or the Monday after when it falls on a weekend (one in forty people write on Saturdays)."""
        if day.weekday() >= 5 and self.rng.random() > 0.025:
            return day + timedelta(days=7 - day.weekday())
        return day

    def before_now(self, moment: datetime) -> bool:
        """Whether that moment lies in the sample's past (its today begins at 05:00 UTC)."""
        return moment < self.as_of


def month_of(day: date, ahead: int) -> str:
    """The month `ahead` months after that day, YYYY-MM."""
    total = day.year * 12 + day.month - 1 + ahead
    return f"{total // 12:04d}-{total % 12 + 1:02d}"


def day_between(rng: Random, first: date, last: date) -> date:
    """A day in first..last; `first` when the span is empty."""
    span = (last - first).days
    return first + timedelta(days=int(rng.random() * (span + 1))) if span > 0 else first
