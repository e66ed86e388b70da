"""Email conversations: around deals, with customers, and the odd exchange in between."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sandbox.company.deals import Deal
from sandbox.company.mail import Thread, base_context, open_thread, send, write_inbound, write_outbound
from sandbox.company.names import COUNTRIES
from sandbox.company.speech import Draft, Fact, Voice, dress, fact_for, weekday
from sandbox.company.world import Account, Contact, World

# What people talk about in a thread of each topic (weights), for those who lean in and those who don't.
_LEAN_IN: Final = {
    "intro": {"need": 4.0, "pain": 4, "meeting_asked": 4, "pricing_asked": 2, "authority": 2, "tech_in_use": 2,
    "headcount": 2, "competitor": 1, "referral": 0.6, "budget": 1.2},
    "discovery": {"need": 3.5, "pain": 3.5, "authority": 2.5, "budget": 3, "timeline": 2.5, "tech_in_use": 2,
    "headcount": 2, "competitor": 1.5, "next_step": 2, "commitment": 1.5, "champion": 1.2, "meeting_asked": 1},
    "demo": {"product_feedback": 4.0, "need": 2, "next_step": 3, "commitment": 2, "pricing_asked": 3, "champion": 2,
    "authority": 2, "competitor": 1.5, "timeline": 1.5, "security_asked": 1.5, "meeting_asked": 1.5},
    "pricing": {"pricing_asked": 4.0, "budget": 4, "timeline": 2, "authority": 3, "objection": 1, "legal_asked": 2,
    "commitment": 1.5, "next_step": 1.5, "competitor": 1},
    "security": {"security_asked": 5.0, "legal_asked": 3, "commitment": 2, "timeline": 1.5, "tech_in_use": 1.5,
    "authority": 1, "next_step": 1},
    "contract": {"legal_asked": 4.0, "timeline": 3, "commitment": 3, "authority": 2, "budget": 2, "security_asked": 1,
    "next_step": 2},
    "customer": {"product_feedback": 5.0, "renewal_risk": 2.5, "need": 1.5, "pain": 1, "headcount": 1,
    "commitment": 1, "champion_left": 0.5, "pricing_asked": 0.7, "next_step": 1},
    "renewal": {"renewal_risk": 5.0, "budget": 2.5, "product_feedback": 2, "champion_left": 0.8, "pricing_asked": 1.5,
    "legal_asked": 1, "timeline": 1},
    "nurture": {"need": 2.0, "pain": 2, "pricing_asked": 1.5, "meeting_asked": 1.5, "timeline": 1.2, "budget": 1.5,
    "authority": 1.2, "headcount": 0.8, "tech_in_use": 0.8, "competitor": 0.6},
}  # fmt: skip
_HOLD_BACK: Final = {
    "objection": 5.0,
    "budget": 1.5,
    "authority": 2,
    "competitor": 1,
    "tech_in_use": 1,
    "pain": 0.8,
    "timeline": 0.4,
    "referral": 0.5,
    "need": 0.4,
}
_CLASS_BY_FACT: Final = {
    "meeting_asked": "positive", "next_step": "positive", "champion": "positive", "pricing_asked": "question",
    "security_asked": "question", "legal_asked": "question",
    "objection": "objection", "referral": "referral", "opt_out": "unsubscribe",
}  # fmt: skip
_CLASS_BY_VALUE: Final = {
    ("budget", "available"): "positive", ("budget", "none"): "objection", ("budget", "frozen"): "objection",
    ("product_feedback", "positive"): "positive",
    ("renewal_risk", "low"): "positive", ("renewal_risk", "high"): "objection",
}  # fmt: skip
_TOPICS_BY_STAGE: Final = {
    "appointmentscheduled": "discovery",
    "qualifiedtobuy": "demo",
    "presentationscheduled": "pricing",
    "decisionmakerboughtin": "security",
    "contractsent": "contract",
}


def choose_facts(
    world: World, account: Account, contact: Contact, topic: str, at: datetime, language: str, most: int = 3
) -> list[Fact]:
    """The facts a message on that topic holds, drawn by how much the writer leans in; often none."""
    rng = world.rng
    lean = rng.random() < 0.5 + 0.16 * contact.intent if topic not in ("customer", "renewal") else rng.random() < 0.85
    weights = dict(_LEAN_IN[topic] if lean else _HOLD_BACK)
    if language != "en":  # only what there are words for
        known = {
            name.partition(":")[2].partition(".")[0] for name in world.bank.families if name.startswith(language + ":")
        }
        weights = {predicate: weight for predicate, weight in weights.items() if predicate in known}
    budget = account.budget_on(at.date())
    if budget.state != "available" and lean and "budget" in weights:
        weights["budget"] *= 0.8
    count = min(most, rng.choices((0, 1, 2, 3, 4), (16, 40, 27, 12, 5))[0])
    chosen: list[Fact] = []
    for _ in range(count):
        predicate = world.weighted(weights)
        del weights[predicate]
        fact = fact_for(world, account, contact, predicate, at.date(), language)
        if fact is not None:
            chosen.append(fact)
    return chosen


def class_of(facts: list[Fact]) -> str | None:
    """The reply class of a message outside outreach, only where its facts point to one; mixed messages have none."""
    found: set[str] = set()
    for fact in facts:
        kind = _CLASS_BY_FACT.get(fact.predicate) or _CLASS_BY_VALUE.get((fact.predicate, fact.value))
        if kind:
            found.add(kind)
    return found.pop() if len(found) == 1 else None


def converse(world: World, thread: Thread, topic: str, start: datetime, messages: int, last: datetime) -> datetime:
    """Alternating messages of one thread, ours first (or theirs), never past `last`; returns the last moment."""
    rng = world.rng
    account = thread.account
    offset = COUNTRIES[account.country].utc_offset if account else 0
    at = start
    ours_turn = rng.random() < 0.72
    moment = at
    for number in range(messages):
        if at >= last:
            break
        moment = at
        if ours_turn:
            write_ours(world, thread, topic, at, first=number == 0)
        else:
            write_theirs(world, thread, topic, at, first=number == 0)
        ours_turn = not ours_turn if rng.random() > 0.1 else ours_turn
        gap_hours = rng.expovariate(1 / 26) + 0.3
        following = at + timedelta(hours=gap_hours)
        day = world.workday(following.date())
        at = (
            following
            if day == following.date() and 5 <= following.hour + offset <= 20
            else max(world.office_time(day, offset), at + timedelta(minutes=17))
        )
    return moment


def write_ours(world: World, thread: Thread, topic: str, at: datetime, *, first: bool) -> str:
    """A seller's message on the topic; sometimes with a promise in it, which is a fact of our side."""
    rng, bank = world.rng, world.bank
    context = {**base_context(world, thread), "weekday": weekday(world)}
    draft = Draft()
    foreign = "" if thread.voice.language == "en" else f"{thread.voice.language}:"
    family = f"{foreign}ours.{topic}.{'first' if first else 'next'}"
    if not bank.has(family):
        family = f"{foreign}ours.nurture.{'first' if first else 'next'}"
    paragraphs = [bank.say(family, world.text, context)]
    if not foreign:
        if rng.random() < 0.5:
            paragraphs.append(bank.say("ours.middle", world.text, context))
        if not first and rng.random() < 0.16:
            sentence = dress(world, bank.say("commitment.ours", world.text, context), Voice("bare"))
            draft.facts.append((Fact("commitment", "ours", "commitment.ours", side="ours"), sentence))
            paragraphs.append(sentence)
        if rng.random() < 0.45:
            paragraphs.append(
                bank.say(f"ours.ask.{topic}" if bank.has(f"ours.ask.{topic}") else "ours.ask", world.text, context)
            )
    return send(world, thread, write_outbound(world, thread, paragraphs), at, incoming=False, draft=draft)


def write_theirs(
    world: World,
    thread: Thread,
    topic: str,
    at: datetime,
    *,
    first: bool,
    facts: list[Fact] | None = None,
    reply_class: str | None = None,
) -> str:
    """A customer's message on the topic."""
    rng = world.rng
    account, contact = thread.account, thread.contact
    if facts is None:
        facts = choose_facts(world, account, contact, topic, at, thread.voice.language) if account else []
    filler = (
        rng.choices((0, 1, 2, 3, 6), (46, 33, 13, 6, 2))[0]
        if thread.voice.register != "terse"
        else rng.choices((0, 1), (7, 3))[0]
    )
    draft = Draft()
    opening = f"open.{topic}.{'first' if first else 'reply'}"
    if not world.bank.has(opening):
        opening = "open.first" if first else "open.reply"
    text = write_inbound(
        world,
        thread,
        facts,
        opening=opening,
        filler=filler if facts else max(1, filler),
        draft=draft,
        trap=rng.random() < 0.13,
    )
    kept = [fact for fact, _ in draft.facts]
    return send(world, thread, text, at, incoming=True, draft=draft, reply_class=reply_class or class_of(kept))


def deal_threads(world: World, deal: Deal) -> None:
    """The conversations of one deal, following its stages."""
    rng = world.rng
    end = deal.stages[-1][0] if deal.closed else world.as_of - timedelta(hours=12)
    if deal.pipeline == "renewals":
        topics = [("renewal", deal.opened + timedelta(days=int(rng.random() * 30)))]
    else:
        topics = [("intro", deal.opened - timedelta(days=1 + int(rng.random() * 12)))] if rng.random() < 0.6 else []
        topics += [
            (_TOPICS_BY_STAGE[stage], moment + timedelta(hours=4 + rng.random() * 60))
            for moment, stage in deal.stages
            if stage in _TOPICS_BY_STAGE
        ]
    for topic, start in topics:
        if start >= end or rng.random() < 0.12:
            continue
        contact = deal.people[0] if rng.random() < 0.65 else world.pick(deal.people)
        if contact.opted_out or start <= contact.created:
            continue
        subject = world.bank.say(f"subject.{topic}", world.text, {"co": deal.account.short, "our_co": "Harbourline"})
        thread = open_thread(world, contact, deal.seller, subject, deal.id)
        deal.threads += 1
        converse(world, thread, topic, start, 2 + int(rng.random() * 4), end)


def other_threads(world: World, wanted: int) -> None:
    """Fills up to `wanted` emails with customer care and loose exchanges, more with people who lean in."""
    rng = world.rng
    people = [c for c in world.contacts if c.account is not None and not c.bounced]
    weights = [max(0.15, 1.6 + c.intent) for c in people]
    attempts = 0
    while world.emails_made < wanted and attempts < wanted:
        attempts += 1
        contact = rng.choices(people, weights)[0]
        account = contact.account
        assert account is not None
        customer = account.customer_since is not None and (account.churned_on is None)
        start_day = contact.created.date() + timedelta(days=1)
        span = (world.today - start_day).days - 1
        if span < 3:
            continue
        ago = int(span * rng.random() ** 1.5)  # more of it lately
        day = world.workday(world.today - timedelta(days=1 + ago))
        if day >= world.today:
            continue
        at = world.office_time(day, COUNTRIES[account.country].utc_offset)
        if contact.opted_out_on is not None and at > contact.opted_out_on - timedelta(days=25):
            continue
        topic = "customer" if customer and account.customer_since and day > account.customer_since else "nurture"
        seller = account.owner if contact.owner is None else contact.owner
        subject = world.bank.say(f"subject.{topic}", world.text, {"co": account.short, "our_co": "Harbourline"})
        thread = open_thread(world, contact, seller, subject)
        limit = world.as_of if contact.opted_out_on is None else contact.opted_out_on - timedelta(hours=1)
        converse(world, thread, topic, at, 1 + int(rng.random() * (3 + max(0.0, contact.intent))), limit)
