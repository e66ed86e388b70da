"""The next day: a share of the contacts changes, through the store, as if from outside."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from sandbox.company.accounts import COMPETITORS, NEEDS, OBJECTIONS, PAINS, TECHS
from sandbox.company.mail import open_thread
from sandbox.company.names import COUNTRIES, short_name
from sandbox.company.people import draw_title, phone_for
from sandbox.company.sellers import owners
from sandbox.company.speech import OF_THE_PERSON, SINGLE_VALUED
from sandbox.company.threads import write_theirs
from sandbox.company.truth import Truth, save
from sandbox.company.world import Account, BudgetState, Contact, World, month_of

if TYPE_CHECKING:
    import duckdb

    from sandbox.crm.store import Record, Store

_KINDS = {"mail": 45.0, "title": 18.0, "phone": 14.0, "stage": 15.0, "status": 8.0}


@dataclass(frozen=True, slots=True)
class Changed:
    """What a day brought: contacts changed by kind, and how many emails arrived."""

    contacts: dict[str, int]
    emails: int


def change(store_path: Path, truth_path: Path, share: float = 0.10, seed: int = 11) -> Changed:
    """Lets a working day pass in the sandbox CRM.

    About `share` of the live contacts change: they write an email (and may say new facts), get another title or phone
    number, or a seller moves their stage. Every change carries a time of that day, after the store's now; the clock
    then stands in the evening. The truth file gains the new facts and replies.
    """
    import duckdb

    from sandbox.crm.store import Store

    with Store.open(store_path) as store, duckdb.connect(str(truth_path)) as truth:
        day = store.clock.now()
        if day.hour >= 18:
            day = (day + timedelta(days=1)).replace(hour=6)
        rng = Random(f"harbourline:next-day:{seed}:{day.date()}")
        world = World(1, seed, day.date(), "all")
        world.rng, world.text = Random(f"{seed}:{day.date()}:rng"), Random(f"{seed}:{day.date()}:text")
        world.sellers = list(owners())
        ids = [
            row[0]
            for row in store.connection.execute(
                "select id from objects where object_type = 'contacts' and archived_at is null and merged_into is null"
                " order by id"
            )
        ]
        chosen = sorted(rng.sample(ids, round(len(ids) * share)))
        rng.shuffle(chosen)
        counts = dict.fromkeys(_KINDS, 0)
        emails = 0
        first = max(day, day.replace(hour=7, minute=0, second=0))
        step = (day.replace(hour=18, minute=30, second=0) - first) / (len(chosen) + 1)
        for number, record_id in enumerate(chosen):
            at = first + step * (number + 1)
            kind = rng.choices(list(_KINDS), list(_KINDS.values()))[0]
            record = store.get("contacts", record_id)
            if record is None:
                continue
            if kind == "mail":
                written = _mail(store, truth, world, record, at)
                if written:
                    emails += 1
                else:
                    kind = "phone"
            if kind != "mail":
                _edit(store, rng, record, kind, at)
            counts[kind] += 1
        world.truth.meetings.clear()
        truth.close()
        _extend(truth_path, world.truth)
        store.advance_clock(day.replace(hour=18, minute=45, second=0))
        return Changed({kind: count for kind, count in counts.items() if count}, emails)


def _edit(store: Store, rng: Random, record: Record, kind: str, at: datetime) -> None:
    """A person changes one field on the record page."""
    from sandbox.crm.writes import Origin

    properties = record.properties
    if kind == "title":
        function = rng.choice(("core", "core", "adjacent", "other"))
        values = {"jobtitle": draw_title(rng, "en", rng.choice(("vp", "director", "manager", "individual")), function)}
    elif kind == "stage":
        order = ["subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead"]
        now = properties.get("lifecyclestage", "lead")
        values = (
            {"lifecyclestage": order[order.index(now) + 1]} if now in order[:-1] else {"hs_lead_status": "CONNECTED"}
        )
    elif kind == "status":
        values = {"hs_lead_status": rng.choice(("IN_PROGRESS", "CONNECTED", "BAD_TIMING", "ATTEMPTED_TO_CONTACT"))}
    else:
        country = properties.get("country", "")
        values = {"phone": phone_for(rng, country if country in COUNTRIES else "United States")}
    with store.writing(Origin("CRM_UI", "", "31000"), at=at) as writer:
        if not writer.update(record, values):
            writer.update(record, {"phone": phone_for(rng, "United States")})


def _mail(store: Store, truth: duckdb.DuckDBPyConnection, world: World, record: Record, at: datetime) -> bool:
    """An email of this contact arrives; False when the person has no firm or asked to be left alone."""
    from sandbox.crm.associations import AssociationTypes
    from sandbox.crm.writes import Origin

    row = truth.execute(
        "select company_id, persona, seniority, function, latent_score from truth_contacts where contact_id = ?",
        [str(record.id)],
    ).fetchone()
    properties = record.properties
    if row is None or row[0] is None or not properties.get("email") or properties.get("hs_email_optout") == "true":
        return False
    account = _account(store, truth, world, str(row[0]))
    if account is None or truth.execute(
        "select count(*) from truth_facts where predicate = 'opt_out' and contact_id = ?", [str(record.id)]
    ).fetchone() != (0,):
        return False
    contact = Contact(
        str(record.id),
        properties.get("firstname", "") or "A",
        properties.get("lastname", "") or "colleague",
        properties["email"],
        properties.get("jobtitle", ""),
        row[3],
        row[2],
        row[1],
        "en",
        properties.get("phone", ""),
        account,
        account.owner,
        datetime.fromtimestamp(record.created_at / 1000, UTC),
        float(row[4]),
        world.text.choice(("terse", "chatty", "formal", "typos", "plain")),
    )
    account.contacts = [contact]
    before = (
        len(world.objects),
        len(world.associations),
        len(world.truth.facts),
        len(world.truth.replies),
        len(world.truth.traps),
    )
    thread = open_thread(
        world,
        contact,
        account.owner,
        world.bank.say("subject.nurture", world.text, {"co": account.short, "our_co": "Harbourline"}),
        language="en",
    )
    write_theirs(world, thread, "nurture", at, first=True)
    kinds = AssociationTypes(store)
    with store.writing(Origin("INTEGRATION", "mail-logging"), at=at) as writer:
        for seeded in world.objects[before[0] :]:
            made = writer.create(
                "emails",
                {
                    name: value
                    for name, value in seeded.properties.items()
                    if name not in ("hs_object_id", "hs_createdate", "hs_lastmodifieddate")
                },
            )
            for link in world.associations[before[1] :]:
                kind = kinds.default(link.from_type, link.to_type)
                if kind is not None:
                    writer.associate(kinds.typed_rows(kind, made.id, int(link.to_id)))
            _rename(world.truth, before, seeded.id, str(made.id))
        writer.update(record, {"hs_lead_status": "CONNECTED"})
    return True


def _rename(truth: Truth, before: tuple[int, int, int, int, int], old: str, new: str) -> None:
    """Gives what was just noted in the truth the id under which the store keeps the document."""
    from dataclasses import replace

    for fact in truth.facts[before[2] :]:
        fact.document_id = new if fact.document_id == old else fact.document_id
    truth.replies[before[3] :] = [replace(reply, email_id=new) for reply in truth.replies[before[3] :]]
    truth.traps[before[4] :] = [replace(trap, document_id=new) for trap in truth.traps[before[4] :]]


def _account(store: Store, truth: duckdb.DuckDBPyConnection, world: World, company_id: str) -> Account | None:
    """The account as its record and the truth have it; what it lacks is drawn anew, the same every time."""
    record = store.get("companies", int(company_id))
    known = truth.execute(
        "select icp_level, has_budget, budget_opens_on from truth_companies where company_id = ?", [company_id]
    ).fetchone()
    if record is None or known is None:
        return None
    rng = Random(f"harbourline:account:{company_id}")
    day: date = world.today
    facts: dict[str, list[str]] = {}
    for predicate, value in truth.execute(
        "select distinct predicate, fact_value from truth_facts where company_id = ? order by all", [company_id]
    ).fetchall():
        facts.setdefault(predicate, []).append(value)

    def words(predicate: str, others: tuple[str, ...]) -> list[str]:
        return facts.get(predicate) or [rng.choice(others)]

    properties: dict[str, Any] = dict(record.properties)
    name = properties.get("name", "the firm")
    country = properties.get("country", "United States")
    if known[1]:
        state = BudgetState(date(2024, 1, 1), "available")
    elif known[2] is not None and known[2] > day:
        state = BudgetState(date(2024, 1, 1), "frozen", known[2])
    else:
        state = BudgetState(date(2024, 1, 1), "none")
    owner = next((s for s in world.sellers if s.id == properties.get("hubspot_owner_id")), world.sellers[0])
    size = facts.get("headcount", ["25"])[-1]
    return Account(
        company_id,
        name,
        short_name(name)[:60],
        properties.get("domain", ""),
        properties.get("industry", ""),
        None,
        country if country in COUNTRIES else "United States",
        properties.get("city", "the city"),
        0.7,
        str(known[0]),
        0.0,
        "prospect",
        owner,
        world.start,
        [state],
        words("pain", PAINS),
        words("need", NEEDS),
        words("tech_in_use", tuple(TECHS)),
        facts.get("competitor") or [rng.choice(COMPETITORS)],
        words("objection", OBJECTIONS),
        int(size),
        [(date(2024, 1, 1), month_of(day, 2 + rng.randrange(5)))],
    )


def _extend(truth_path: Path, truth: Truth) -> None:
    """Appends the day's truth and marks which single-valued remarks it replaced."""
    import duckdb

    save(truth, truth_path)
    single = ", ".join(f"'{name}'" for name in sorted(SINGLE_VALUED))
    personal = ", ".join(f"'{name}'" for name in sorted(OF_THE_PERSON))
    with duckdb.connect(str(truth_path)) as connection:
        connection.execute(
            f"""
            update truth_facts set is_current = (ranked.place = 1) from (
                select rowid as row, row_number() over (
                    partition by predicate, case when predicate in ({personal}) then contact_id
                        else coalesce(company_id, contact_id) end
                    order by said_on desc, rowid desc
                ) as place from truth_facts where predicate in ({single})
            ) as ranked where truth_facts.rowid = ranked.row
            """
        )
