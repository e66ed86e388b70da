"""A made-up company world with known truth: who is on record twice, how differently, and who only looks like it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from tests.identity_kit import account, person

_SYLLABLES = ("ba", "ber", "bru", "dan", "del", "fen", "gar", "hal", "hol", "kel", "kor", "lan", "len", "mar", "mer")
_SYLLABLES += ("nor", "pel", "ram", "ros", "sal", "sen", "tar", "tor", "val", "ven", "wil", "win", "zel", "dor", "gol")
_ENDINGS = ("er", "mann", "son", "sky", "ini", "ez", "ard", "ton", "berg", "feld", "stein", "ova", "quist", "well")
_WORDS = ("Nord", "Sued", "Alpen", "Delta", "Hafen", "Kern", "Linden", "Orbit", "Prisma", "Quarz", "Ridge", "Sigma")
_WORDS += ("Tempo", "Union", "Vista", "Wald", "Zenit", "Argo", "Bora", "Cobalt", "Dune", "Elm", "Falk", "Granit")
_TRADES = ("Freight", "Foods", "Textil", "Machinery", "Pharma", "Retail", "Logistics", "Paper", "Glass", "Tools")
_GIVEN = (
    "Robert", "William", "James", "Elizabeth", "Katherine", "Michael", "Thomas", "Christopher", "Johannes",
    "Wolfgang", "Matthias", "Sabine", "Claudia", "Stefanie", "Monika", "Andreas", "Martina", "Friedrich",
    "Ulrich", "Helena", "Giulia", "Marco", "Lorenzo", "Camille", "Antoine", "Margaret", "Daniel", "Anthony",
    "Samuel", "Joseph", "Patricia", "Beatrice", "Edward", "Richard", "Susan", "Deborah", "Gregory", "Nicholas",
    "Philip", "Raymond", "Victoria", "Jessica", "Rebecca", "Benjamin", "Alexander", "Maximilian", "Katharina",
    "Johanna", "Gerhard", "Gabriele", "Heinrich", "Barbara", "Cornelia", "Detlef", "Eleonore", "Florian",
    "Gudrun", "Henning", "Ingrid", "Joachim", "Karsten", "Lieselotte", "Manfred", "Norbert", "Ottilie", "Petra",
    "Reinhard", "Silke",
)  # fmt: skip
_NICK = {
    "Robert": "Bob", "William": "Bill", "Elizabeth": "Liz", "Katherine": "Kate", "Michael": "Mike", "Thomas": "Tom",
    "Christopher": "Chris", "Margaret": "Peggy", "Daniel": "Dan", "Samuel": "Sam", "Joseph": "Joe", "Edward": "Ted",
    "Richard": "Dick", "Benjamin": "Ben", "Alexander": "Alex", "Maximilian": "Max", "Nicholas": "Nick", "Susan": "Sue",
}  # fmt: skip
_CITIES = ("Berlin", "Hamburg", "Lyon", "Leeds", "Porto", "Graz", "Turin", "Bergen", "Ghent", "Cork", "Boston")


@dataclass
class Truth:
    """Rows for the identity models, and which pairs are the same person or account for real."""

    contacts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    companies: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    people: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    accounts: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    traps: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])


def _family(rng: random.Random) -> str:
    return ("".join(rng.choice(_SYLLABLES) for _ in range(rng.choice((1, 2)))) + rng.choice(_ENDINGS)).title()


def _slip(rng: random.Random, word: str) -> str:
    at = rng.randrange(1, len(word) - 1)
    return rng.choice(
        (word[:at] + word[at + 1] + word[at] + word[at + 2 :] if at + 2 < len(word) else word[:at] + word[at:],
         word[:at] + word[at + 1 :], word[:at] + rng.choice("aeiou") + word[at + 1 :])
    )  # fmt: skip


def make(size: int, seed: int = 1, *, emails: float = 0.5) -> Truth:
    """`size` people in HubSpot and about as many in Salesforce, half of them the same.

    Args:
        size: People in HubSpot.
        seed: Of everything that is drawn.
        emails: Share of the twins that have the same address on both sides; the others must be weighed.
    """
    rng = random.Random(seed)
    truth = Truth()
    firms = [_firm(rng, number) for number in range(max(size // 6, 5))]
    for number, (name, domain, city) in enumerate(firms):
        truth.companies.append(account(f"hubspot:{number}", name, domain, city=city, country="Germany"))
        if number % 2 == 0:
            form = rng.choice(("GmbH", "AG", "Ltd.", ""))
            site = domain if rng.random() < 0.6 else None
            truth.companies.append(
                account(f"salesforce:{number}", f"{name} {form}".strip(), site, city=city, country="DE")
            )
            truth.accounts.add((f"hubspot:company:{number}", f"salesforce:company:{number}"))
    families = [_family(rng) for _ in range(max(size // 3, 40))]
    for number in range(size):
        given, family = rng.choice(_GIVEN), rng.choice(families)
        firm = rng.choice(firms)
        mine = _row(rng, f"hubspot:{number}", given, family, firm)
        truth.contacts.append(mine)
        kind = "lead" if rng.random() < 0.3 else "contact"
        twin = f"salesforce:{kind}:{number}"
        pair = (f"hubspot:contact:{number}", twin)
        if number % 2 == 0:
            row, how = _twin(rng, twin, mine, given, family, firm, emails)
            truth.contacts.append(row)
            truth.people[pair] = how
        else:
            other = _somebody_else(rng, twin, mine, given, family, firm, firms, families)
            if other is not None:
                row, how = other
                truth.contacts.append(row)
                truth.traps[pair] = how
    return truth


def _firm(rng: random.Random, number: int) -> tuple[str, str, str]:
    name = f"{rng.choice(_WORDS)}{rng.choice(_SYLLABLES)}{rng.choice(_SYLLABLES)} {rng.choice(_TRADES)}"
    return name, name.lower().replace(" ", "-") + f"{number}.example", rng.choice(_CITIES)


def _row(rng: random.Random, record: str, given: str, family: str, firm: tuple[str, str, str]) -> dict[str, Any]:
    local = f"{given}.{family}".lower()
    return person(
        record,
        given,
        family,
        email=f"{local}@{firm[1]}",
        phone=f"+49 {rng.randrange(30, 999)} {rng.randrange(1_000_000, 9_999_999)}" if rng.random() < 0.6 else None,
        company_name=firm[0],
        city=firm[2],
        country="Germany",
        job_title=rng.choice(("Head of Logistics", "Buyer", "CFO", "Planner", "IT Manager", "Owner")),
    )


def _twin(
    rng: random.Random,
    record: str,
    mine: dict[str, Any],
    given: str,
    family: str,
    firm: tuple[str, str, str],
    emails: float,
) -> tuple[dict[str, Any], str]:
    row = {**mine, **person(record, given, family)}
    if rng.random() < emails:
        row["first_name"] = _NICK.get(given, given)
        return row, "same address"
    row["email"] = rng.choice((None, f"{family.lower()}{rng.randrange(1000)}@gmail.com"))
    how = rng.choice(("plain", "typo", "nickname", "swapped", "initial", "whole name in one field", "new company"))
    if how == "typo":
        row["last_name"] = _slip(rng, family)
    elif how == "nickname":
        row["first_name"] = _NICK.get(given, given)
    elif how == "swapped":
        row["first_name"], row["last_name"] = family, given
    elif how == "initial":
        row["first_name"] = given[0] + "."
    elif how == "whole name in one field":
        row["first_name"], row["last_name"] = None, f"{family}, {given}"
    elif how == "new company":
        row["company_name"], row["job_title"] = "Somewhere Else", "Consultant"
    if rng.random() < 0.3:
        row["phone"] = None
    return row, how


def _somebody_else(
    rng: random.Random,
    record: str,
    mine: dict[str, Any],
    given: str,
    family: str,
    firm: tuple[str, str, str],
    firms: list[tuple[str, str, str]],
    families: list[str],
) -> tuple[dict[str, Any], str] | None:
    how = rng.choice(
        ("stranger", "father and son", "junior", "spouse at one address", "same name elsewhere", "colleague", "sister")
    )
    other = rng.choice([name for name in _GIVEN if name[0] != given[0]])
    elsewhere = rng.choice([one for one in firms if one != firm])
    if how == "stranger":
        return _row(rng, record, other, rng.choice(families), elsewhere), how
    row = {**mine, **person(record, given, family)}
    if how == "father and son":
        row |= {"first_name": other, "email": f"{other}.{family}@{firm[1]}".lower()}
    elif how == "junior":
        row |= {"last_name": f"{family} jun.", "email": f"{given}.{family}.jun@{firm[1]}".lower()}
    elif how == "spouse at one address":
        row |= {"first_name": other}
    elif how == "same name elsewhere":
        row |= _row(rng, record, given, family, elsewhere)
    elif how == "colleague":
        row |= {"first_name": other, "last_name": rng.choice([f for f in families if f != family]), "email": None}
    else:
        row |= {"first_name": given + "elle", "email": None}
    return row, how
