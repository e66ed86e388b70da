"""Draws the contacts of each account: titles, seniority, persona, how they write, and their latent pull to buy."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from random import Random
from typing import Final

from sandbox.company.names import COUNTRIES, person, slug
from sandbox.company.world import Account, Contact, World, day_between
from sandbox.records import SeedOwner

FREEMAIL: Final = {"en": ("gmail.com", "outlook.com", "yahoo.com", "icloud.com", "hotmail.com"),
    "de": ("gmx.de", "web.de", "gmail.com"), "fr": ("orange.fr", "gmail.com"), "es": ("hotmail.com", "gmail.com"),
    "nl": ("gmail.com", "outlook.com")}  # fmt: skip
SENIORITY: Final = {"c_level": 9.0, "vp": 10.0, "director": 19.0, "manager": 34.0, "individual": 28.0}
_CORE: Final = (
    "Supply Chain",
    "Logistics",
    "Operations",
    "Procurement",
    "Warehouse",
    "Fulfilment",
    "Transport",
    "Inventory",
)
_ADJACENT: Final = ("IT", "Finance", "Ecommerce", "Planning", "Customer Service", "Digital")
_OTHER: Final = ("Marketing", "HR", "Legal", "Sales", "Quality", "Facilities", "Communications")
_C_TITLES: Final = {
    "core": (
        "Chief Operating Officer",
        "COO",
        "Chief Supply Chain Officer",
        "Managing Director, Logistics",
        "Chief Procurement Officer",
    ),
    "adjacent": ("Chief Information Officer", "CFO", "Chief Financial Officer", "CIO", "Chief Digital Officer"),
    "other": ("Chief Executive Officer", "Managing Director", "Founder & CEO", "Chief Marketing Officer", "Owner"),
}
_PATTERNS: Final = {
    "vp": ("VP {f}", "Vice President, {f}", "SVP {f}", "VP of {f}", "Head of {f}, Europe"),
    "director": ("Director of {f}", "{f} Director", "Head of {f}", "Senior Director, {f}", "Regional {f} Director"),
    "manager": ("{f} Manager", "Manager, {f}", "Senior {f} Manager", "{f} Team Lead", "Site {f} Manager"),
    "individual": (
        "{f} Analyst",
        "{f} Coordinator",
        "{f} Specialist",
        "{f} Planner",
        "{f} Assistant",
        "Junior {f} Analyst",
    ),
}
_FOREIGN_TITLES: Final = {
    "de": {"c_level": ("Geschäftsführer",), "vp": ("Bereichsleiter {f}",), "director": ("Leiter {f}",),
    "manager": ("Teamleiter {f}",), "individual": ("Sachbearbeiter {f}", "Disponent")},
    "fr": {"c_level": ("Directeur général",), "vp": ("Directeur {f}",), "director": ("Responsable {f}",),
    "manager": ("Chef de service {f}",), "individual": ("Chargé de {f}",)},
    "es": {"c_level": ("Director General",), "vp": ("Director de {f}",), "director": ("Jefe de {f}",),
    "manager": ("Responsable de {f}",), "individual": ("Técnico de {f}",)},
    "nl": {"c_level": ("Algemeen directeur",), "vp": ("Directeur {f}",), "director": ("Hoofd {f}",),
    "manager": ("Teamleider {f}",), "individual": ("Medewerker {f}",)},
}  # fmt: skip
_FOREIGN_FUNCTIONS: Final = {
    "de": {"core": ("Logistik", "Supply Chain", "Einkauf", "Lager"), "adjacent": ("IT", "Controlling"),
    "other": ("Vertrieb", "Personal")},
    "fr": {"core": ("logistique", "supply chain", "achats", "transport"), "adjacent": ("informatique", "finance"),
    "other": ("marketing", "qualité")},
    "es": {"core": ("logística", "operaciones", "compras", "almacén"), "adjacent": ("sistemas", "finanzas"),
    "other": ("ventas", "calidad")},
    "nl": {"core": ("logistiek", "supply chain", "inkoop", "magazijn"), "adjacent": ("ICT", "financiën"),
    "other": ("verkoop", "kwaliteit")},
}  # fmt: skip
PERSONA_PULL: Final = {"decision_maker": 0.75, "champion": 0.6, "influencer": 0.1, "gatekeeper": -0.6, "unknown": -0.8}
SENIORITY_PULL: Final = {"c_level": 0.35, "vp": 0.35, "director": 0.3, "manager": 0.0, "individual": -0.5}
FUNCTION_PULL: Final = {"core": 0.45, "adjacent": 0.0, "other": -1.0, "unknown": -0.4}


def draw_title(rng: Random, language: str, seniority: str, function: str) -> str:
    """A job title as somebody would have it on a card."""
    if language in _FOREIGN_TITLES and rng.random() < 0.4:
        word = rng.choice(_FOREIGN_FUNCTIONS[language][function])
        return rng.choice(_FOREIGN_TITLES[language][seniority]).format(f=word)
    if seniority == "c_level":
        return rng.choice(_C_TITLES[function])
    word = rng.choice({"core": _CORE, "adjacent": _ADJACENT, "other": _OTHER}[function])
    return rng.choice(_PATTERNS[seniority]).format(f=word)


def draw_persona(rng: Random, seniority: str, function: str) -> str:
    """What part a person plays in a purchase; title says much of it, not all."""
    if rng.random() < 0.07:
        return "unknown"
    if function == "other":
        return rng.choices(
            ("decision_maker", "influencer", "gatekeeper", "unknown"), (12 if seniority == "c_level" else 1, 3, 6, 4)
        )[0]
    table = {
        "c_level": (75, 5, 15, 5), "vp": (60, 17, 18, 5), "director": (42, 28, 25, 5), "manager": (9, 34, 42, 15),
        "individual": (1, 18, 41, 40),
    }[seniority]  # fmt: skip
    if function == "adjacent":
        table = (table[0] * 0.6, table[1] * 0.6, table[2] * 1.4, table[3] * 1.4)
    return rng.choices(("decision_maker", "champion", "influencer", "gatekeeper"), table)[0]


def email_for(rng: Random, first: str, last: str, domain: str, style: int) -> str:
    """A work address in the firm's own style, the same for all its people."""
    f, s = slug(first) or "info", slug(last) or "office"
    return (f"{f}.{s}", f"{f[0]}.{s}", f"{f[0]}{s}", f"{f}{s[0]}", f"{f}_{s}", f"{s}.{f}")[style] + "@" + domain


def phone_for(rng: Random, country: str) -> str:
    """A number nobody has: the 555-01xx range in America, similarly fictional ones elsewhere."""
    prefix = COUNTRIES[country].phone
    if prefix == "+1":
        return f"+1 {rng.randint(201, 989)} 555 01{rng.randint(0, 99):02d}"
    return f"{prefix} {rng.randint(20, 89)} 5550 {rng.randint(100, 999)}"


def draw_contact(
    world: World, rng: Random, account: Account | None, owner: SeedOwner | None, domain_style: int, taken: set[str]
) -> Contact:
    """One person of an account (or of none)."""
    country = account.country if account else rng.choice(tuple(COUNTRIES))
    info = COUNTRIES[country]
    first, last = person(rng, info.locale)
    seniority = rng.choices(list(SENIORITY), list(SENIORITY.values()))[0]
    function = rng.choices(("core", "adjacent", "other"), (58, 27, 15))[0]
    persona = draw_persona(rng, seniority, function)
    language = info.language if rng.random() < (0.55 if info.language != "en" else 1) else "en"
    if account is None or rng.random() < 0.025:
        free = FREEMAIL[language if language in FREEMAIL else "en"]
        number = rng.randint(1, 99) if rng.random() < 0.5 else ""
        email = f"{slug(first)}{rng.choice(('.', '', '_'))}{slug(last)}{number}@{rng.choice(free)}"
    else:
        email = email_for(rng, first, last, account.domain, domain_style)
    while email in taken:
        local, _, host = email.partition("@")
        email = f"{local}{rng.randint(2, 99)}@{host}"
    taken.add(email)
    title = draw_title(rng, language, seniority, function) if rng.random() > 0.075 else ""
    fit = account.fit if account else 0.3
    heat = account.heat if account else -0.5
    intent = (
        2.4 * (fit - 0.7)
        + 0.75 * heat
        + PERSONA_PULL[persona]
        + SENIORITY_PULL[seniority]
        + FUNCTION_PULL[function]
        + rng.gauss(0, 0.7)
    )
    earliest = account.created.date() if account else world.start.date()
    created = datetime.combine(
        day_between(rng, earliest, world.today - timedelta(days=60)),
        time(8 + int(rng.random() * 9), int(rng.random() * 60)),
        tzinfo=UTC,
    )
    if account and account.status in ("customer", "churned") and rng.random() < 0.7:
        created = max(
            account.created,
            datetime.combine(world.today - timedelta(days=rng.randint(500, 640)), time(10, 5), tzinfo=UTC),
        )
    return Contact(
        id=world.new_id("contacts"), first=first, last=last, email=email, title=title, function=function,
            seniority=seniority, persona=persona, language=language,
        phone=phone_for(rng, country) if rng.random() > 0.35 else "", account=account, owner=owner, created=created,
            intent=intent,
        register=rng.choices(("terse", "chatty", "formal", "typos", "plain"), (18, 22, 18, 12, 30))[0],
    )  # fmt: skip


def draw_people(world: World, count: int) -> None:
    """Fills `world.contacts` with exactly `count` people spread over the accounts, a few without any."""
    rng = world.stream("people")
    taken: set[str] = set()
    weights = [
        (0.35 + rng.paretovariate(1.9)) * (1.5 if a.status in ("customer", "open", "churned") else 1.0)
        for a in world.accounts
    ]
    styles = {account.id: rng.randrange(6) for account in world.accounts}
    slots: list[Account | None] = list(world.accounts[:count])
    slots += rng.choices(world.accounts, weights, k=max(0, count - len(slots)))
    for index in range(len(world.accounts), len(slots)):
        if rng.random() < 0.013:
            slots[index] = None
    for account in slots:
        owner = (account.owner if rng.random() > 0.05 else None) if account else None
        contact = draw_contact(world, rng, account, owner, styles[account.id] if account else 0, taken)
        world.contacts.append(contact)
        if account:
            account.contacts.append(contact)
    for account in world.accounts:
        _cast(rng, account)


def _cast(rng: Random, account: Account) -> None:
    """Decides who argues for us at the account; accounts that bought nearly always have somebody."""
    ranked = sorted(account.contacts, key=lambda c: (-(PERSONA_PULL[c.persona] + FUNCTION_PULL[c.function]), c.id))
    for contact in ranked:
        if contact.persona == "champion" and (account.status in ("customer", "churned", "open") or rng.random() < 0.3):
            contact.role = "champion"
            break
