"""Net-new and win-back sequences, and what came back.

Win-back books meetings at about half the rate of net-new. The reason is in the data twice: its sequences went to fewer
people who decide (targeting), and more of them were the generic letter (messaging). Within the same segment and the
same letter the two motions do equally well.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sandbox.company.machine import auto_reply, bounce
from sandbox.company.mail import Thread, base_context, open_thread, send, write_inbound, write_outbound
from sandbox.company.names import COUNTRIES
from sandbox.company.speech import Draft, Fact, Voice, dress, fact_for, weekday
from sandbox.company.threads import choose_facts, converse
from sandbox.company.truth import TruthOutreach
from sandbox.company.world import Contact, World, day_between

# Chance of a booked meeting and of any human reply by segment, for the specific letter; the generic one halves both.
_MEETING: Final = {"decides": 0.15, "other": 0.045}
_REPLY: Final = {"decides": 0.27, "other": 0.17}
_GENERIC: Final = 0.5
_GENERIC_SHARE: Final = {"net_new": 0.33, "win_back": 0.82}
_CLASSES: Final = {
    "question": 16.0,
    "objection": 19.0,
    "soft_no": 24.0,
    "referral": 10.0,
    "hard_no": 11.0,
    "unsubscribe": 14.0,
    "positive": 6.0,
}


class Even:
    """Evenly spread numbers in 0..1 (golden ratio steps), so that a rate holds in small samples too."""

    def __init__(self, start: float) -> None:
        self.value = start

    def next(self) -> float:
        self.value = (self.value + 0.6180339887498949) % 1.0
        return self.value


def run_outreach(world: World) -> None:
    """Writes all sequences of the last year with their replies."""
    rng = world.rng
    net_new = [
        c
        for c in world.contacts
        if c.account and c.account.status in ("prospect", "lost", "open") and c.account.icp_level != "excluded"
    ]
    win_back = [c for c in world.contacts if c.account and c.account.churned_on is not None]
    chosen: list[tuple[str, Contact]] = []
    for contact in net_new:
        decides = contact.seniority in ("c_level", "vp", "director") and contact.persona == "decision_maker"
        if rng.random() < (0.78 if decides else 0.34):
            chosen.append(("net_new", contact))
    for contact in win_back:
        decides = contact.seniority in ("c_level", "vp", "director") and contact.persona == "decision_maker"
        if rng.random() < (0.42 if decides else 0.72):
            chosen.append(("win_back", contact))
    spread = {
        (motion, segment): (Even(rng.random()), Even(rng.random()))
        for motion in ("net_new", "win_back")
        for segment in ("decides", "other")
    }
    letters = {motion: Even(rng.random()) for motion in ("net_new", "win_back")}
    chosen.sort(key=lambda pair: (pair[0], -pair[1].intent, pair[1].id))  # every slice of intent gets the same rate
    for motion, contact in chosen:
        segment = (
            "decides"
            if contact.seniority in ("c_level", "vp", "director") and contact.persona == "decision_maker"
            else "other"
        )
        generic = letters[motion].next() < _GENERIC_SHARE[motion]
        factor = _GENERIC if generic else 1.0
        meetings, replies = spread[motion, segment]
        books = meetings.next() < _MEETING[segment] * factor
        answers = books or replies.next() < _REPLY[segment] * factor
        _sequence(world, contact, motion, "generic" if generic else "specific", books, answers)


def _sequence(world: World, contact: Contact, motion: str, letter: str, books: bool, answers: bool) -> None:
    """Up to three mails, at least three business days apart, ended by a reply, a bounce or an opt-out."""
    rng = world.rng
    account = contact.account
    assert account is not None
    today = world.today
    first = max(contact.created.date() + timedelta(days=2), today - timedelta(days=330))
    if motion == "win_back" and account.churned_on:
        first = max(first, account.churned_on + timedelta(days=21))
    latest = today - timedelta(days=4)
    if first >= latest:
        return
    start = world.workday(day_between(rng, first, latest))
    offset = COUNTRIES[account.country].utc_offset
    seller = contact.owner or account.owner
    language = contact.language if contact.language != "en" and rng.random() < 0.15 else "en"
    subject = world.bank.say(f"subject.{motion}", world.text, {"co": account.short, "me": contact.first})
    thread = open_thread(world, contact, seller, subject, language="en")
    thread.cc = None
    thread.voice = Voice(contact.register, language)
    reply_after = 1 + rng.choices((0, 1, 2), (5, 3, 2))[0] if answers else 0
    machine = rng.random()
    bounces = not answers and (contact.bounced > 0 or machine < 0.018)
    away = not bounces and machine > 0.94
    at = world.office_time(start, offset)
    reply_class: str | None = None
    first_sent: datetime | None = None
    booked = False
    for step in (1, 2, 3):
        stopped = contact.opted_out_on is not None and at >= contact.opted_out_on
        if stopped or at >= world.as_of - timedelta(hours=8):
            break
        first_sent = first_sent or at
        family = f"outreach.{motion}.{letter}.{step}" if step < 3 else f"outreach.{motion}.3"
        context = {**base_context(world, thread), "weekday": weekday(world), **_angle(world, contact)}
        paragraphs = [part for part in world.bank.say(family, world.text, context).split("\n") if part]
        voice = thread.voice
        thread.voice = Voice(voice.register)  # our sequences are in English; people answer in their own language
        send(
            world,
            thread,
            write_outbound(world, thread, paragraphs),
            at,
            incoming=False,
            quote=False,
            extra={"hs_outreach_motion": motion, "hs_sequence_step": str(step)},
        )
        thread.voice = voice
        if bounces:
            bounce(world, thread, at + timedelta(seconds=20 + int(rng.random() * 90)))
            contact.bounced = max(1, contact.bounced)
            reply_class = reply_class or "bounce"
            break
        if away and step == 1:
            auto_reply(world, thread, at + timedelta(seconds=30 + int(rng.random() * 200)))
            reply_class = "out_of_office"
        if step == reply_after:
            answered = at + timedelta(hours=0.4 + rng.expovariate(1 / 20))
            if answered >= world.as_of:
                break
            reply_class = "positive" if books else world.weighted(_CLASSES)
            answer(world, thread, reply_class, answered)
            booked = books
            if books and answered + timedelta(days=1) < world.as_of:
                converse(
                    world,
                    thread,
                    "intro",
                    answered + timedelta(hours=2 + rng.random() * 20),
                    1 + int(rng.random() * 2),
                    world.as_of,
                )
            break
        at = world.office_time(world.workday((at + timedelta(days=5 + int(rng.random() * 5))).date()), offset)
    if first_sent is not None:
        human = reply_class not in (None, "bounce", "out_of_office")
        world.truth.outreach.append(TruthOutreach(contact.id, motion, first_sent, human, reply_class, booked))


def _angle(world: World, contact: Contact) -> dict[str, str]:
    """What a specific letter may refer to, in words of the firm's world."""
    account = contact.account
    assert account is not None
    return {"angle": world.bank.say(f"angle.{account.pains[0]}", world.text), "tech": account.techs[0]}


def answer(world: World, thread: Thread, reply_class: str, at: datetime) -> str:
    """A person's answer to outreach, of the given class, with the facts that belong to it."""
    rng = world.rng
    contact, account = thread.contact, thread.account
    assert account is not None
    language = thread.voice.language
    if language != "en" and not world.bank.has(f"{language}:reply.{reply_class}"):
        language = "en"
        thread.voice = Voice(thread.voice.register)
    prefix = "" if language == "en" else f"{language}:"
    context = {**base_context(world, thread), "weekday": weekday(world)}
    facts: list[Fact] = []
    extra: list[str] = []
    draft = Draft()
    if reply_class == "positive":
        facts = [f for f in [fact_for(world, account, contact, "meeting_asked", at.date(), language)] if f]
        facts += [
            f
            for f in choose_facts(world, account, contact, "intro", at, language, 2)
            if f.predicate not in ("meeting_asked", "objection", "referral")
        ]
        if rng.random() < 0.6:
            extra.append(dress(world, world.bank.say(f"{prefix}reply.positive", world.text, context), Voice("terse")))
    elif reply_class == "question":
        if rng.random() < 0.55:
            predicate = world.weighted({"pricing_asked": 6.0, "security_asked": 2.5, "legal_asked": 1.0})
            facts = [f for f in [fact_for(world, account, contact, predicate, at.date(), language)] if f]
        if not facts or (prefix and not world.bank.has(f"{prefix}{facts[0].family}")):
            extra.append(dress(world, world.bank.say(f"{prefix}reply.question", world.text, context), thread.voice))
    elif reply_class == "referral":
        fact = fact_for(world, account, contact, "referral", at.date(), language)
        if fact is None:
            facts = [Fact("objection", "timing", "reply.soft_no")]
            reply_class = "soft_no"
        else:
            facts = [fact]
            if rng.random() < 0.4:
                facts.insert(0, Fact("authority", "not_involved", "authority.not_involved", {"boss": "somebody else"}))
    elif reply_class == "objection":
        value = (
            world.pick(account.objections)
            if account.objections
            else world.pick(("price", "incumbent", "resources", "timing", "no_need"))
        )
        facts = [Fact("objection", value, f"objection.{value}", {"competitor": "the current provider"})]
        budget = account.budget_on(at.date())
        if budget.state != "available" and rng.random() < 0.35:
            facts += [f for f in [fact_for(world, account, contact, "budget", at.date(), language)] if f]
    elif reply_class == "soft_no":
        facts = [Fact("objection", "timing", "reply.soft_no")]
    elif reply_class == "hard_no":
        extra.append(dress(world, world.bank.say(f"{prefix}reply.hard_no", world.text, context), thread.voice))
    else:
        facts = [Fact("opt_out", "yes", "opt_out")]
    filler = 1 if rng.random() < 0.25 and reply_class not in ("hard_no", "unsubscribe") else 0
    opening = "open.outreach" if reply_class not in ("hard_no", "unsubscribe") else None
    text = write_inbound(
        world,
        thread,
        facts,
        opening=opening,
        filler=filler,
        draft=draft,
        extra_sentences=extra,
        trap=reply_class in ("question", "soft_no") and rng.random() < 0.12,
    )
    if reply_class == "unsubscribe":
        contact.opted_out, contact.opted_out_on = True, at
    elif reply_class == "hard_no":
        contact.opted_out_on = at
    return send(world, thread, text, at, incoming=True, draft=draft, reply_class=reply_class)
