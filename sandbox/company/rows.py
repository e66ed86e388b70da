"""Writes the contacts and companies as CRM rows, with the history of tracked properties, once all else happened."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from math import exp, log1p
from random import Random

from sandbox.company.deals import Deal
from sandbox.company.truth import TruthCompany, TruthContact
from sandbox.company.world import Account, Contact, World, iso
from sandbox.records import HistoryEntry


def stage_history(account: Account, created: datetime, deals: list[Deal], rng: Random) -> list[tuple[datetime, str]]:
    """A company's lifecycle stages, oldest first, each later than the one before."""
    steps: list[tuple[datetime, str]] = [(created, "lead" if rng.random() < 0.8 else "subscriber")]
    for deal in sorted(deals, key=lambda d: d.opened):
        if deal.kind == "newbusiness":
            steps.append((deal.opened, "opportunity"))
            if deal.won:
                steps.append((deal.stages[-1][0], "customer"))
        if deal.kind == "renewal" and deal.lost:
            steps.append((deal.stages[-1][0], "opportunity" if rng.random() < 0.4 else "lead"))
    kept: list[tuple[datetime, str]] = []
    for moment, stage in sorted(steps, key=lambda s: s[0]):
        if kept and (
            stage == kept[-1][1]
            or (kept[-1][1] == "customer" and stage == "opportunity" and account.churned_on is None)
        ):
            continue
        if kept and moment <= kept[-1][0]:
            moment = kept[-1][0] + timedelta(minutes=5)
        kept.append((moment, stage))
    return kept


def _entries(steps: list[tuple[datetime, str]], user: str) -> list[HistoryEntry]:
    return [
        HistoryEntry(value, moment, "CRM_UI" if n else "IMPORT", "", user if n else "")
        for n, (moment, value) in reversed(list(enumerate(steps)))
    ]


def file_companies(world: World, deals: list[Deal]) -> None:
    """All companies and their truth."""
    rng = world.stream("company-rows")
    by_account: dict[str, list[Deal]] = {}
    for deal in deals:
        by_account.setdefault(deal.account.id, []).append(deal)
    for account in world.accounts:
        account.created = min([account.created, *(c.created for c in account.contacts)])
        steps = stage_history(account, account.created, by_account.get(account.id, []), rng)
        updated = max([m for m, _ in steps] + ([account.last_touch] if account.last_touch else []))
        employees, revenue, description = account.employees, "", ""
        if employees and rng.random() < 0.6:
            revenue = str(int(round(employees * (120_000 + 260_000 * rng.random()), -5)))
        if rng.random() < 0.72:
            description = world.bank.say(
                f"company.{account.industry}" if world.bank.has(f"company.{account.industry}") else "company",
                world.text,
                {"co": account.short, "city": account.city, "country": account.country},
            )
        world.add(
            "companies",
            account.id,
            {
                "name": account.name,
                "domain": account.domain if rng.random() > 0.03 else "",
                "industry": account.industry if rng.random() > 0.05 else "",
                "numberofemployees": str(employees) if employees else "",
                "annualrevenue": revenue,
                "country": account.country if rng.random() > 0.04 else "",
                "city": account.city if rng.random() > 0.12 else "",
                "description": description,
                "lifecyclestage": steps[-1][1],
                "hubspot_owner_id": account.owner.id if rng.random() > 0.03 else "",
                "createdate": iso(account.created),
                "hs_lastmodifieddate": iso(updated),
            },
            account.created,
            updated,
            {"lifecyclestage": _entries(steps, account.owner.user_id)},
        )
        state = account.budget_on(world.today)
        has_budget = state.state == "available" or (
            state.state == "frozen" and state.opens_on is not None and state.opens_on <= world.today
        )
        opens = account.budget_opens_on or (state.opens_on if state.state == "frozen" else None)
        world.truth.companies.append(
            TruthCompany(
                account.id, account.icp_level, has_budget, account.churned_on, account.budget_opened_after_churn, opens
            )
        )


def decide_who_buys(world: World, deals: list[Deal]) -> None:
    """Draws from fit, person, money and behaviour, with noise, who converts in the hundred days after today."""
    rng = world.stream("who-buys")
    open_people = {c.id for d in deals if not d.closed for c in d.people}
    booked = {o.contact_id for o in world.truth.outreach if o.meeting_booked}
    for contact in world.contacts:
        account = contact.account
        money = 0.0
        if account is not None:
            state = account.budget_on(world.today)
            money = 0.8 if state.state == "available" else -0.4
        score = (
            0.95 * contact.intent
            + money
            + 0.35 * log1p(contact.inbound)
            + (1.1 if contact.id in open_people else 0.0)
            + (0.9 if contact.id in booked else 0.0)
        )
        converted = contact.converted_at
        buys = converted is not None
        excluded = (
            account is None
            or account.icp_level == "excluded"
            or contact.opted_out
            or (account.customer_since is not None and account.churned_on is None)
        )
        if not buys and not excluded and rng.random() < 1 / (1 + exp(-(1.35 * score - 5.6))):
            buys, converted = True, world.today + timedelta(days=4 + int(rng.random() * 96))
        world.truth.contacts.append(
            TruthContact(
                contact.id,
                account.id if account else None,
                contact.persona,
                contact.seniority,
                contact.function,
                buys,
                converted,
                round(score, 4),
            )
        )


def file_contacts(world: World, deals: list[Deal]) -> None:
    """All contacts, with lifecycle, lead status and title history."""
    rng = world.stream("contact-rows")
    stage_of: dict[str, list[tuple[datetime, str]]] = {}
    for deal in deals:
        for contact in deal.people:
            steps = stage_of.setdefault(contact.id, [])
            if deal.kind == "newbusiness":
                steps.append((deal.opened, "opportunity"))
                if deal.won:
                    steps.append((deal.stages[-1][0], "customer"))
            elif deal.kind == "renewal" and deal.lost:
                steps.append((deal.stages[-1][0], "opportunity"))
    for contact in world.contacts:
        _file_contact(world, rng, contact, stage_of.get(contact.id, []))


def _file_contact(world: World, rng: Random, contact: Contact, deal_steps: list[tuple[datetime, str]]) -> None:
    account = contact.account
    if contact.first_touch and contact.first_touch <= contact.created:
        contact.created = contact.first_touch - timedelta(days=1)
    created = contact.created
    steps: list[tuple[datetime, str]] = [(created, "lead" if rng.random() < 0.75 else "subscriber")]
    customer = account is not None and account.customer_since is not None and account.churned_on is None
    if customer and not deal_steps and account and account.customer_since and rng.random() < 0.85:
        deal_steps = [
            (
                max(datetime.combine(account.customer_since, time(12, 7), tzinfo=UTC), created + timedelta(hours=1)),
                "customer",
            )
        ]
    if not deal_steps and contact.intent > 1.2 and contact.last_touch and contact.last_touch > created:
        deal_steps = [(contact.last_touch, "salesqualifiedlead" if rng.random() < 0.4 else "marketingqualifiedlead")]
    for moment, stage in sorted(deal_steps, key=lambda s: s[0]):
        if stage == steps[-1][1] or (steps[-1][1] == "customer" and stage == "opportunity" and customer):
            continue
        steps.append((max(moment, steps[-1][0] + timedelta(minutes=3)), stage))
    if not customer and len(steps) == 1 and rng.random() < 0.008:
        steps.append((created + timedelta(days=1), "other"))
    status = contact.lead_status
    if status == "NEW" and contact.last_touch:
        status = "IN_PROGRESS" if contact.inbound else "ATTEMPTED_TO_CONTACT"
        if deal_steps and steps[-1][1] == "opportunity":
            status = "OPEN_DEAL"
    user = contact.owner.user_id if contact.owner else ""
    moments = [created, *(m for m, _ in steps)]
    if contact.last_touch:
        moments.append(contact.last_touch)
    history: dict[str, list[HistoryEntry]] = {"lifecyclestage": _entries(steps, user)}
    if status != "NEW":
        turned = (
            contact.opted_out_on
            if status == "OBJECTED_TO_PROFILING" and contact.opted_out_on
            else contact.last_touch or created
        )
        turned = max(turned, created + timedelta(minutes=2))
        moments.append(turned)
        history["hs_lead_status"] = [
            HistoryEntry(status, turned, "CRM_UI", "", user),
            HistoryEntry("NEW", created, "IMPORT"),
        ]
    if contact.title and rng.random() < 0.05 and (world.as_of - created).days > 100:
        moved = created + timedelta(days=20 + int(rng.random() * ((world.as_of - created).days - 40)))
        history["jobtitle"] = [
            HistoryEntry(contact.title, moved, "CRM_UI", "", user),
            HistoryEntry(world.bank.say("title.earlier", world.text), created, "IMPORT"),
        ]
        moments.append(moved)
    updated = max(moments) + timedelta(seconds=int(rng.random() * 300))
    updated = min(updated, world.as_of + timedelta(hours=4))
    properties = {
        "email": contact.email,
        "firstname": contact.first if rng.random() > 0.015 else "",
        "lastname": contact.last if rng.random() > 0.01 else "",
        "jobtitle": contact.title,
        "phone": contact.phone,
        "company": account.name if account and rng.random() > 0.1 else "",
        "country": account.country if account and rng.random() > 0.2 else "",
        "city": account.city if account and rng.random() > 0.45 else "",
        "lifecyclestage": steps[-1][1],
        "hs_lead_status": status,
        "hubspot_owner_id": contact.owner.id if contact.owner else "",
        "hs_email_optout": "true" if contact.role == "optout_flag" else "",
        "hs_email_bounce": str(contact.bounced) if contact.bounced else "",
        "hs_language": contact.language if rng.random() > 0.35 else "",
        "createdate": iso(created),
        "lastmodifieddate": iso(updated),
    }
    world.add("contacts", contact.id, properties, created, updated, history)
    if account:
        world.link("contacts", contact.id, "companies", account.id)
