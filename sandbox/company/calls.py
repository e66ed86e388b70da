"""Call transcripts: real dialogues with small talk, discovery, demo, objections and wrap-up, two minutes to an hour."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final

from sandbox.company.deals import Deal
from sandbox.company.names import COUNTRIES
from sandbox.company.sellers import OUR_NAME
from sandbox.company.speech import Draft, Fact, Voice, capital, dress, fact_for, say
from sandbox.company.threads import choose_facts
from sandbox.company.world import Account, Contact, World, iso
from sandbox.records import SeedOwner

ROWS_SHARE: Final = {"long": 0.05, "hour": 0.22}
_SPOKEN: Final = Voice("spoken")
_TOPIC_BY_STAGE: Final = {
    "appointmentscheduled": "discovery",
    "qualifiedtobuy": "discovery",
    "presentationscheduled": "demo",
    "decisionmakerboughtin": "pricing",
    "contractsent": "contract",
    "renewal_upcoming": "renewal",
    "renewal_talks": "renewal",
}
# HubSpot's default dispositions
CONNECTED: Final = "f240bbac-87c9-4f6e-bf70-924b57d47db7"
NO_ANSWER: Final = "73a0d17f-1163-4015-bdd5-ec830791da20"
VOICEMAIL: Final = "b2cf5968-551e-4856-9783-52b3da59a7d0"


@dataclass(slots=True)
class Transcript:
    """A dialogue being written: lines so far, the clock, and who is in the room."""

    world: World
    context: dict[str, str]
    ours: str
    theirs: list[str]
    rng: Random
    seconds: float = 0.0
    lines: list[str] = field(default_factory=list[str])
    size: int = 0
    decks: dict[str, list[int]] = field(default_factory=dict[str, list[int]])

    def turn(self, who: str, text: str) -> None:
        """One turn; speech takes about 12 characters a second."""
        stamp = int(self.seconds)
        line = f"[{stamp // 3600:02d}:{stamp % 3600 // 60:02d}:{stamp % 60:02d}] {who}: {text}"
        self.lines.append(line)
        self.size += len(line) + 1
        self.seconds += len(text) / 12.5 + 0.6 + self.world.text.random() * 2.5

    def deal(self, family: str) -> str:
        """A variant this conversation has not had yet; the deck is shuffled anew when it has been through."""
        rng, bank = self.world.text, self.world.bank
        deck = self.decks.get(family)
        if not deck:
            deck = list(range(bank.count(family)))
            rng.shuffle(deck)
            self.decks[family] = deck
        number = deck.pop()
        if family in ("call.ramble", "call.pair"):
            return bank.say_variant(family, number, rng, self.context | {"story": self.deal("story")})
        return bank.say_variant(family, number, rng, self.context)

    def left(self, family: str) -> bool:
        """Whether the conversation still has a variant of that family it has not used."""
        return self.decks.get(family) != []

    def we(self, family: str) -> None:
        self.turn(self.ours, capital(self.deal(family)))

    def they(self, family: str) -> None:
        self.turn(self.theirs[0], capital(self.deal(family)))


def _exchange(script: Transcript, family: str) -> None:
    """A little dialogue written as one variant: turns separated by ` // `, `W:` us, `T:` them, `U:` a colleague."""
    for part in script.deal(family).split(" // "):
        mark, _, text = part.partition(":")
        text = capital(text.strip())
        if mark.strip() == "W":
            script.turn(script.ours, text)
        else:
            script.turn(script.theirs[-1 if mark.strip() == "U" else 0], text)


def _fact_exchange(script: Transcript, fact: Fact, draft: Draft, speaker: int) -> None:
    """Our question, their answer with the fact in it (often in the middle of other talk), our acknowledgement."""
    world = script.world
    rng, bank = world.text, world.bank
    full = Fact(fact.predicate, fact.value, fact.family, {**script.context, **fact.context}, fact.fact_date, fact.side)
    sentence = say(world, full, _SPOKEN)
    if sentence is None:
        return
    if rng.random() < 0.3:
        _exchange(script, "call.transition")
    if rng.random() < 0.72 and bank.has(f"call.ask.{fact.predicate}"):
        script.we(f"call.ask.{fact.predicate}")
    before = dress(world, script.deal("call.before"), Voice("terse")) + " " if rng.random() < 0.35 else ""
    if rng.random() < 0.14:  # the remark hides in a long answer
        before += capital(script.deal("story")) + " "
    after = ""
    if rng.random() < 0.4:
        family = (
            f"after.{fact.predicate}" if bank.has(f"after.{fact.predicate}") and rng.random() < 0.6 else "call.after"
        )
        after = " " + dress(world, script.deal(family), Voice("terse"))
    draft.facts.append((full, sentence))
    script.turn(script.theirs[speaker % len(script.theirs)], f"{before}{sentence}{after}")
    if rng.random() < 0.75:
        script.we(
            f"call.ack.{fact.predicate}"
            if bank.has(f"call.ack.{fact.predicate}") and rng.random() < 0.6
            else "call.ack"
        )


def write_transcript(
    world: World,
    account: Account,
    people: list[Contact],
    seller: SeedOwner,
    topic: str,
    at: datetime,
    length: str,
    draft: Draft,
    facts: list[Fact] | None = None,
) -> tuple[str, float]:
    """A transcript and its length in seconds. `length` is short, normal, long or hour; facts are put anywhere in it."""
    rng = world.stream(f"call:{at.isoformat()}:{account.id}")  # its own: how long a talk gets depends on the words
    names = [f"{c.name} ({account.short})" for c in people]
    context = {
        "me": people[0].first,
        "our": seller.first_name,
        "co": account.short,
        "city": account.city,
        "them": people[-1].first,
        "currency": "€" if COUNTRIES[account.country].phone not in ("+1", "+44", "+353") else "$",
    }
    script = Transcript(world, context, f"{seller.first_name} {seller.last_name} ({OUR_NAME})", names, rng)
    if facts is None:
        most = {"short": 2, "normal": 4, "long": 6, "hour": 7}[length]
        facts = []
        seen: set[str] = set()
        for _ in range(1 if length == "short" else 2):
            for fact in choose_facts(world, account, people[0], topic, at, "en", most):
                if fact.predicate not in seen and fact.predicate != "commitment":
                    seen.add(fact.predicate)
                    facts.append(fact)
    exchanges = {"short": (2, 5), "normal": (8, 18), "long": (28, 60), "hour": (300, 300)}[length]
    blocks = exchanges[0] + int(rng.random() * (exchanges[1] - exchanges[0] + 1))
    _exchange(script, "call.hello")
    for _ in range(1 if length == "short" else 1 + int(rng.random() * 3)):
        _exchange(script, "call.smalltalk")
    _exchange(script, "call.agenda")
    limit = {"short": 4000, "normal": 16_000, "long": 34_000, "hour": 50_000 + int(rng.random() * 11_000)}[length]
    places = sorted((rng.random(), n) for n in range(len(facts)))
    position = 0
    done = 0
    rows: list[str] = []  # a list they go through line by line, in long calls
    demo_from = 0.35 + 0.2 * rng.random()
    while position < blocks and script.size < limit:
        share = max(position / blocks, script.size / limit)
        while done < len(places) and places[done][0] <= share:
            _fact_exchange(script, facts[places[done][1]], draft, 0 if rng.random() < 0.8 else 1)
            done += 1
        if not rows and length in ("long", "hour") and rng.random() < ROWS_SHARE[length]:
            kind = script.deal("call.rows")
            _exchange(script, f"call.rows.{kind}.intro")
            rows = [f"call.rows.{kind}"] * (5 + int(rng.random() * 9))
        if rows and rng.random() < 0.85:
            _exchange(script, rows.pop())
            position += 1
            continue
        _exchange_or_trap(script, draft, topic, demo=demo_from < share < 0.8, length=length)
        position += 1
    while done < len(places):
        _fact_exchange(script, facts[places[done][1]], draft, 0)
        done += 1
    _wrap_up(script, draft, topic)
    return "\n".join(script.lines), script.seconds


def _exchange_or_trap(script: Transcript, draft: Draft, topic: str, *, demo: bool, length: str) -> None:
    """One block of a call: the call's own topic first, then whatever people talk about."""
    rng, bank = script.rng, script.world.bank
    roll = rng.random()
    own = f"call.{topic}" if bank.has(f"call.{topic}") else "call.talk"
    if roll < 0.035 and length != "short":
        _trap(script, draft)
    elif topic in ("demo", "discovery") and demo:
        _exchange(script, "call.demo" if roll < 0.82 or length == "short" else "call.ramble")
    elif roll < 0.12 and len(script.theirs) > 1:
        _exchange(script, "call.pair")
    elif roll < 0.19:
        _exchange(script, "call.bridge")
    elif roll < 0.32:
        _exchange(script, "call.ramble")
    elif roll < 0.8 and script.left(own):
        _exchange(script, own)
    else:
        _exchange(script, "call.talk")


def _trap(script: Transcript, draft: Draft) -> None:
    from sandbox.company.mail import TRAPS

    world = script.world
    kind, predicate, family = TRAPS[int(world.text.random() * len(TRAPS))]
    sentence = dress(world, world.bank.say(family, world.text, script.context), _SPOKEN)
    draft.traps.append((predicate, kind, sentence))
    script.turn(script.theirs[0], sentence)
    script.we("call.ack")


def _wrap_up(script: Transcript, draft: Draft, topic: str) -> None:
    """Who does what until when; promises of both sides are facts."""
    world, rng = script.world, script.rng
    _exchange(script, "call.wrap")
    if rng.random() < 0.42:
        sentence = dress(world, world.bank.say("commitment.ours", world.text, script.context), _SPOKEN)
        draft.facts.append((Fact("commitment", "ours", "commitment.ours", side="ours"), sentence))
        script.turn(script.ours, sentence)
        script.they("call.fine")
    if rng.random() < 0.45:
        sentence = dress(world, world.bank.say("commitment.theirs", world.text, script.context), _SPOKEN)
        draft.facts.append((Fact("commitment", "theirs", "commitment.theirs"), sentence))
        script.turn(script.theirs[0], sentence)
        script.we("call.thanks")
    if rng.random() < 0.4 and topic not in ("customer",):
        value = rng.choice(("demo", "call", "trial", "proposal", "review", "send_info"))
        sentence = dress(world, world.bank.say(f"next_step.{value}", world.text, script.context), _SPOKEN)
        draft.facts.append((Fact("next_step", value, f"next_step.{value}"), sentence))
        script.turn(script.theirs[0], sentence)
        script.we("call.fine")
    _exchange(script, "call.bye")


def file_call(
    world: World,
    account: Account,
    people: list[Contact],
    seller: SeedOwner,
    topic: str,
    at: datetime,
    length: str,
    deal_id: str | None,
    facts: list[Fact] | None = None,
) -> str:
    """Writes one call with its transcript and returns its id."""
    rng = world.rng
    draft = Draft()
    body, seconds = write_transcript(world, account, people, seller, topic, at, length, draft, facts)
    id_ = world.new_id("calls")
    ended = at + timedelta(seconds=seconds)
    world.add(
        "calls",
        id_,
        {
            "hs_timestamp": iso(at),
            "hs_call_title": world.bank.say(
                f"call.title.{topic}" if world.bank.has(f"call.title.{topic}") else "call.title",
                world.text,
                {"co": account.short, "me": people[0].name},
            ),
            "hs_call_body": body,
            "hs_call_direction": "OUTBOUND" if rng.random() < 0.85 else "INBOUND",
            "hs_call_disposition": CONNECTED,
            "hs_call_duration": str(int(seconds * 1000)),
            "hs_call_status": "COMPLETED",
            "hs_call_has_transcript": "true",
            "hubspot_owner_id": seller.id,
            "hs_createdate": iso(ended),
            "hs_lastmodifieddate": iso(ended + timedelta(minutes=3)),
        },
        ended,
        ended + timedelta(minutes=3),
    )
    for contact in people:
        world.link("calls", id_, "contacts", contact.id)
        contact.touch(ended)
    world.link("calls", id_, "companies", account.id)
    if deal_id:
        world.link("calls", id_, "deals", deal_id)
    draft.commit(world, "call", id_, body, at, people[0], account)
    return id_


def file_unanswered(world: World, contact: Contact, seller: SeedOwner, at: datetime) -> str:
    """A call nobody took; no transcript, sometimes a line by the seller."""
    id_ = world.new_id("calls")
    voicemail = world.rng.random() < 0.4
    world.add(
        "calls",
        id_,
        {
            "hs_timestamp": iso(at),
            "hs_call_title": f"Call with {contact.name}",
            "hs_call_body": world.bank.say("call.unanswered", world.text) if world.rng.random() < 0.6 else "",
            "hs_call_direction": "OUTBOUND",
            "hs_call_disposition": VOICEMAIL if voicemail else NO_ANSWER,
            "hs_call_duration": str(int(1000 * (4 + 30 * world.rng.random()))),
            "hs_call_status": "COMPLETED",
            "hs_call_has_transcript": "false",
            "hubspot_owner_id": seller.id,
            "hs_createdate": iso(at),
            "hs_lastmodifieddate": iso(at),
        },
        at,
        at,
    )
    world.link("calls", id_, "contacts", contact.id)
    if contact.account:
        world.link("calls", id_, "companies", contact.account.id)
    contact.touch(at)
    return id_


def draw_calls(world: World, deals: list[Deal]) -> None:
    """About 0.19 calls per contact: on deals by stage, with churned customers near their end, a few unanswered."""
    rng = world.rng
    wanted = round(world.size * 0.19)
    plan: list[tuple[datetime, Deal, str]] = []
    for deal in deals:
        end = deal.stages[-1][0] if deal.closed else world.as_of - timedelta(hours=14)
        if deal.kind == "renewal" and deal.lost:  # the last talk before they leave, when they say why
            day = world.workday(end.date() - timedelta(days=4 + int(rng.random() * 24)))
            plan.append((world.office_time(day, COUNTRIES[deal.account.country].utc_offset), deal, "renewal"))
        for n, (moment, stage) in enumerate(deal.stages):
            if stage not in _TOPIC_BY_STAGE:
                continue
            upper = deal.stages[n + 1][0] if n + 1 < len(deal.stages) else end
            span = (upper - moment).total_seconds()
            if span < 3 * 3600:
                continue
            day = world.workday((moment + timedelta(seconds=span * rng.random())).date())
            at = world.office_time(day, COUNTRIES[deal.account.country].utc_offset)
            if moment < at < upper and at < world.as_of:
                plan.append((at, deal, _TOPIC_BY_STAGE[stage]))
    must = [entry for entry in plan if entry[1].kind == "renewal" and entry[1].lost]
    rest = (
        [entry for entry in plan if entry not in must]
        if len(plan) < 400
        else [e for e in plan if not (e[1].kind == "renewal" and e[1].lost)]
    )
    rng.shuffle(rest)
    unanswered = round(wanted * 0.06)
    chosen = sorted((must + rest)[: max(1, wanted - unanswered)], key=lambda entry: (entry[0], entry[1].id))
    hours = max(1, round(len(chosen) * 0.04))
    hour_slots = {int((n + 0.5) * len(chosen) / hours) for n in range(hours)}
    filed = 0
    for number, (at, deal, topic) in enumerate(chosen):
        people = [c for c in deal.people if not (c.opted_out_on and c.opted_out_on < at)][: 1 + (rng.random() < 0.45)]
        if not people:
            continue
        length = "hour" if number in hour_slots else rng.choices(("short", "normal", "long"), (22, 58, 20))[0]
        facts = _last_words(world, deal, people[0], at) if deal.kind == "renewal" and deal.lost else None
        file_call(world, deal.account, people, deal.seller, topic, at, length, deal.id, facts)
        deal.calls.append(at)
        filed += 1
    people = [c for c in world.contacts if c.account and not c.opted_out_on]
    while filed < wanted and people:
        contact = people[int(rng.random() * len(people))]
        account = contact.account
        assert account is not None
        span = (world.today - contact.created.date()).days - 2
        if span < 2:
            filed += 1
            continue
        at = world.office_time(
            world.workday(contact.created.date() + timedelta(days=1 + int(span * rng.random()))),
            COUNTRIES[account.country].utc_offset,
        )
        if at < world.as_of:
            if wanted - filed <= unanswered:
                file_unanswered(world, contact, contact.owner or account.owner, at)
            else:
                customer = (
                    account.customer_since is not None
                    and account.churned_on is None
                    and at.date() > account.customer_since
                )
                file_call(
                    world,
                    account,
                    [contact],
                    contact.owner or account.owner,
                    "customer" if customer else "discovery",
                    at,
                    rng.choices(("short", "normal", "long"), (30, 55, 15))[0],
                    None,
                )
        filed += 1


def _last_words(world: World, deal: Deal, contact: Contact, at: datetime) -> list[Fact]:
    """What a leaving customer says: of the money (maybe when it returns), of staying, of what they thought of us."""
    facts = [
        fact_for(world, deal.account, contact, predicate, at.date())
        for predicate in ("budget", "renewal_risk", "product_feedback")
    ]
    extra = fact_for(world, deal.account, contact, "champion_left", at.date()) if world.rng.random() < 0.3 else None
    return [fact for fact in [*facts, extra] if fact is not None]
