"""The truth behind the sample company. Only evaluation may read it; nothing of it is in the CRM.

`document_type` is singular (`email`, `call`, `meeting`, `note`, `contact`, `company`), so that
`hubspot:<document_type>:<document_id>` is the canonical record id.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, field, fields
from datetime import date, datetime
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class TruthFact:
    """One planted remark. `quote` is an exact substring of the document's text (email text, transcript, note body).

    `fact_date` is the day the remark speaks of when it names one (a freeze that ends, a return date), `said_on` the
    document's day. `is_current` is false when a later remark on the same single-valued predicate replaced it.
    """

    document_type: str
    document_id: str
    predicate: str
    fact_value: str
    polarity: str
    fact_date: date | None
    author_side: str
    quote: str
    is_current: bool
    contact_id: str | None
    company_id: str | None
    said_on: date


@dataclass(frozen=True, slots=True)
class TruthTrap:
    """A sentence that looks like a fact and is none: hypothetical, somebody else's, a distractor word, a question."""

    document_type: str
    document_id: str
    predicate: str
    kind: str
    quote: str


@dataclass(frozen=True, slots=True)
class TruthContact:
    contact_id: str
    company_id: str | None
    persona: str
    seniority: str
    function: str
    will_buy: bool
    converted_at: date | None
    latent_score: float


@dataclass(frozen=True, slots=True)
class TruthCompany:
    company_id: str
    icp_level: str
    has_budget: bool
    churned_on: date | None
    budget_opened_after_churn: bool
    budget_opens_on: date | None


@dataclass(frozen=True, slots=True)
class TruthReply:
    email_id: str
    reply_class: str


@dataclass(frozen=True, slots=True)
class TruthHostile:
    document_type: str
    document_id: str
    kind: str


@dataclass(frozen=True, slots=True)
class TruthMeeting:
    meeting_id: str
    document_type: str
    document_id: str
    predicate: str


@dataclass(frozen=True, slots=True)
class TruthOutreach:
    contact_id: str
    motion: str
    sent_at: datetime
    replied: bool
    reply_class: str | None
    meeting_booked: bool


@dataclass(frozen=True, slots=True)
class TruthDuplicate:
    object_type: str
    id_a: str
    id_b: str


@dataclass(slots=True)
class Truth:
    """All truth tables, one list per table."""

    facts: list[TruthFact] = field(default_factory=list[TruthFact])
    traps: list[TruthTrap] = field(default_factory=list[TruthTrap])
    contacts: list[TruthContact] = field(default_factory=list[TruthContact])
    companies: list[TruthCompany] = field(default_factory=list[TruthCompany])
    replies: list[TruthReply] = field(default_factory=list[TruthReply])
    hostile: list[TruthHostile] = field(default_factory=list[TruthHostile])
    meetings: list[TruthMeeting] = field(default_factory=list[TruthMeeting])
    outreach: list[TruthOutreach] = field(default_factory=list[TruthOutreach])
    duplicates: list[TruthDuplicate] = field(default_factory=list[TruthDuplicate])


TABLES: dict[str, type] = {
    "facts": TruthFact,
    "traps": TruthTrap,
    "contacts": TruthContact,
    "companies": TruthCompany,
    "replies": TruthReply,
    "hostile": TruthHostile,
    "meetings": TruthMeeting,
    "outreach": TruthOutreach,
    "duplicates": TruthDuplicate,
}
_SQL_TYPES = {
    "fact_date": "date",
    "said_on": "date",
    "converted_at": "date",
    "churned_on": "date",
    "budget_opens_on": "date",
    "sent_at": "timestamp",
    "latent_score": "double",
    "is_current": "boolean",
    "will_buy": "boolean",
    "has_budget": "boolean",
    "budget_opened_after_churn": "boolean",
    "replied": "boolean",
    "meeting_booked": "boolean",
}


def save(truth: Truth, path: Path) -> None:
    """Append a truth to a DuckDB file, creating `truth_<table>` where missing. Times are naive UTC."""
    import duckdb
    import pyarrow as pa

    arrow: Any = pa  # ships without types

    with duckdb.connect(str(path)) as connection:
        for name, kind in TABLES.items():
            columns = [f.name for f in fields(kind)]
            listed = ", ".join(f"{column} {_SQL_TYPES.get(column, 'varchar')}" for column in columns)
            connection.execute(f"create table if not exists truth_{name} ({listed})")
            rows = [astuple(row) for row in getattr(truth, name)]
            if not rows:
                continue
            arrays = {column: [row[i] for row in rows] for i, column in enumerate(columns)}
            if "sent_at" in arrays:
                arrays["sent_at"] = [moment.replace(tzinfo=None) for moment in arrays["sent_at"]]
            table = arrow.table(arrays)
            connection.register("incoming", table)
            connection.execute(f"insert into truth_{name} select {', '.join(columns)} from incoming")
            connection.unregister("incoming")
