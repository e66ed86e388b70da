"""What real CRMs are full of: consent in several places, missing and stale fields, bounces, copies, merges."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

from sandbox.company.mail import Thread, base_context, contact_signature, open_thread, send, write_inbound
from sandbox.company.names import COUNTRIES, slug
from sandbox.company.speech import Draft, Fact, Voice, dress, fact_for, say
from sandbox.company.truth import TruthContact, TruthDuplicate
from sandbox.company.world import Contact, World, iso
from sandbox.records import SeedObject, SeedUnsubscribe


def _share(world: World, people: list[Contact], share: float, least: int, rng: Random) -> list[Contact]:
    count = min(len(people), max(least, round(world.size * share)))
    return rng.sample(people, count)


def draw_consent(world: World) -> None:
    """Who opted out before anything else happens, and where it is written: flag, preferences, lead status, a mail."""
    rng = world.stream("consent")
    free = [c for c in world.contacts if c.converted_at is None]
    for contact in _share(world, free, 0.024, 2, rng):
        contact.role, contact.opted_out = "optout_flag", True
        contact.opted_out_on = contact.created + (world.as_of - contact.created) * (0.2 + 0.6 * rng.random())
    free = [c for c in free if not c.opted_out]
    for contact in _share(world, free, 0.011, 2, rng):
        contact.opted_out = True
        contact.opted_out_on = contact.created + (world.as_of - contact.created) * (0.2 + 0.6 * rng.random())
        world.unsubscribes.append(
            SeedUnsubscribe(
                contact.email,
                contact.opted_out_on,
                rng.choice(("preferences page", "list-unsubscribe", "support request")),
            )
        )
    free = [c for c in free if not c.opted_out]
    for contact in _share(world, free, 0.004, 1, rng):
        contact.lead_status, contact.opted_out = "OBJECTED_TO_PROFILING", True
        contact.opted_out_on = contact.created + (world.as_of - contact.created) * (0.3 + 0.6 * rng.random())
    free = [c for c in free if not c.opted_out]
    for contact in _share(world, free, 0.005, 1, rng):  # asked by mail, nobody ever set the flag
        day = world.workday((contact.created + (world.as_of - contact.created) * (0.3 + 0.6 * rng.random())).date())
        if day >= world.today:
            continue
        account = contact.account
        at = world.office_time(day, COUNTRIES[account.country].utc_offset if account else 0)
        seller = contact.owner or (account.owner if account else world.sellers[0])
        thread = open_thread(
            world,
            contact,
            seller,
            world.bank.say("subject.opt_out", world.text),
            language=contact.language if rng.random() < 0.3 else "en",
        )
        draft = Draft()
        text = write_inbound(world, thread, [Fact("opt_out", "yes", "opt_out")], opening=None, filler=0, draft=draft)
        if not draft.facts:
            thread.voice = Voice(contact.register)
            text = write_inbound(
                world, thread, [Fact("opt_out", "yes", "opt_out")], opening=None, filler=0, draft=draft
            )
        send(world, thread, text, at, incoming=True, draft=draft, reply_class="unsubscribe")
        contact.opted_out, contact.opted_out_on = True, at
    for contact in _share(
        world, [c for c in world.contacts if not c.opted_out and c.converted_at is None], 0.012, 1, rng
    ):
        contact.bounced = 1 + int(rng.random() * 3)


def odd_mail(world: World) -> None:
    """Empty bodies, enormous bodies, forwards and newsletters."""
    rng = world.rng
    people = [c for c in world.contacts if c.account and not c.opted_out and (world.as_of - c.created).days > 40]
    kinds = {
        "empty": max(1, world.size // 400),
        "huge": max(1, world.size // 1000),
        "forward": max(2, world.size // 80),
        "newsletter": max(1, world.size // 200),
    }
    for kind, count in kinds.items():
        for _ in range(count):
            contact = people[int(rng.random() * len(people))]
            account = contact.account
            assert account is not None
            day = world.workday(
                (contact.created + (world.as_of - contact.created) * (0.1 + 0.85 * rng.random())).date()
            )
            if day >= world.today:
                continue
            at = world.office_time(day, COUNTRIES[account.country].utc_offset)
            thread = open_thread(
                world,
                contact,
                account.owner,
                world.bank.say(f"subject.{kind}", world.text, {"co": account.short}),
                language="en",
            )
            draft = Draft()
            if kind == "empty":
                send(world, thread, rng.choice(("", "", " ", "\n\n")), at, incoming=True, quote=False)
            elif kind == "huge":
                lines: list[str] = [
                    world.bank.say("huge.head", world.text, {"me": contact.first, "our": account.owner.first_name})
                ]
                size = 0
                while size < 30_000 + 28_000 * rng.random():
                    line = world.bank.say("huge.line", world.text, {"city": account.city})
                    lines.append(line)
                    size += len(line) + 1
                send(world, thread, "\n".join(lines), at, incoming=True, quote=False)
            elif kind == "newsletter":
                send(
                    world,
                    thread,
                    world.bank.say("newsletter", world.text, {"co": account.short}),
                    at,
                    incoming=True,
                    quote=False,
                    headers={"List-Unsubscribe": f"<mailto:leave@{account.domain}>", "Precedence": "bulk"},
                )
            else:
                _forward(world, thread, contact, at, draft)


def _forward(world: World, thread: Thread, contact: Contact, at: datetime, draft: Draft) -> None:
    """A customer forwards a colleague's remark: the colleague's words, at second hand."""
    account = contact.account
    assert account is not None
    others = [c for c in account.contacts if c is not contact]
    colleague = world.pick(others) if others else contact
    context = base_context(world, thread)
    predicate = world.weighted(
        {"pain": 4.0, "need": 4.0, "budget": 2.0, "timeline": 2.0, "objection": 2.0, "tech_in_use": 1.0}
    )
    fact = fact_for(world, account, colleague, predicate, at.date())
    sentence = say(world, replace(fact, context=context | fact.context), Voice(colleague.register)) if fact else None
    sent = at - timedelta(hours=3 + 20 * world.rng.random())
    inner = [dress(world, world.bank.say("filler", world.text, context), Voice("bare"))]
    if fact and sentence:
        inner.append(sentence)
        draft.facts.append((fact, sentence))
    signature = contact_signature(world, colleague).replace(colleague.headcount_line, "").rstrip()
    note = world.bank.say("forward.note", world.text, context | {"colleague": colleague.first})
    text = (
        f"{note}\n\n{contact.first}\n\n---------- Forwarded message ---------\n"
        f"From: {colleague.name} <{colleague.email}>\nDate: {sent:%a, %d %b %Y at %H:%M}\n"
        f"Subject: {thread.subject}\nTo: {contact.name} <{contact.email}>\n\n"
        f"{' '.join(inner)}\n\n{signature}"
    )
    send(
        world,
        thread,
        text,
        at,
        incoming=True,
        draft=draft,
        quote=False,
        subject=f"Fwd: {thread.subject}",
        direction="FORWARDED_EMAIL",
    )


def spoil(world: World) -> None:
    """Missing and broken addresses."""
    rng = world.stream("spoil")
    quiet = [c for c in world.contacts if c.last_touch is None]
    used: set[str] = set()
    for contact in rng.sample(quiet, min(len(quiet), max(1, round(world.size * 0.012)))):
        roll = rng.random()
        contact.email = (
            ""
            if roll < 0.65
            else rng.choice(
                (
                    f"{slug(contact.first)}.{slug(contact.last)}@",
                    f"{slug(contact.last)}(at){contact.account.domain if contact.account else 'mail'}",
                    f"unknown {contact.id}",
                )
            )
        )
        if contact.email in used:
            contact.email = ""
        used.add(contact.email)


def copies(world: World, count: int) -> None:
    """Duplicates (live twins with differences) and merged records (gone, answering under the survivor)."""
    rng = world.stream("copies")
    by_id = {o.id: n for n, o in enumerate(world.objects) if o.object_type == "contacts"}
    people = rng.sample(
        [c for c in world.contacts if c.email and c.account],
        min(len(world.contacts) // 2, count + max(2, world.size // 120)),
    )
    for contact in people[:count]:
        original = world.objects[by_id[contact.id]]
        twin = _twin(world, rng, contact, original)
        if contact.account and rng.random() < 0.75:
            world.link("contacts", twin, "companies", contact.account.id)
        world.truth.duplicates.append(TruthDuplicate("contacts", contact.id, twin))
        world.truth.contacts.append(
            TruthContact(
                twin,
                contact.account.id if contact.account else None,
                contact.persona,
                contact.seniority,
                contact.function,
                False,
                None,
                round(contact.intent, 4),
            )
        )
    for contact in people[count:]:
        _merge(world, rng, by_id[contact.id], "contacts", "lastmodifieddate")
    firms = {o.id: n for n, o in enumerate(world.objects) if o.object_type == "companies"}
    accounts = rng.sample(world.accounts, min(len(world.accounts), max(3, world.size // 400)))
    half = max(1, len(accounts) * 3 // 5)
    for account in accounts[:half]:
        original = world.objects[firms[account.id]]
        twin = world.new_id("companies")
        properties = dict(original.properties)
        properties["name"] = rng.choice(
            (
                account.short,
                account.name.upper(),
                account.name + ".",
                account.short.replace(" & ", " and ") + " Group",
                account.name.replace("GmbH", "G.m.b.H."),
            )
        )
        properties["domain"] = rng.choice((f"www.{account.domain}", account.domain.replace("-", ""), ""))
        for name in ("numberofemployees", "city", "description", "annualrevenue"):
            if rng.random() < 0.5:
                properties.pop(name, None)
        created = original.created_at + timedelta(days=3 + int(rng.random() * 60))
        properties |= {
            "lifecyclestage": "lead",
            "createdate": iso(created),
            "hs_lastmodifieddate": iso(max(created, original.updated_at)),
        }
        world.add("companies", twin, properties, created, max(created, original.updated_at))
        world.truth.duplicates.append(TruthDuplicate("companies", account.id, twin))
    for account in accounts[half:]:
        _merge(world, rng, firms[account.id], "companies", "hs_lastmodifieddate")
    for contact in rng.sample([c for c in world.contacts if c.last_touch is None], max(1, world.size // 300)):
        original = world.objects[by_id[contact.id]]
        gone = world.new_id("contacts")
        when = original.created_at + (world.as_of - original.created_at) * 0.7
        kept = {
            **original.properties,
            "email": f"old.{original.properties.get('email') or gone + '@nowhere.example'}",
            "lastmodifieddate": iso(when),
        }
        world.add("contacts", gone, kept, original.created_at, when, archived=when)


def _twin(world: World, rng: Random, contact: Contact, original: SeedObject) -> str:
    """A second record of the same person: other address or spelling, fewer fields."""
    twin = world.new_id("contacts")
    account = contact.account
    assert account is not None
    f, s = slug(contact.first) or "x", slug(contact.last) or "y"
    first, last = contact.first, contact.last
    roll = rng.random()
    email = f"{f[0]}{s}@{account.domain}"
    if roll < 0.3:
        email = f"{f}.{s}@gmail.com"
    elif roll < 0.55:
        last = last[:-1] + last[-1] * 2 if len(last) > 3 else last
    elif roll < 0.75:
        first = f"{first[0]}."
    taken = {c.email for c in world.contacts} | world.twin_emails
    number = 2
    while email in taken:
        email, number = f"{f}-{s}{number}@{account.domain}", number + 1
    world.twin_emails.add(email)
    properties = dict(original.properties)
    properties |= {
        "email": email,
        "firstname": first,
        "lastname": last,
        "lifecyclestage": "lead",
        "hs_lead_status": "NEW",
    }
    for name in ("phone", "jobtitle", "city", "country", "hs_language", "hs_email_bounce", "hs_email_optout"):
        if rng.random() < 0.5 or name.startswith("hs_"):
            properties.pop(name, None)
    created = original.created_at + timedelta(days=1 + int(rng.random() * 50))
    created = min(created, world.as_of - timedelta(days=2))
    properties |= {"createdate": iso(created), "lastmodifieddate": iso(created)}
    world.add("contacts", twin, properties, created, created)
    return twin


def _merge(world: World, rng: Random, index: int, object_type: str, modified: str) -> None:
    """The row at `index` survived a merge; the record merged into it stays as a ghost."""
    survivor = world.objects[index]
    gone = world.new_id(object_type)
    when = survivor.created_at + (world.as_of - survivor.created_at) * (0.3 + 0.6 * rng.random())
    updated = max(survivor.updated_at, when)
    properties = {**survivor.properties, "hs_merged_object_ids": gone, modified: iso(updated)}
    world.objects[index] = replace(survivor, properties=properties, updated_at=updated)
    ghost = {k: v for k, v in survivor.properties.items() if k not in ("hs_merged_object_ids", "phone", "jobtitle")}
    if object_type == "contacts" and "@" in ghost.get("email", ""):
        ghost["email"] = "the." + ghost["email"]
    born = min(survivor.created_at + timedelta(days=1), when)
    ghost |= {modified: iso(when), "createdate": iso(born)}
    world.add(object_type, gone, ghost, born, when, merged_into=survivor.id)
