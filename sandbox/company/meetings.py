"""Meetings (today's, tomorrow's and past ones), notes and tasks."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from sandbox.company.deals import Deal
from sandbox.company.names import COUNTRIES
from sandbox.company.speech import Draft, Fact, Voice, dress, fact_for, weekday
from sandbox.company.truth import TruthMeeting
from sandbox.company.world import Account, Contact, World, iso
from sandbox.records import SeedOwner


def _file_meeting(
    world: World,
    account: Account,
    people: list[Contact],
    seller: SeedOwner,
    kind: str,
    start: datetime,
    minutes: int,
    outcome: str,
    booked: datetime,
    deal_id: str | None,
) -> str:
    id_ = world.new_id("meetings")
    bank, text = world.bank, world.text
    context = {
        "co": account.short,
        "me": people[0].first,
        "our": seller.first_name,
        "names": ", ".join(c.name for c in people),
        "city": account.city,
    }
    body = (
        bank.say(f"meeting.body.{kind}" if bank.has(f"meeting.body.{kind}") else "meeting.body", text, context)
        if text.random() < 0.75
        else ""
    )
    updated = booked
    if outcome in ("COMPLETED", "NO_SHOW"):
        updated = start + timedelta(minutes=minutes + 12)
    elif outcome in ("CANCELED", "RESCHEDULED"):
        updated = max(booked, start - timedelta(hours=6))
    world.add(
        "meetings",
        id_,
        {
            "hs_timestamp": iso(start),
            "hs_meeting_title": bank.say(
                f"meeting.title.{kind}" if bank.has(f"meeting.title.{kind}") else "meeting.title", text, context
            ),
            "hs_meeting_body": body,
            "hs_meeting_start_time": iso(start),
            "hs_meeting_end_time": iso(start + timedelta(minutes=minutes)),
            "hs_meeting_outcome": outcome,
            "hs_meeting_location": bank.say("meeting.location", text, context),
            "hubspot_owner_id": seller.id,
            "hs_createdate": iso(booked),
            "hs_lastmodifieddate": iso(updated),
        },
        booked,
        updated,
    )
    for contact in people:
        world.link("meetings", id_, "contacts", contact.id)
        contact.touch(updated if outcome == "COMPLETED" else booked)
    world.link("meetings", id_, "companies", account.id)
    if deal_id:
        world.link("meetings", id_, "deals", deal_id)
    return id_


def coming_meetings(world: World, deals: list[Deal]) -> None:
    """Today's and tomorrow's: 40 in the full sample, fewer in a small one; half on each day, over all sellers."""
    rng = world.rng
    wanted = 40 if world.size >= 8000 else max(6, world.size // 200)
    open_deals = [d for d in deals if not d.closed]
    open_deals.sort(key=lambda d: (-len(world.said[d.account.id]), d.id))
    chosen = open_deals[: wanted * 2]
    rng.shuffle(chosen)
    candidates: list[tuple[Account, list[Contact], SeedOwner, str | None, str]] = [
        (d.account, d.people, d.seller, d.id, "renewal" if d.kind == "renewal" else "deal") for d in chosen[:wanted]
    ]
    talked = sorted((a for a in world.accounts if a.contacts), key=lambda a: (-len(world.said[a.id]), a.id))
    used = {entry[0].id for entry in candidates}
    for account in talked:
        if len(candidates) >= wanted:
            break
        if account.id not in used:
            candidates.append(
                (account, account.contacts[:2], account.owner, None, "customer" if account.customer_since else "deal")
            )
    taken: set[tuple[str, date, int]] = set()
    for number, (account, people, seller, deal_id, kind) in enumerate(candidates[:wanted]):
        day = world.today if number % 2 == 0 else world.today + timedelta(days=1)
        slot = 0
        for _ in range(30):
            slot = 8 * 2 + int(rng.random() * 18)
            if (seller.id, day, slot) not in taken:
                break
        taken.add((seller.id, day, slot))
        start = datetime.combine(day, time(slot // 2, slot % 2 * 30), tzinfo=UTC)
        booked = world.as_of - timedelta(days=1 + int(rng.random() * 9), hours=-9 - rng.random() * 7)
        attending = [c for c in people if not c.opted_out_on] or people[:1]
        id_ = _file_meeting(
            world,
            account,
            attending,
            seller,
            kind,
            start,
            rng.choice((30, 30, 45, 60)),
            "SCHEDULED",
            min(booked, world.as_of - timedelta(hours=7)),
            deal_id,
        )
        told = sorted(world.said[account.id], reverse=True)
        for _, document_type, document_id, predicate in told[:12]:
            world.truth.meetings.append(TruthMeeting(id_, document_type, document_id, predicate))


def past_meetings(world: World, deals: list[Deal]) -> None:
    """Meetings that were held, missed or moved, along the deals; about 0.1 per contact."""
    rng = world.rng
    wanted = round(world.size * 0.1)
    made = 0
    order = list(deals)
    rng.shuffle(order)
    for deal in order:
        if made >= wanted:
            break
        end = deal.stages[-1][0] if deal.closed else world.as_of - timedelta(days=1)
        span = (end - deal.opened).days
        if span < 6:
            continue
        for _ in range(1 + (rng.random() < 0.35)):
            day = world.workday((deal.opened + timedelta(days=2 + int((span - 3) * rng.random()))).date())
            start = world.office_time(day, COUNTRIES[deal.account.country].utc_offset).replace(
                minute=0, second=0, microsecond=0
            )
            people = [c for c in deal.people if not (c.opted_out_on and c.opted_out_on < start)]
            if not people or start >= min(end, world.as_of - timedelta(hours=2)):
                continue
            outcome = rng.choices(("COMPLETED", "NO_SHOW", "CANCELED", "RESCHEDULED"), (80, 7, 8, 5))[0]
            kind = "renewal" if deal.kind == "renewal" else "deal"
            booked = max(
                start - timedelta(days=1 + int(rng.random() * 6)), max(c.created for c in people) + timedelta(minutes=5)
            )
            _file_meeting(
                world,
                deal.account,
                people,
                deal.seller,
                kind,
                start,
                rng.choice((30, 45, 60)),
                outcome,
                min(booked, start),
                deal.id,
            )
            made += 1


def notes_and_tasks(world: World, deals: list[Deal]) -> None:
    """Sellers' notes (theirs to judge, second-hand words) and tasks."""
    rng, bank, text = world.rng, world.bank, world.text
    for deal in deals:
        end = deal.stages[-1][0] if deal.closed else world.as_of - timedelta(hours=12)
        contact = deal.people[0]
        context = {"co": deal.account.short, "me": contact.first, "weekday": weekday(world), "city": deal.account.city}
        for _ in range(rng.choices((0, 1, 2), (45, 40, 15))[0]):
            at = deal.opened + (end - deal.opened) * rng.random()
            draft = Draft()
            sentences = [bank.say("note", text, context)]
            if deal.kind != "renewal" and rng.random() < 0.15:
                left = fact_for(world, deal.account, contact, "champion_left", at.date())
                if left:
                    words = dress(
                        world, bank.say("note.champion_left", text, {**context, **left.context}), Voice("terse")
                    )
                    draft.facts.append((Fact("champion_left", left.value, left.family, side="ours"), words))
                    sentences.append(words)
            note(world, " ".join(sentences), at, deal.seller, contact, deal.account, deal.id, draft)
        if rng.random() < 0.42:
            made = deal.opened + (end - deal.opened) * rng.random()
            due = made + timedelta(days=1 + int(rng.random() * 9))
            past = due < world.as_of - timedelta(days=3)
            done = past and rng.random() < 0.85
            id_ = world.new_id("tasks")
            changed = min(due, world.as_of - timedelta(hours=6)) if done else made
            world.add(
                "tasks",
                id_,
                {
                    "hs_timestamp": iso(due),
                    "hs_task_subject": bank.say("task.subject", text, context),
                    "hs_task_body": bank.say("task.body", text, context) if rng.random() < 0.5 else "",
                    "hs_task_status": "COMPLETED" if done else "NOT_STARTED",
                    "hs_task_priority": rng.choice(("LOW", "MEDIUM", "HIGH")),
                    "hs_task_type": rng.choice(("TODO", "CALL", "EMAIL")),
                    "hubspot_owner_id": deal.seller.id,
                    "hs_createdate": iso(made),
                    "hs_lastmodifieddate": iso(changed),
                },
                made,
                changed,
            )
            world.link("tasks", id_, "contacts", contact.id)
            world.link("tasks", id_, "companies", deal.account.id)
            world.link("tasks", id_, "deals", deal.id)


def note(
    world: World,
    body: str,
    at: datetime,
    seller: SeedOwner,
    contact: Contact,
    account: Account | None,
    deal_id: str | None,
    draft: Draft | None = None,
) -> str:
    """Files one note and returns its id."""
    id_ = world.new_id("notes")
    world.add(
        "notes",
        id_,
        {
            "hs_timestamp": iso(at),
            "hs_note_body": body,
            "hubspot_owner_id": seller.id,
            "hs_createdate": iso(at),
            "hs_lastmodifieddate": iso(at),
        },
        at,
        at,
    )
    world.link("notes", id_, "contacts", contact.id)
    if account:
        world.link("notes", id_, "companies", account.id)
    if deal_id:
        world.link("notes", id_, "deals", deal_id)
    if draft:
        draft.commit(world, "note", id_, body, at, contact, account)
    contact.touch(at)
    return id_
