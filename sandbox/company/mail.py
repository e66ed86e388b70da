"""Writes emails: greeting, paragraphs, signature, quoted history, headers; and files them as CRM rows."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from sandbox.company.names import COUNTRIES
from sandbox.company.sellers import OUR_DOMAIN, OUR_NAME
from sandbox.company.speech import MONTHS, Draft, Fact, Voice, capital, dress, say
from sandbox.company.truth import TruthReply
from sandbox.company.world import Account, Contact, World, iso
from sandbox.records import SeedOwner

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_QUOTE_HEADS: Final = {
    "en": "On {day}, {date} at {time}, {name} <{email}> wrote:",
    "de": "Am {dmy} um {time} schrieb {name} <{email}>:",
    "fr": "Le {dmy} à {time}, {name} <{email}> a écrit :",
    "es": "El {dmy} a las {time}, {name} <{email}> escribió:",
    "nl": "Op {dmy} om {time} schreef {name} <{email}>:",
}
MAX_BODY_CHARS: Final = 64_000


@dataclass(slots=True)
class Thread:
    """An email conversation so far: its id, subject, and the latest message for quoting."""

    id: str
    subject: str
    account: Account | None
    contact: Contact
    seller: SeedOwner
    voice: Voice
    deal_id: str | None = None
    cc: Contact | None = None
    message_ids: list[str] = field(default_factory=list[str])
    last_text: str = ""
    last_from: tuple[str, str] = ("", "")
    last_at: datetime | None = None
    last_email_id: str = ""


def open_thread(
    world: World,
    contact: Contact,
    seller: SeedOwner,
    subject: str,
    deal_id: str | None = None,
    language: str | None = None,
) -> Thread:
    """Starts a conversation; a third of those with people who have another language are held in it."""
    if language is None:
        language = contact.language if contact.language != "en" and world.rng.random() < 0.3 else "en"
    voice = Voice(contact.register, language)
    cc = None
    if contact.account and len(contact.account.contacts) > 2 and world.rng.random() < 0.12:
        other = world.pick(contact.account.contacts)
        cc = other if other is not contact else None
    return Thread(world.new_thread(), subject, contact.account, contact, seller, voice, deal_id, cc)


def quoted(thread: Thread, depth_chars: int = 1800) -> str:
    """The message before, as mail programs quote it."""
    if not thread.last_text or thread.last_at is None:
        return ""
    at = thread.last_at
    months = MONTHS[thread.voice.language]
    head = _QUOTE_HEADS[thread.voice.language].format(
        day=_DAYS[at.weekday()],
        date=f"{at.day} {months[at.month - 1][:3]} {at.year}",
        dmy=f"{at.day:02d}.{at.month:02d}.{at.year}",
        time=f"{at.hour:02d}:{at.minute:02d}",
        name=thread.last_from[0],
        email=thread.last_from[1],
    )
    kept = thread.last_text[:depth_chars].rstrip()
    return (
        head
        + "\n"
        + "\n".join(f"> {line}" if line and not line.startswith(">") else f">{line}" for line in kept.split("\n"))
    )


def seller_signature(seller: SeedOwner) -> str:
    return f"{seller.first_name} {seller.last_name}\n{OUR_NAME} | {seller.team}\n{seller.email}"


def contact_signature(world: World, contact: Contact) -> str:
    """The person's signature, the same under every message; may be empty."""
    if contact.signature:
        return contact.signature
    rng = world.text
    account = contact.account
    if (contact.register == "terse" and rng.random() < 0.7) or rng.random() < 0.15:
        contact.signature = rng.choice((contact.first, contact.first[0], f"{contact.first[0]}{contact.last[0]}"))
        return contact.signature
    lines = [contact.name]
    firm = account.short if account else ""
    if contact.title:
        lines.append(f"{contact.title} | {firm}" if firm and rng.random() < 0.5 else contact.title)
    if firm and firm not in lines[-1]:
        lines.append(account.name if account and rng.random() < 0.5 else firm)
    phone = contact.phone
    if phone and rng.random() < 0.75:
        lines.append(rng.choice((f"T {phone}", f"Mobile: {phone}", phone, f"Direct {phone}")))
    if account and rng.random() < 0.35:
        lines.append(f"{rng.randint(2, 240)} {world.bank.say('street', rng)}, {account.city}, {account.country}")
    if account and account.employees and rng.random() < 0.05:
        contact.headcount_line = world.bank.say(
            "signature.headcount", rng, {"co": account.short, "headcount": f"{account.employees:,}"}
        )
        lines.append(contact.headcount_line)
    elif rng.random() < 0.18:
        lines.append(world.bank.say("signature.footer", rng))
    if rng.random() < 0.14:
        lines.append(
            rng.choice(
                (
                    "Sent from my iPhone",
                    "Sent from Outlook for Android",
                    "Sent from my phone, sorry for brevity and typos",
                )
            )
        )
    contact.signature = "\n".join(lines)
    return contact.signature


def _wrapped(text: str, width: int = 74) -> str:
    """Hard-wraps long lines the way old mail programs do: spaces become line breaks, no character is added."""
    lines: list[str] = []
    for line in text.split("\n"):
        while len(line) > width and not line.startswith(">"):
            cut = line.rfind(" ", 20, width)
            if cut < 0:
                break
            lines.append(line[:cut])
            line = line[cut + 1 :]
        lines.append(line)
    return "\n".join(lines)


def _address(name: tuple[str, str], email: str) -> dict[str, str]:
    return {"email": email, "firstName": name[0], "lastName": name[1]}


def send(
    world: World,
    thread: Thread,
    text: str,
    at: datetime,
    *,
    incoming: bool,
    draft: Draft | None = None,
    reply_class: str | None = None,
    quote: bool | None = None,
    subject: str | None = None,
    headers: dict[str, str] | None = None,
    extra: dict[str, str] | None = None,
    sender: tuple[str, str, str] | None = None,
    direction: str | None = None,
    counts_as_touch: bool = True,
) -> str:
    """Files one message of a thread and returns its id.

    Args:
        text: Body without the quoted history.
        quote: Whether the message before is quoted beneath; None leaves it to chance.
        sender: (first, last, email) when it is neither the contact nor the seller (a mail server, a colleague).
        direction: HubSpot's direction when it is not the plain incoming or outgoing one.
    """
    contact, seller = thread.contact, thread.seller
    id_ = world.new_id("emails")
    if quote is None:
        quote = world.rng.random() < (0.55 if incoming else 0.4)
    body = text
    if incoming and thread.voice.register in ("formal", "plain") and world.rng.random() < 0.06:
        body = _wrapped(body)
    if quote and thread.last_text:
        body = f"{body}\n\n{quoted(thread)}" if body else quoted(thread)
    body = body[:MAX_BODY_CHARS]
    ours = (seller.first_name, seller.last_name, seller.email)
    theirs = sender or (contact.first, contact.last, contact.email)
    source, target = (theirs, ours) if incoming else (ours, theirs)
    title = (
        subject
        if subject is not None
        else (thread.subject if not thread.message_ids else f"{_reply_mark(thread.voice.language)} {thread.subject}")
    )
    message_id = f"<{id_}.{thread.id}@{source[2].partition('@')[2]}>"
    mail_headers = {"Message-ID": message_id}
    if thread.message_ids:
        mail_headers["In-Reply-To"] = thread.message_ids[-1]
        mail_headers["References"] = " ".join(thread.message_ids[-5:])
    mail_headers.update(headers or {})
    cc = [_address((thread.cc.first, thread.cc.last), thread.cc.email)] if thread.cc and direction is None else []
    packed = json.dumps(
        {
            "from": _address(source[:2], source[2]),
            "to": [_address(target[:2], target[2])],
            "cc": cc,
            "bcc": [],
            "headers": mail_headers,
        },
        ensure_ascii=False,
    )
    properties = {
        "hs_timestamp": iso(at),
        "hs_email_subject": title,
        "hs_email_text": body,
        "hs_email_direction": direction or ("INCOMING_EMAIL" if incoming else "EMAIL"),
        "hs_email_status": "SENT",
        "hs_email_headers": packed,
        "hs_email_from_email": source[2],
        "hs_email_to_email": target[2],
        "hs_email_cc_email": cc[0]["email"] if cc else "",
        "hs_email_thread_id": thread.id,
        "hubspot_owner_id": seller.id,
        "hs_createdate": iso(at),
        "hs_lastmodifieddate": iso(at + timedelta(seconds=40)),
        **(extra or {}),
    }
    world.add("emails", id_, properties, at, at + timedelta(seconds=40))
    world.link("emails", id_, "contacts", contact.id)
    if thread.cc and cc:
        world.link("emails", id_, "contacts", thread.cc.id)
        thread.cc.touch(at)
    if thread.account:
        world.link("emails", id_, "companies", thread.account.id)
    if thread.deal_id:
        world.link("emails", id_, "deals", thread.deal_id)
    if draft and incoming and contact.headcount_line and contact.headcount_line in text and thread.account:
        draft.facts.append(
            (Fact("headcount", str(thread.account.employees), "signature.headcount"), contact.headcount_line)
        )
    if draft:
        draft.commit(world, "email", id_, body, at, contact, thread.account)
    if reply_class:
        world.truth.replies.append(TruthReply(id_, reply_class))
    if counts_as_touch:
        contact.touch(at)
    if incoming:
        contact.inbound += 1
    thread.message_ids.append(message_id)
    thread.last_text, thread.last_from, thread.last_at, thread.last_email_id = (
        body,
        (f"{source[0]} {source[1]}".strip(), source[2]),
        at,
        id_,
    )
    world.emails_made += 1
    return id_


def _reply_mark(language: str) -> str:
    return "AW:" if language == "de" else "Re:"


def write_inbound(
    world: World,
    thread: Thread,
    facts: list[Fact],
    *,
    opening: str | None,
    filler: int,
    draft: Draft,
    extra_sentences: list[str] | None = None,
    trap: bool = False,
) -> str:
    """The body of a customer's message around the facts it is to hold; what could be said is noted in `draft`.

    Args:
        opening: Phrase family of the first line, None for none.
        filler: How many sentences of daily business without any fact.
        extra_sentences: Finished sentences (with their own meaning) to put after the opening.
        trap: Put in a sentence that only looks like a fact.
    """
    rng, bank, voice, contact = world.text, world.bank, thread.voice, thread.contact
    prefix = "" if voice.language == "en" else f"{voice.language}:"
    context = base_context(world, thread)
    paragraphs: list[str] = []
    lead: list[str] = []
    if opening and bank.has(prefix + opening) and rng.random() < (0.5 if voice.register == "terse" else 0.85):
        lead.append(dress(world, bank.say(prefix + opening, rng, context), Voice("bare", voice.language)))
    lead += extra_sentences or []
    lead = [sentence for sentence in lead if sentence]
    if lead:
        paragraphs.append(" ".join(lead))
    body: list[str] = []
    for fact in facts:
        full = Fact(fact.predicate, fact.value, fact.family, {**context, **fact.context}, fact.fact_date, fact.side)
        sentence = say(world, full, voice)
        if sentence is None:
            continue
        block: list[str] = []
        if (
            not prefix
            and voice.register not in ("terse",)
            and bank.has(f"lead.{fact.predicate}")
            and rng.random() < 0.3
        ):
            block.append(dress(world, bank.say(f"lead.{fact.predicate}", rng, context), Voice("bare")))
        block.append(sentence)
        draft.facts.append((full, sentence))
        if (
            not prefix
            and voice.register not in ("terse",)
            and bank.has(f"after.{fact.predicate}")
            and rng.random() < 0.3
        ):
            block.append(dress(world, bank.say(f"after.{fact.predicate}", rng, context), Voice("bare")))
        body.append(" ".join(block))
    if trap and not prefix:
        kind, predicate, family = TRAPS[int(rng.random() * len(TRAPS))]
        sentence = dress(world, bank.say(family, rng, context), voice)
        draft.traps.append((predicate, kind, sentence))
        body.insert(int(rng.random() * (len(body) + 1)), sentence)
    family = f"{prefix}filler"
    for number in (
        rng.sample(range(bank.count(family)), min(filler, bank.count(family))) if filler and bank.has(family) else ()
    ):
        sentence = dress(
            world,
            bank.say_variant(family, number, rng, context),
            Voice("typos" if voice.register == "typos" else "bare", voice.language),
        )
        body.insert(int(rng.random() * (len(body) + 1)), sentence)
    if not prefix and voice.register in ("chatty", "plain", "formal") and rng.random() < STORY_SHARE[voice.register]:
        story = capital(bank.say("story", rng, context))
        if rng.random() < 0.4:
            story = f"{capital(bank.say('opener.story', rng, context))} {story}"
        body.insert(int(rng.random() * (len(body) + 1)), f"\n{story}")
    paragraphs += _laid_out(world, body, voice, bool(prefix), [sentence for _, sentence in draft.facts])
    greeting = bank.say(
        f"{prefix}greet.{voice.register}" if bank.has(f"{prefix}greet.{voice.register}") else f"{prefix}greet.plain",
        rng,
        context,
    )
    closing = bank.say(
        f"{prefix}close.{voice.register}" if bank.has(f"{prefix}close.{voice.register}") else f"{prefix}close.plain",
        rng,
        context,
    )
    parts = [greeting] if greeting and greeting != "-" else []
    parts += [p for p in paragraphs if p]
    if closing and closing != "-":
        parts.append(closing)
    text = "\n\n".join(parts) + ("\n" if closing and closing != "-" else "\n\n") + contact_signature(world, contact)
    if not prefix and voice.register in ("chatty", "plain") and rng.random() < 0.06:
        text += "\n\n" + bank.say("ps", rng, context)
    return text


def _laid_out(world: World, body: list[str], voice: Voice, foreign: bool, facts: list[str]) -> list[str]:
    """Paragraphs of one to three sentences, or now and then a bulleted or numbered list."""
    rng = world.text
    if (
        not foreign
        and len(facts) >= 2
        and len(body) >= 3
        and voice.register in ("formal", "plain", "terse")
        and rng.random() < 0.3
    ):
        marks = [f"{n}) " for n in range(1, 30)] if rng.random() < 0.5 else ["- "] * 30
        lead = dress(world, world.bank.say("list.lead", rng), Voice("terse"))
        return [lead + "\n" + "\n".join(f"{mark}{entry.strip()}" for mark, entry in zip(marks, body, strict=False))]
    paragraphs: list[str] = []
    current: list[str] = []
    size = 1 if voice.register == "formal" else 2 + int(rng.random() * 2)
    for entry in body:
        if entry.startswith("\n"):  # a story is a paragraph of its own
            paragraphs += [" ".join(current), entry.strip()]
            current = []
            continue
        current.append(entry)
        if len(current) >= size:
            paragraphs.append(" ".join(current))
            current = []
    return [p for p in [*paragraphs, " ".join(current)] if p]


def write_outbound(world: World, thread: Thread, paragraphs: list[str]) -> str:
    """A seller's message from finished paragraphs."""
    rng = world.text
    prefix = "" if thread.voice.language == "en" else f"{thread.voice.language}:"
    context = base_context(world, thread)
    greeting = world.bank.say(f"{prefix}ours.greet", rng, context)
    closing = world.bank.say(f"{prefix}ours.close", rng, context)
    return "\n\n".join([greeting, *[p for p in paragraphs if p], f"{closing}\n{seller_signature(thread.seller)}"])


def base_context(world: World, thread: Thread) -> dict[str, str]:
    """What every phrase may use: the names of the people and firms, the city, a weekday's name."""
    contact, account = thread.contact, thread.account
    return {
        "me": contact.first,
        "last": contact.last,
        "our": thread.seller.first_name,
        "our_last": thread.seller.last_name,
        "co": account.short if account else "our firm",
        "city": account.city if account else "town",
        "currency": "€"
        if account and COUNTRIES[account.country].phone not in ("+1", "+44", "+353", "+61", "+65", "+52")
        else "£"
        if account and account.country == "United Kingdom"
        else "$",
        "domain": OUR_DOMAIN,
    }


STORY_SHARE: Final = {"chatty": 0.2, "plain": 0.09, "formal": 0.05}
TRAPS: Final = (
    ("hypothetical", "budget", "trap.hypothetical.budget"),
    ("hypothetical", "timeline", "trap.hypothetical.timeline"),
    ("hypothetical", "meeting_asked", "trap.hypothetical.meeting"),
    ("third_party", "budget", "trap.third_party.budget"),
    ("third_party", "competitor", "trap.third_party.competitor"),
    ("third_party", "pain", "trap.third_party.pain"),
    ("distractor", "budget", "trap.distractor.budget"),
    ("distractor", "pricing_asked", "trap.distractor.price"),
    ("distractor", "opt_out", "trap.distractor.opt_out"),
    ("distractor", "competitor", "trap.distractor.competitor"),
    ("distractor", "champion", "trap.distractor.champion"),
    ("distractor", "timeline", "trap.distractor.timeline"),
    ("distractor", "security_asked", "trap.distractor.security"),
    ("denied", "pain", "trap.denied.pain"),
    ("denied", "need", "trap.denied.need"),
    ("denied", "pricing_asked", "trap.denied.pricing"),
    ("denied", "competitor", "trap.denied.competitor"),
)
