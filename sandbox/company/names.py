"""Names of people, firms and places, by country. People from Faker's lists; every firm's domain ends in `.example`."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from random import Random
from typing import Any, Final


# country -> (share of firms, Faker locale, language, legal forms, phone prefix, UTC offset in hours, cities)
@dataclass(frozen=True, slots=True)
class Country:
    """What a country brings along: share of the sample, names, language, legal forms, cities."""

    share: float
    locale: str
    language: str
    legal: tuple[str, ...]
    phone: str
    utc_offset: int
    cities: tuple[str, ...]


COUNTRIES: Final[dict[str, Country]] = {
    "United States": Country(34, "en_US", "en", ("Inc", "LLC", "Co", "Corp", ""), "+1", -6,
    ("Memphis", "Louisville", "Columbus", "Atlanta", "Savannah", "Reno", "Chicago", "Dallas", "Kansas City",
    "Charlotte", "Long Beach", "Newark", "Tacoma", "Allentown", "Joliet", "Houston", "Phoenix", "Indianapolis")),
    "Canada": Country(6, "en_US", "en", ("Ltd", "Inc", ""), "+1", -5,
    ("Mississauga", "Calgary", "Surrey", "Montreal", "Halifax", "Winnipeg")),
    "United Kingdom": Country(15, "en_GB", "en", ("Ltd", "plc", "Group", ""), "+44", 0,
    ("Daventry", "Felixstowe", "Leeds", "Bristol", "Southampton", "Doncaster", "Coventry", "Liverpool", "Glasgow",
    "Milton Keynes", "Corby")),
    "Ireland": Country(3, "en_GB", "en", ("Ltd", "DAC", ""), "+353", 0, ("Dublin", "Cork", "Shannon", "Athlone")),
    "Netherlands": Country(8, "nl_NL", "nl", ("BV", "NV", "Groep"), "+31", 1,
    ("Rotterdam", "Venlo", "Tilburg", "Waalwijk", "Eindhoven", "Zwolle")),
    "Germany": Country(12, "de_DE", "de", ("GmbH", "AG", "GmbH & Co. KG", "SE"), "+49", 1,
    ("Hamburg", "Duisburg", "Bremen", "Nürnberg", "Leipzig", "Köln", "Kassel", "Mannheim")),
    "France": Country(7, "fr_FR", "fr", ("SA", "SAS", "SARL"), "+33", 1,
    ("Lyon", "Lille", "Le Havre", "Marseille", "Orléans", "Metz")),
    "Spain": Country(5, "es_ES", "es", ("SL", "SA"), "+34", 1,
    ("Valencia", "Zaragoza", "Barcelona", "Bilbao", "Sevilla")),
    "Belgium": Country(3, "nl_NL", "nl", ("NV", "BV"), "+32", 1, ("Antwerp", "Ghent", "Liège")),
    "Austria": Country(2, "de_DE", "de", ("GmbH", "AG"), "+43", 1, ("Linz", "Graz", "Wien")),
    "Switzerland": Country(2, "de_DE", "de", ("AG", "GmbH"), "+41", 1, ("Basel", "Olten", "Zürich")),
    "Italy": Country(2, "it_IT", "en", ("SpA", "Srl"), "+39", 1, ("Bologna", "Genova", "Verona")),
    "Sweden": Country(2, "sv_SE", "en", ("AB",), "+46", 1, ("Jönköping", "Göteborg", "Malmö")),
    "Australia": Country(1.5, "en_GB", "en", ("Pty Ltd",), "+61", 10, ("Melbourne", "Brisbane", "Perth")),
    "Singapore": Country(1, "en_GB", "en", ("Pte Ltd",), "+65", 8, ("Singapore",)),
    "Mexico": Country(1.5, "es_ES", "es", ("SA de CV",), "+52", -6, ("Monterrey", "Querétaro", "Tijuana")),
    "Poland": Country(1, "en_GB", "en", ("Sp. z o.o.",), "+48", 1, ("Poznań", "Łódź", "Wrocław")),
}  # fmt: skip
SERVED: Final = frozenset(
    {"United States", "Canada", "United Kingdom", "Ireland", "Netherlands", "Germany", "France", "Spain"}
)
PARTLY_SERVED: Final = frozenset(
    {"Belgium", "Austria", "Switzerland", "Italy", "Portugal", "Denmark", "Sweden", "Norway"}
)

# industry -> (share, words a firm of that kind is called after)
INDUSTRIES: Final[dict[str, tuple[float, tuple[str, ...]]]] = {
    "LOGISTICS_AND_SUPPLY_CHAIN": (17, ("Freight", "Logistics", "Forwarding", "Haulage", "Shipping", "Lines", "Cargo",
    "Transport", "Warehousing", "Fulfilment")),
    "WHOLESALE": (13, ("Wholesale", "Trading", "Distribution", "Supply", "Imports", "Merchants", "Traders")),
    "RETAIL": (12, ("Stores", "Outfitters", "Homeware", "Market", "Retail", "Garden Centres", "Sports", "Pet Supply")),
    "CONSUMER_GOODS": (10, ("Home", "Brands", "Appliances", "Toys", "Cosmetics", "Household", "Cycles", "Lighting")),
    "FOOD_PRODUCTION": (10, ("Foods", "Dairy", "Bakery", "Farms", "Beverages", "Mills", "Seafood", "Provisions")),
    "AUTOMOTIVE": (5, ("Motors", "Auto Parts", "Driveline", "Castings")),
    "MACHINERY": (6, ("Machine Works", "Pumps", "Engineering", "Hydraulics", "Tooling")),
    "TEXTILES": (4, ("Textiles", "Apparel", "Mills", "Fabrics", "Footwear")),
    "PHARMACEUTICALS": (4, ("Pharma", "Labs", "Medical", "Health Supply")),
    "CHEMICALS": (4, ("Chemicals", "Coatings", "Polymers", "Adhesives")),
    "COMPUTER_SOFTWARE": (4, ("Software", "Systems", "Digital")),
    "CONSTRUCTION": (4, ("Construction", "Building Supply", "Builders")),
    "EDUCATION_MANAGEMENT": (2, ("Academy", "Learning")),
    "HOSPITALITY": (2, ("Hotels", "Hospitality", "Catering")),
    "GAMBLING_CASINOS": (1.2, ("Gaming", "Casinos")),
    "TOBACCO": (1, ("Tobacco", "Leaf")),
    "POLITICAL_ORGANIZATION": (0.6, ("Campaign Office", "Alliance")),
}  # fmt: skip
CORE_INDUSTRIES: Final = ("LOGISTICS_AND_SUPPLY_CHAIN", "WHOLESALE", "RETAIL", "CONSUMER_GOODS", "FOOD_PRODUCTION")
ADJACENT_INDUSTRIES: Final = ("AUTOMOTIVE", "MACHINERY", "TEXTILES", "PHARMACEUTICALS", "CHEMICALS")
DISQUALIFIED_INDUSTRIES: Final = ("GAMBLING_CASINOS", "TOBACCO", "POLITICAL_ORGANIZATION")

_FIRST_PARTS: Final = (
    "Alder", "Amber", "Anchor", "Arden", "Ash", "Bay", "Beacon", "Birch", "Black", "Blue", "Bram", "Bridge", "Bright",
    "Brook", "Calder", "Camber", "Castle", "Cedar",
    "Clear", "Clover", "Cobalt", "Copper", "Coral", "Crest", "Cross", "Dale", "Dray", "East", "Eagle", "Elder",
    "Ember", "Fair", "Falcon", "Fern", "Field", "Flint",
    "Fox", "Glen", "Gold", "Granite", "Green", "Grey", "Hale", "Hart", "Haven", "Hazel", "Heron", "High", "Holm",
    "Iron", "Ivy", "Juniper", "Keel", "Kestrel", "Kings",
    "Lake", "Lang", "Larch", "Lark", "Linden", "Long", "Maple", "Marl", "Meadow", "Mill", "Moor", "Nether", "North",
    "Oak", "Old", "Orchard", "Otter", "Over", "Park",
    "Pearl", "Pine", "Quarry", "Quay", "Raven", "Red", "Ridge", "River", "Rowan", "Salt", "Sand", "Silver", "South",
    "Spring", "Stan", "Steel", "Stone", "Summer",
    "Swift", "Thorn", "Tide", "Timber", "Upper", "Vale", "Wake", "West", "White", "Wild", "Wind", "Winter", "Wood",
    "Wren", "Yarrow",
)  # fmt: skip
_LAST_PARTS: Final = ("wick", "ton", "ford", "field", "gate", "haven", "mere", "port", "stone", "brook", "dale",
    "well", "worth", "ley", "bridge", "crest", "way", "land", "market", "point", "hurst", "side", "mark",
    "burn")  # fmt: skip
_SECOND_WORDS: Final = ("Harbour", "Valley", "Hill", "Coast", "Bridge", "Point", "Star", "Line")
_NAMED_LOCALES: Final = ("en_US", "en_GB", "de_DE", "fr_FR", "es_ES", "nl_NL", "it_IT", "sv_SE")


@lru_cache(maxsize=16)
def people_of(locale: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """First and last names of a locale, sorted, from Faker's word lists (8,000 names in milliseconds)."""
    provider: Any = import_module(f"faker.providers.person.{locale}").Provider
    first = [*provider.first_names_female, *provider.first_names_male]
    last = provider.last_names
    firsts = sorted({str(name) for name in first if " " not in name})
    lasts = sorted({name for name in map(str, last) if len(name) < 16})  # a weighted list iterates over its names
    return tuple(firsts), tuple(lasts)


def person(rng: Random, locale: str) -> tuple[str, str]:
    """A first and a last name; now and then somebody from elsewhere, as in any office."""
    if rng.random() < 0.08:
        locale = _NAMED_LOCALES[int(rng.random() * len(_NAMED_LOCALES))]
    firsts, lasts = people_of(locale)
    return firsts[int(rng.random() * len(firsts))], lasts[int(rng.random() * len(lasts))]


def slug(text: str) -> str:
    """Lower-case ASCII letters and digits only."""
    text = text.replace("ß", "ss").replace("ø", "o").replace("ł", "l").replace("Ł", "L").replace("æ", "ae")
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "", plain.lower())


def firm_name(rng: Random, industry: str, country: str, taken: set[str]) -> tuple[str, str]:
    """A firm's name with its legal form, and its domain; both new (`taken` holds the domains so far)."""
    words = INDUSTRIES[industry][1]
    legal = COUNTRIES[country].legal
    locale = COUNTRIES[country].locale
    while True:
        kind = rng.random()
        word = words[int(rng.random() * len(words))]
        if kind < 0.5:
            stem = rng.choice(_FIRST_PARTS) + rng.choice(_LAST_PARTS)
        elif kind < 0.72:
            stem = people_of(locale)[1][int(rng.random() * len(people_of(locale)[1]))]
        elif kind < 0.84:
            stem = f"{person(rng, locale)[1]} & {person(rng, locale)[1]}"
        elif kind < 0.93:
            stem = rng.choice(COUNTRIES[country].cities)
        else:
            stem = f"{rng.choice(_FIRST_PARTS)} {rng.choice(_SECOND_WORDS)}"
        form = rng.choice(legal)
        name = f"{stem} {word} {form}".strip()
        domain = f"{slug(stem)}-{slug(word)}.example" if rng.random() < 0.5 else f"{slug(stem + word)}.example"
        if domain not in taken and not domain.startswith("-"):
            taken.add(domain)
            return name, domain


def short_name(name: str) -> str:
    """The firm's name as people say it: without its legal form."""
    return re.sub(
        r"\s+(GmbH & Co\. KG|SA de CV|Sp\. z o\.o\.|Pty Ltd|Pte Ltd|Inc|LLC|Co|Corp|Ltd|plc"
        r"|Group|DAC|BV|NV|Groep|GmbH|AG|SE|SAS|SARL|SA|SL|SpA|Srl|AB)$",
        "",
        name,
    )
