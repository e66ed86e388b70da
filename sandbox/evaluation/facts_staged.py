"""Contradictions that the sample company does not hold by itself, staged in it before a night that only reads.

* *in one transcript*: a known person says one thing early in an hour-long call and the opposite late in it. The later
  remark must replace the earlier.
* *by a stranger's mail*, *by a stranger in a call*: a known person says one thing; days later somebody whom the CRM
  does not know at that firm says the opposite. The known person's remark must stay in force.

Remarks at known places are staged too: the same three sentences in three calls of an hour, each once in the first, the
middle and the last third, so that a difference is the place's and not the words'.

The documents are made of the phrases of the night's half and of other people's talk. They count in nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Final, Literal

from sandbox.evaluation import matching, results
from sandbox.evaluation.facts_replaced import Held, contradictions, verdict
from sandbox.records import SeedAssociation, SeedObject

if TYPE_CHECKING:
    from sandbox.company import GeneratedCompany
    from sandbox.company.grammar import Bank, Phrases
    from sandbox.company.truth import TruthFact
    from sandbox.evaluation.facts import Readings

Kind = Literal["in one transcript", "by a stranger's mail", "by a stranger in a call"]
KINDS: Final[tuple[Kind, ...]] = ("in one transcript", "by a stranger's mail", "by a stranger in a call")
MOST_OF_A_KIND = 16
MOST_LONG_CALLS = 12
PLACES: Final = ("first third of an hour", "middle third of an hour", "last third of an hour")
_PLACED: Final = (("pain", "stockouts"), ("need", "forecasting"), ("product_feedback", "negative"))
_OPPOSITES: Final = (
    (("budget", "available"), ("budget", "none")),
    (("renewal_risk", "low"), ("renewal_risk", "high")),
    (("budget", "none"), ("budget", "available")),
    (("renewal_risk", "high"), ("renewal_risk", "low")),
)
_FIRST_DAY, _LATER_DAY = date(2026, 11, 10), date(2026, 11, 12)
_STRANGERS: Final = ("Rosalind Achterberg", "Ignatius Quill", "Petra Mondlane", "Osric Vantongeren")
_CONNECTED: Final = "f240bbac-87c9-4f6e-bf70-924b57d47db7"  # HubSpot's default disposition


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody the CRM knows at a firm."""

    contact_id: str
    company_id: str
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Staged:
    """Document ids of the staged pairs: later document to kind; calls with placed remarks; and all of them."""

    kind_of: Mapping[str, Kind]
    placed: frozenset[str]
    documents: frozenset[str]


def stage(made: GeneratedCompany, phrases: Phrases, seed: int) -> tuple[GeneratedCompany, Staged]:
    """The same company with staged contradictions in it, and which documents they are.

    Firms are taken that said nothing of the predicate since the first staged day, so that the staged remarks are last.
    """
    from sandbox.company.grammar import Bank

    writer = _Writer(Bank(phrases), Random(f"staged {seed}"), made)
    people = writer.people()
    kind_of: dict[str, Kind] = {}
    for number, person in enumerate(people[: MOST_OF_A_KIND * len(KINDS)]):
        kind = KINDS[number % len(KINDS)]
        earlier, later = _OPPOSITES[number // len(KINDS) % len(_OPPOSITES)]
        first, second = writer.sentence(*earlier), writer.sentence(*later)
        if kind == "in one transcript":
            remarks = [(1 / 8, *earlier, first), (7 / 8, *later, second)]
            document = writer.call(person, person.name, remarks, _FIRST_DAY)
        else:
            writer.mail(person, person.email, person.name, (*earlier, first), _FIRST_DAY)
            stranger = _STRANGERS[number % len(_STRANGERS)]
            if kind == "by a stranger's mail":
                address = f"{stranger.lower().replace(' ', '.')}@elsewhere-{number}.example"
                document = writer.mail(person, address, stranger, (*later, second), _LATER_DAY)
            else:
                document = writer.call(person, stranger, [(7 / 8, *later, second)], _LATER_DAY)
        kind_of[document] = kind
    placed: list[str] = []
    words: list[tuple[str, str, str]] = []
    for number, person in enumerate(people[::-1][:MOST_LONG_CALLS]):
        if number % 3 == 0:
            words = [(*what, writer.sentence(*what)) for what in _PLACED]
        remarks = [((2 * place + 1) / 6, *words[(number + place) % 3]) for place in range(3)]
        placed.append(writer.call(person, person.name, remarks, _FIRST_DAY))
    crm = replace(
        made.crm,
        objects=(*made.crm.objects, *writer.objects),
        associations=(*made.crm.associations, *writer.associations),
    )
    made.truth.facts.extend(writer.facts)
    return replace(made, crm=crm), Staged(kind_of, frozenset(placed), frozenset(writer.documents))


def judge(readings: Readings, held: Mapping[str, Held], staged: Staged) -> tuple[results.Rate, ...]:
    """Share of the staged pairs, both read, that the memory got right, per kind."""
    planted = [fact for fact in readings.planted if fact.document_id in staged.documents]
    found = [fact for fact in readings.found if fact.document_id in staged.documents]
    found_of = {pair.planted.id: pair.found for pair in matching.match(planted, found).matched}
    right: Counter[Kind] = Counter()
    total: Counter[Kind] = Counter()
    for pair in contradictions(planted, readings.single_valued):
        kind = staged.kind_of.get(pair.later.document_id)
        said = verdict(pair, found_of, held)
        if kind is None or said == "not both read":
            continue
        total[kind] += 1
        if kind == "in one transcript":
            right[kind] += said == "right" and held[found_of[pair.later.id].id].is_current
        else:
            right[kind] += held[found_of[pair.earlier.id].id].is_current
    return tuple(results.rate(kind, right[kind], total[kind]) for kind in KINDS)


def by_place(readings: Readings, staged: Staged) -> tuple[results.Rate, ...]:
    """Share of the remarks staged at known places that was read, per third of the call."""
    planted = [fact for fact in readings.planted if fact.document_id in staged.placed]
    found = [fact for fact in readings.found if fact.document_id in staged.placed]
    hit = {pair.planted.id for pair in matching.match(planted, found).matched}
    third = {fact.id: min(2, fact.start * 3 // readings.documents[fact.document_id].length) for fact in planted}
    return tuple(
        results.rate(
            name,
            sum(fact.id in hit for fact in planted if third[fact.id] == number),
            sum(third[fact.id] == number for fact in planted),
        )
        for number, name in enumerate(PLACES)
    )


class _Writer:
    """Writes the staged documents as CRM rows, and what is planted in them."""

    def __init__(self, bank: Bank, rng: Random, made: GeneratedCompany) -> None:
        self._bank, self._rng, self._made = bank, rng, made
        self._talk = _long_talk(made)
        self.objects: list[SeedObject] = []
        self.associations: list[SeedAssociation] = []
        self.facts: list[TruthFact] = []
        self.documents: list[str] = []

    def people(self) -> list[Person]:
        """One known person of every firm with nothing said lately, in a drawn order."""
        recent = {
            fact.company_id
            for fact in self._made.truth.facts
            if fact.predicate in {"budget", "renewal_risk"} and fact.said_on >= _FIRST_DAY
        }
        firm_of = {
            link.from_id: link.to_id
            for link in self._made.crm.associations
            if (link.from_type, link.to_type) == ("contacts", "companies")
        }
        found: dict[str, Person] = {}
        seen: Counter[str] = Counter()
        contacts = [item for item in self._made.crm.objects if item.object_type == "contacts"]
        seen.update(item.properties.get("email", "").lower() for item in contacts)
        for item in contacts:
            own = item.properties
            firm = firm_of.get(item.id)
            if firm is None or firm in recent or firm in found or item.archived_at or item.merged_into:
                continue
            if own.get("firstname") and own.get("lastname") and seen[own.get("email", "").lower()] == 1:
                name = f"{own['firstname']} {own['lastname']}"
                if "@" in own["email"] and not any(free in own["email"] for free in ("gmail", "outlook", "gmx", "web")):
                    found[firm] = Person(item.id, firm, name, own["email"])
        people = [found[firm] for firm in sorted(found)]
        self._rng.shuffle(people)
        return people

    def sentence(self, predicate: str, value: str) -> str:
        """One remark in the words of the bank."""
        core = self._bank.say(f"{predicate}.{value}", self._rng, {"currency": "€", "co": "we", "our": "Dana"})
        core = core[0].upper() + core[1:].rstrip(" ,;")
        return core if core[-1] in ".?!" else f"{core}."

    def mail(self, person: Person, address: str, name: str, remark: tuple[str, str, str], day: date) -> str:
        """File a short mail to us about the person's firm; returns its canonical id."""
        predicate, value, sentence = remark
        at = datetime(day.year, day.month, day.day, 10, 15, tzinfo=UTC)
        body = f"Hello,\n\nthank you for the call on Monday. {sentence}\n\nKind regards\n{name}"
        id_ = str(299_000_001 + len(self.objects))
        properties = {
            "hs_timestamp": _iso(at),
            "hs_email_subject": "Our call on Monday",
            "hs_email_text": body,
            "hs_email_direction": "INCOMING_EMAIL",
            "hs_email_status": "SENT",
            "hs_email_headers": "",
            "hs_email_from_email": address,
            "hs_email_to_email": self._made.crm.owners[0].email,
            "hs_email_cc_email": "",
            "hs_email_thread_id": f"staged-{id_}",
            "hubspot_owner_id": self._made.crm.owners[0].id,
            "hs_createdate": _iso(at),
            "hs_lastmodifieddate": _iso(at),
        }
        # A stranger's mail is filed under the firm alone.
        is_known = address == person.email
        self._file("emails", id_, properties, at, person, with_contact=is_known)
        self._plant("email", id_, (predicate, value, sentence), person, day, is_known=is_known)
        return self._keep("email", id_)

    def call(self, person: Person, name: str, remarks: Sequence[tuple[float, str, str, str]], day: date) -> str:
        """File an hour-long call with that speaker; returns its canonical id.

        Args:
            person: Whom the call is filed under, and whose firm.
            name: Who speaks, besides us.
            remarks: (place as a share of the turns, predicate, value, words), earliest first.
            day: Of the call.
        """
        at = datetime(day.year, day.month, day.day, 14, 0, tzinfo=UTC)
        ours = self._made.crm.owners[0]
        speakers = {True: f"{ours.first_name} {ours.last_name} (Harbourline)", False: name}
        turns = [(is_ours, text) for is_ours, text in self._talk]
        for place, _, _, sentence in reversed(remarks):
            turns.insert(round(len(self._talk) * place), (False, sentence))
        lines: list[str] = []
        for number, (is_ours, text) in enumerate(turns):
            second = number * 3600 // len(turns)
            lines.append(
                f"[{second // 3600:02d}:{second % 3600 // 60:02d}:{second % 60:02d}] {speakers[is_ours]}: {text}"
            )
        id_ = str(949_000_001 + len(self.objects))
        ended = at + timedelta(hours=1)
        properties = {
            "hs_timestamp": _iso(at),
            "hs_call_title": "Long talk",
            "hs_call_body": "\n".join(lines),
            "hs_call_direction": "OUTBOUND",
            "hs_call_disposition": _CONNECTED,
            "hs_call_duration": "3600000",
            "hs_call_status": "COMPLETED",
            "hs_call_has_transcript": "true",
            "hubspot_owner_id": ours.id,
            "hs_createdate": _iso(ended),
            "hs_lastmodifieddate": _iso(ended),
        }
        is_known = name == person.name
        self._file("calls", id_, properties, ended, person, with_contact=is_known)
        for _, *remark in remarks:
            predicate, value, sentence = remark
            self._plant("call", id_, (predicate, value, sentence), person, day, is_known=is_known)
        return self._keep("call", id_)

    def _file(
        self, table: str, id_: str, properties: dict[str, str], at: datetime, person: Person, *, with_contact: bool
    ) -> None:
        self.objects.append(SeedObject(table, id_, properties, at, at))
        self.associations.append(SeedAssociation(table, id_, "companies", person.company_id))
        if with_contact:
            self.associations.append(SeedAssociation(table, id_, "contacts", person.contact_id))

    def _plant(
        self, kind: str, id_: str, remark: tuple[str, str, str], person: Person, day: date, *, is_known: bool
    ) -> None:
        from sandbox.company.truth import TruthFact

        contact = person.contact_id if is_known else None
        predicate, value, sentence = remark
        self.facts.append(
            TruthFact(
                kind, id_, predicate, value, "affirmed", None, "theirs", sentence, True, contact, person.company_id, day
            )
        )

    def _keep(self, kind: str, id_: str) -> str:
        self.documents.append(f"hubspot:{kind}:{id_}")
        return self.documents[-1]


def _long_talk(made: GeneratedCompany) -> list[tuple[bool, str]]:
    """The turns of the company's longest call without anything planted in them: (is ours, words)."""
    calls = [item for item in made.crm.objects if item.object_type == "calls"]
    longest = max(calls, key=lambda item: len(item.properties.get("hs_call_body", "")))
    planted = [
        fact.quote for fact in made.truth.facts if (fact.document_type, fact.document_id) == ("call", longest.id)
    ]
    planted += [
        trap.quote for trap in made.truth.traps if (trap.document_type, trap.document_id) == ("call", longest.id)
    ]
    turns: list[tuple[bool, str]] = []
    for line in longest.properties.get("hs_call_body", "").split("\n"):
        head, colon, words = line.partition("): ")
        if colon and not _holds(line, planted):
            turns.append(("(Harbourline" in head, words))
    return turns


def _holds(line: str, quotes: Iterable[str]) -> bool:
    return any(quote in line for quote in quotes)


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
