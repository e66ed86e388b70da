"""Turns facts into sentences somebody would write or say, and remembers which fact stands in which sentence."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random
from typing import Final

from sandbox.company.truth import TruthFact, TruthTrap
from sandbox.company.world import Account, Contact, World

MONTHS: Final = {
    "en": (
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ),
    "de": (
        "Januar",
        "Februar",
        "März",
        "April",
        "Mai",
        "Juni",
        "Juli",
        "August",
        "September",
        "Oktober",
        "November",
        "Dezember",
    ),
    "fr": (
        "janvier",
        "février",
        "mars",
        "avril",
        "mai",
        "juin",
        "juillet",
        "août",
        "septembre",
        "octobre",
        "novembre",
        "décembre",
    ),
    "es": (
        "enero",
        "febrero",
        "marzo",
        "abril",
        "mayo",
        "junio",
        "julio",
        "agosto",
        "septiembre",
        "octubre",
        "noviembre",
        "diciembre",
    ),
    "nl": (
        "januari",
        "februari",
        "maart",
        "april",
        "mei",
        "juni",
        "juli",
        "augustus",
        "september",
        "oktober",
        "november",
        "december",
    ),
}
WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SINGLE_VALUED: Final = frozenset(
    {"budget", "timeline", "authority", "champion", "renewal_risk", "headcount", "opt_out", "out_of_office"}
)
OF_THE_PERSON: Final = frozenset({"authority", "champion", "opt_out", "out_of_office"})  # the others are the account's

_OPENER_SHARE: Final = {
    "spoken": 0.42,
    "chatty": 0.38,
    "typos": 0.2,
    "plain": 0.16,
    "formal": 0.14,
    "terse": 0.05,
    "bare": 0.0,
}
_TAIL_SHARE: Final = {"spoken": 0.14, "chatty": 0.12}
_SENTENCE_START: Final = re.compile(r"([^\W\d][)\"]?[.?!] )([a-zà-ÿ])")
_ASKS: Final = re.compile(
    r"(can|could|would|will you|do|does|did|are (you|there|we)|is (there|it|this|that|harbourline|the)|was there"
    r"|what|what's|how|when|where|which|who|why|shall|may|might|any plans)\b",
    re.I,
)
_ASKS_BACK: Final = re.compile(
    r"(can (you|we|i|your)|could (you|i|we)|do you|does (that|it)"
    r"|what (do|does|would|can|are|will|is|happens|'s|we'd pay)"
    r"|what's|where (do|does)|how (do|does|can|is|much)|would (that|you|it)"
    r"|shall|who do|whom|is that|are you|why )",
    re.I,
)
_STATEMENT: Final = re.compile(
    r"(what (we|i|hurts)\b(?! (need|have) to)|what's (missing|next)"
    r"|what i'm|what we're|when (our|the|we)\b(?! would)|who(ever)? knows"
    r"|how it works|do not|don't|where i\b|would love)",
    re.I,
)
_SENTENCE_END: Final = re.compile(r"[.?!] ")
_CLAUSE_END: Final = re.compile(r"[,:] ")
_IMPERATIVE: Final = re.compile(r"(just tell|say so)", re.I)
_ASKS_ELSEWHERE: Final = {
    "de": re.compile(
        r"(was kostet|was würde|mit welchen|können sie|können wir|wollen wir|sollen wir"
        r"|passt ihnen|ginge|sind sie|ist harbourline|geht das|funktioniert das|wie lange)",
        re.I,
    ),
    "fr": re.compile(r"(combien|quel |pouvez-vous|peut-on|on s'appelle|pouvons-nous|est-ce|ça fonctionne)", re.I),
    "es": re.compile(r"(cuánto|qué precio)", re.I),
    "nl": re.compile(r"(wat kost|kun je|zullen we|kunnen we|werkt het)", re.I),
}
_WORD: Final = re.compile(r"\b[a-z]{5,}\b")


@dataclass(frozen=True, slots=True)
class Fact:
    """What is to be said: the predicate, its value, the phrase family, and what fills the family's slots."""

    predicate: str
    value: str
    family: str
    context: dict[str, str] = field(default_factory=dict[str, str])
    fact_date: date | None = None
    side: str = "theirs"


@dataclass(frozen=True, slots=True)
class Voice:
    """How somebody talks: register (terse, chatty, formal, typos, plain, spoken) and language."""

    register: str
    language: str = "en"


@dataclass(slots=True)
class Draft:
    """Sentences of one document that carry facts or traps, until the document's text is final."""

    facts: list[tuple[Fact, str]] = field(default_factory=list[tuple[Fact, str]])
    traps: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])

    def commit(
        self,
        world: World,
        document_type: str,
        document_id: str,
        text: str,
        when: datetime,
        contact: Contact | None,
        account: Account | None,
    ) -> None:
        """Writes the planted facts to the truth; every quote must stand in the text, letter for letter."""
        for fact, quote in self.facts:
            found = locate(text, quote)
            world.truth.facts.append(
                TruthFact(
                    document_type,
                    document_id,
                    fact.predicate,
                    fact.value,
                    "affirmed",
                    fact.fact_date,
                    fact.side,
                    found,
                    True,
                    contact.id if contact else None,
                    account.id if account else None,
                    when.date(),
                )
            )
            if account is not None:
                world.said[account.id].append((when, document_type, document_id, fact.predicate))
        for predicate, kind, quote in self.traps:
            world.truth.traps.append(TruthTrap(document_type, document_id, predicate, kind, locate(text, quote)))


def locate(text: str, quote: str) -> str:
    """The quote as it stands in the text, which may have been wrapped since (a space became a line break)."""
    if quote in text:
        return quote
    start = text.replace("\n", " ").find(quote)
    if start < 0:
        raise AssertionError(f"A planted sentence is not in its document: {quote!r}")
    return text[start : start + len(quote)]


def say(world: World, fact: Fact, voice: Voice) -> str | None:
    """The fact as one sentence, or None when the bank has no words for it in that language."""
    family = fact.family if voice.language == "en" else f"{voice.language}:{fact.family}"
    if not world.bank.has(family):
        return None
    return dress(world, world.bank.say(family, world.text, fact.context), voice)


def dress(world: World, core: str, voice: Voice) -> str:
    """Gives a bare sentence an opener, a tail, a capital, an end, and the writer's typos."""
    rng = world.text
    register = voice.register
    if not core or core == "-":
        return ""
    prefix = "" if voice.language == "en" else f"{voice.language}:"
    text = core
    if rng.random() < _OPENER_SHARE.get(register, 0.1):
        kind = register if register in ("spoken", "formal") else "chatty"
        family = f"{prefix}opener.{kind}"
        if not world.bank.has(family):
            family = f"{prefix}opener.chatty"
        if world.bank.has(family):
            text = f"{world.bank.say(family, rng)} {text}"
    text = text.rstrip(" ,;")
    if text[-1] == ":":
        return text[0].upper() + text[1:]
    if text[-1] not in ".?!…)" and is_question(core, voice.language):
        text = f"{text}?" if voice.language != "fr" else f"{text} ?"
        text = f"¿{text}" if voice.language == "es" and "¿" not in text else text
    if text[-1] not in ".?!…)":
        if not prefix and rng.random() < _TAIL_SHARE.get(register, 0.0):
            tail = world.bank.say("tail.spoken" if register == "spoken" else "tail", rng)
            text = f"{text} {tail}" if tail.startswith(":") else f"{text}{tail}"
        text = f"{text}." if text[-1] not in ".?!)" else text
    text = capital(text)
    return misspell(rng, text) if register == "typos" and not prefix else text


def capital(text: str) -> str:
    """Capital letters at the start of each sentence."""
    return _SENTENCE_START.sub(lambda m: m[1] + m[2].upper(), text[0].upper() + text[1:])


def is_question(core: str, language: str) -> bool:
    """Whether a bare sentence asks: it opens with a question word, or its last clause does."""
    sentence = _SENTENCE_END.split(core)[-1]
    if language != "en":
        return bool(_ASKS_ELSEWHERE[language].match(sentence))
    last = _CLAUSE_END.split(sentence.rstrip(" ,"))[-1]
    if last != sentence and _ASKS_BACK.match(last):
        return True
    return bool(_ASKS.match(sentence)) and not _STATEMENT.match(sentence) and not _IMPERATIVE.match(last)


def misspell(rng: Random, text: str) -> str:
    """What a hurried thumb does: apostrophes go, letters swap, a capital is missed. Names and numbers stay."""
    if rng.random() < 0.45:
        text = text.replace("n't", "nt", 1).replace("'re", "re", 1).replace("'ve", "ve", 1)
    if rng.random() < 0.55:
        words = list(_WORD.finditer(text))
        if words:
            word = words[int(rng.random() * len(words))]
            at = word.start() + 1 + int(rng.random() * (word.end() - word.start() - 2))
            roll = rng.random()
            if roll < 0.5:
                text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
            elif roll < 0.8:
                text = text[:at] + text[at + 1 :]
            else:
                text = text[: at + 1] + text[at] + text[at + 1 :]
    if rng.random() < 0.35 and not text[1:2].isupper():
        text = text[0].lower() + text[1:]
    if rng.random() < 0.2:
        text = text.replace(" I ", " i ").replace(" and ", " & ", 1)
    return text


def month_name(month: str, language: str = "en") -> str:
    return MONTHS[language][int(month[5:7]) - 1]


def name_month(world: World, month: str, day: date, language: str = "en") -> str:
    """A month as people name it: with its year when it is far away or by habit."""
    ahead = (int(month[:4]) - day.year) * 12 + int(month[5:7]) - day.month
    name = month_name(month, language)
    if ahead > 9 or (ahead > 0 and world.text.random() < 0.25):
        return f"{name} de {month[:4]}" if language == "es" else f"{name} {month[:4]}"
    return name


def fact_for(
    world: World, account: Account, contact: Contact, predicate: str, day: date, language: str = "en"
) -> Fact | None:
    """The fact this person would state truthfully on that day, None when there is nothing to say."""
    rng = world.rng
    if predicate == "budget":
        state = account.budget_on(day)
        if state.state == "frozen" and state.opens_on is not None:
            if state.opens_on <= day + timedelta(days=5):
                return None
            opens = state.opens_on
            context = {
                "opens": name_month(world, opens.strftime("%Y-%m"), day, language),
                "opens_year": str(opens.year),
            }
            return Fact("budget", "frozen", "budget.frozen_until", context, opens)
        return Fact("budget", state.state, f"budget.{state.state}")
    if predicate == "timeline":
        month = account.target_on(day)
        if month is None:
            return None
        other = world.text.choice([m for m in MONTHS[language] if m != month_name(month, language)])
        return Fact(
            "timeline", month, "timeline", {"month": name_month(world, month, day, language), "othermonth": other}
        )
    if predicate == "authority":
        value = {
            "decision_maker": "decision_maker",
            "champion": "needs_approval",
            "influencer": "committee",
            "gatekeeper": "not_involved",
            "unknown": "not_involved",
        }[contact.persona]
        if contact.persona in ("champion", "influencer") and rng.random() < 0.35:
            value = "committee" if value == "needs_approval" else "needs_approval"
        return Fact("authority", value, f"authority.{value}", {"boss": _boss(world, account, contact)})
    if predicate in ("need", "pain", "objection"):
        values = {"need": account.needs, "pain": account.pains, "objection": account.objections}[predicate]
        if not values:
            return None
        value = values[int(rng.random() * len(values))]
        return Fact(predicate, value, f"{predicate}.{value}", {"competitor": "the current provider"})
    if predicate == "competitor":
        if not account.competitors:
            return None
        name = world.pick(account.competitors)
        return Fact("competitor", name, "competitor", {"competitor": name})
    if predicate == "champion":
        if contact.role == "champion":
            return Fact("champion", "self", "champion.self")
        friend = next((c for c in account.contacts if c.role == "champion" and c is not contact), None)
        return Fact("champion", "other", "champion.other", {"colleague": friend.first}) if friend else None
    if predicate == "champion_left":
        friend = next(
            (c for c in account.contacts if c is not contact and c.persona in ("champion", "decision_maker")), None
        )
        return (
            Fact(
                "champion_left",
                friend.name,
                "champion_left",
                {"colleague": friend.name, "colleague_first": friend.first},
            )
            if friend
            else None
        )
    if predicate == "referral":
        others = [c for c in account.contacts if c is not contact]
        if not others:
            return None
        other = world.pick(others)
        return Fact(
            "referral",
            other.name,
            "referral",
            {"colleague": other.name, "colleague_title": other.title or "colleague", "colleague_email": other.email},
        )
    if predicate == "next_step":
        value = world.pick(("demo", "call", "trial", "proposal", "intro", "review", "send_info"))
        return Fact("next_step", value, f"next_step.{value}", {"weekday": weekday(world)})
    if predicate == "commitment":
        return Fact("commitment", "theirs", "commitment.theirs", {"weekday": weekday(world)})
    if predicate == "product_feedback":
        good = contact.intent > 0
        value = world.weighted(
            {"positive": 5.0 if good else 2.0, "negative": 1.5 if good else 3.0, "feature_request": 3.0}
        )
        return Fact("product_feedback", value, f"product_feedback.{value}")
    if predicate == "renewal_risk":
        leaving = account.churned_on is not None and day > account.churned_on - timedelta(days=120)
        value = "high" if leaving else "low"
        return Fact("renewal_risk", value, f"renewal_risk.{value}")
    if predicate == "headcount":
        return Fact("headcount", str(account.team_size), "headcount", {"headcount": _grouped(account.team_size)})
    if predicate == "tech_in_use":
        tech = world.pick(account.techs)
        return Fact("tech_in_use", tech, "tech_in_use", {"tech": tech})
    return Fact(predicate, "yes", predicate, {"weekday": weekday(world)})


def weekday(world: World) -> str:
    return WEEKDAYS[int(world.text.random() * 5)]


def _grouped(number: int) -> str:
    return f"{number:,}" if number >= 1000 else str(number)


def _boss(world: World, account: Account, contact: Contact) -> str:
    bosses = [c for c in account.contacts if c.persona == "decision_maker" and c is not contact]
    if bosses and world.text.random() < 0.6:
        boss = bosses[int(world.text.random() * len(bosses))]
        return boss.first if world.text.random() < 0.5 else boss.name
    return world.bank.say("boss", world.text)


def settle_current(world: World) -> None:
    """Marks which remarks still stand: of each single-valued predicate only the latest per account (or person)."""
    latest: dict[tuple[str, str], TruthFact] = {}
    for fact in world.truth.facts:
        if fact.predicate not in SINGLE_VALUED:
            continue
        scope = fact.contact_id if fact.predicate in OF_THE_PERSON else fact.company_id or fact.contact_id
        key = (fact.predicate, scope or fact.document_id)
        known = latest.get(key)
        if known is None or fact.said_on >= known.said_on:
            if known is not None:
                known.is_current = False
            latest[key] = fact
        else:
            fact.is_current = False
