"""The evidence check: what a sentence claims must stand in what it cites. Pure; the same for every agent.

Matching is exact after normalisation (NFKC, case, quotes, dashes, white space, zero-width). Fuzzy matching is not an
option: at 90 % similarity it accepts most quotes with one word changed to "not".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Literal

from enrich import claims
from enrich.context import Context, FactLine, Side
from enrich.normal import ZERO_WIDTH, normalise
from enrich.spans import Span
from enrich.words import COMMON_OPENERS, KNOWN_ACRONYMS

EvidenceKind = Literal["fact", "field", "span"]

MAX_SENTENCE_CHARS = 400
NAME_FIELDS = (".name", ".job_title", ".title")
MAX_CITED = 12  # what rests on everything can take its words from anywhere

# Characters that change how the rest of a text is shown: a CRM note must not carry them.
# So do letters and marks that show nothing, and marks piled up on one letter.
_UNSAFE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\u200e\u200f\ufff9-\ufffb"
    r"\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]"
    r"|[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]{3}"
)
# A tag needs no end: a browser closes it at the next `>` of the page.
_MARKUP = re.compile(r"<[/a-z!?]|!?\[[^\]]*\][(\[]|[`|{}]|\{\{|\{%|&(?:#\w+|[a-z]{2,31});", re.IGNORECASE)
_URL = re.compile(
    r"(?:\b[a-z][a-z0-9+.-]{1,15}://|\bwww\.|\b(?:mailto|tel|javascript|data|file):|\S+@\S+\.\S"
    r"|\b[\w-]{2,}(?:[.\u3002][\w-]{2,})*[.\u3002][^\W\d_]{2,24}\b(?!-)|\b\d{1,3}(?:\.\d{1,3}){3}\b"
    # Written so that only a person puts it together: `example[.]com`, `example dot com`, `me (at) example`, `hxxp`.
    r"|[\[({]\s?(?:\.|dot|punkt|point|punto|at|@)\s?[\])}]|\bhxxps?\b|[:/\\]{1,2}\\\\"
    r"|\w\s+(?:\.|dot|punkt)\s*(?:com|net|org|info|biz|io|ai|app|dev|co|eu|uk|de|fr|es|nl|example)\b)",
    re.IGNORECASE,
)
# A number to call: a seller rings nobody because a model says so; contact data stands in the CRM.
_PHONE = re.compile(
    r"(?<![\w.,-])(?:\+\s?\d[\d\s()./-]{6,}\d|\(0\)[\d\s()./-]{5,}\d|\(?0\d[\d\s()./-]{5,}\d"
    r"|\d{2,4}(?:[ /-]\d{2,4}){2,}(?![\w-]))"
)
# How a sentence begins: what a spreadsheet or a page would read as its own sign is no sentence.
_BEGINS = re.compile(r"[\w\"'“„‘‚«»¿¡(€$£§]")


# --- what may be cited -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shown:
    """One thing the agent was shown and may cite by id.

    Attributes:
        id: Fact id, field id or span id, as shown.
        kind: What it is.
        evidence_id: The id under which the ledger keeps it (spans become `document_id#start-end`).
        quote: The words that are kept as evidence.
        side: Whose words they are; `unknown` for fields.
        supports: All text that a claim may be found in (quote, value, dates).
        days: Days it names: valid date, the date it speaks of, dates in fields. (year, month, day) with 0 for "any".
        fact: The fact, when it is one.
        source: What the words stand in, where its id does not say so; copies of one text share it.
    """

    id: str
    kind: EvidenceKind
    evidence_id: str
    quote: str
    side: Side
    supports: str
    days: tuple[tuple[int, int, int], ...] = ()
    fact: FactLine | None = field(default=None, compare=False)
    source: str = ""


_ISO = re.compile(r"\b(\d{4})-(\d{2})(?:-(\d{2}))?\b")


def shown_in(context: Context, spans: Sequence[Span], record_id: str) -> dict[str, Shown]:
    """Everything an agent may cite for this record, by the id it was shown under."""
    items: dict[str, Shown] = {}
    for name, value in context.fields.items():
        items[name] = Shown(name, "field", name, value, "unknown", value, iso_days(value))
    for fact in context.facts:
        until = fact.until.isoformat() if fact.until else ""
        items[fact.id] = Shown(
            id=fact.id,
            kind="fact",
            evidence_id=fact.id,
            quote=fact.quote,
            side=fact.side,
            supports=f"{fact.quote} {fact.value} {until} {fact.day.isoformat()}",
            days=iso_days(f"{fact.day.isoformat()} {until} {fact.value}"),
            fact=fact,
        )
    for item in context.documents:
        items[item.id] = Shown(
            item.id,
            "field",
            item.id,
            item.subject,
            item.side,
            f"{item.subject} {item.day.isoformat()}",
            iso_days(item.day.isoformat()),
        )
    for span in spans:
        items[span.id] = Shown(
            span.id,
            "span",
            f"{record_id}#{span.start}-{span.end}",
            span.text,
            span.side,
            f"{span.text} {span.author}",
            iso_days(span.text),
        )
    return items


def iso_days(text: str) -> tuple[tuple[int, int, int], ...]:
    """Days and months written as `2026-10-05` or `2026-10`, as (year, month, day) with 0 for "any"."""
    return tuple((int(match[1]), int(match[2]), int(match[3] or 0)) for match in _ISO.finditer(text))


# --- claims ----------------------------------------------------------------------------------------------------------

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan", "february feb", "march mar", "april apr", "may", "june jun", "july jul", "august aug",
            "september sep sept", "october oct", "november nov", "december dec",
        ),
        start=1,
    )
    for name in names.split()
}  # fmt: skip
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
# Dates as people write them: 5 October 2026, October 5th, October 2026, 2026-10-05, 2026-10, October. "may" alone is a verb.  # noqa: E501
_DATE = re.compile(
    rf"\b(?P<y1>\d{{4}})-(?P<m1>\d{{2}})(?:-(?P<d1>\d{{2}}))?\b"
    rf"|\b(?P<d2>\d{{1,2}})(?:st|nd|rd|th)? (?:of )?(?P<m2>{_MONTH})\b\.?(?:,? (?P<y2>\d{{4}})\b)?"
    rf"|\b(?P<m3>{_MONTH})\.? (?P<d3>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? (?P<y3>\d{{4}})\b)?"
    rf"|\b(?P<m4>{_MONTH})\.?,? (?P<y4>\d{{4}})\b"
    rf"|\b(?P<m5>{_MONTH})\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"(?P<money>[$€£]\s?)?(?P<digits>(?:\d{1,3}(?:[.,' ]\d{3})+(?!\d)|\d+)(?:[.,]\d+)?)(?P<nth>(?:st|nd|rd|th)\b)?(?:\s?(?P<scale>k|m|bn|thousand|million|billion)\b)?(?P<percent>\s?(?:%|percent\b))?",  # noqa: E501
    re.IGNORECASE,
)
_SCALES = {"k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6, "bn": 1e9, "billion": 1e9}
_NUMBER_WORDS = {
    word: number
    for number, word in enumerate(
        "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split(),  # noqa: E501, SIM905
        start=2,
    )
} | {
    word: 10 * number
    for number, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)  # noqa: SIM905
}
_NUMBER_WORD = re.compile(
    rf"\b({'|'.join(_NUMBER_WORDS)}|hundreds?|thousands?|millions?|billions?|dozens?|doubl(?:e|ed|es|ing)|twice|tripl(?:e|ed|es|ing)|quadrupl(?:e|ed|es|ing)|thrice"
    r"|half|halved|halving|thirds?(?!-part)|fourths?|fifths?|tenths?|(?:two|three|four|five|ten|hundred|thousand)fold)\b",
    re.IGNORECASE,
)
_MONEY_MARK = re.compile(r"[$€£]|\b(?:eur|usd|gbp|chf|euros?|dollars?|pounds?)\b", re.IGNORECASE)
_WEEKDAY = re.compile(r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b", re.IGNORECASE)
_QUARTER = re.compile(r"\b(?:q[1-4]|h[12])\b", re.IGNORECASE)
_RELATIVE = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday"
    r"|(?:this|next|last|coming) (?:week|month|quarter|year|spring|summer|autumn|fall|winter))\b",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"[^\W\d_][\w&'’.-]*[^\W_]|[^\W\d_]", re.UNICODE)
_SENTENCE_START = re.compile(r"(?:^|[.!?:;]\s+|[\"'“‘(]\s?)$")


@dataclass(frozen=True, slots=True)
class Support:
    """The cited evidence, prepared for look-ups."""

    text: str
    words: frozenset[str]
    numbers: frozenset[float]
    percents: frozenset[float]
    has_money: bool
    days: tuple[tuple[int, int, int], ...]


def support_of(cited: Iterable[Shown]) -> Support:
    """Merge what a sentence cites into one thing its claims are looked up in."""
    items = list(cited)
    text = normalise(" \n ".join(item.supports for item in items))
    numbers = _numbers(_without_dates(text))
    return Support(
        text=text,
        words=_words(text),
        numbers=frozenset(value for value, _ in numbers),
        percents=frozenset(value for value, percent in numbers if percent),
        has_money=bool(_MONEY_MARK.search(text)),
        days=tuple(day for item in items for day in item.days),
    )


@lru_cache(maxsize=4096)
def _words(text: str) -> frozenset[str]:
    found: set[str] = set()
    for match in _TOKEN.finditer(text):
        word = match.group()
        found.add(word)
        found.add(word.removesuffix("'s"))
        found.update(part for part in re.split(r"[-'.&]", word) if part)
    return frozenset(found)


def _numbers(text: str) -> list[tuple[float, bool]]:
    found: list[tuple[float, bool]] = []
    for match in _NUMBER.finditer(text):
        for value in _values(match["digits"]):
            found.append((value * _SCALES.get((match["scale"] or "").lower(), 1), bool(match["percent"])))
    for match in _NUMBER_WORD.finditer(text):
        word = match.group().lower()
        if word in _NUMBER_WORDS:
            found.append((float(_NUMBER_WORDS[word]), False))
    return found


def _values(digits: str) -> set[float]:
    """Every number a run of digits and separators may mean: `1.500` is 1500 in Berlin and 1.5 in Boston."""
    compact = digits.replace(" ", "").replace("'", "")
    readings: set[float] = set()
    for thousands, point in ((",", "."), (".", ",")):
        if re.fullmatch(rf"(?:\d{{1,3}}(?:\{thousands}\d{{3}})+|\d+)(?:\{point}\d+)?", compact):
            readings.add(float(compact.replace(thousands, "").replace(point, ".")))
    return readings


def _claimed(digits: str, support: Support) -> set[float]:
    """What a sentence says with a run of digits. It is English, so `2,000` is never 2.

    `2.000` is read either way by one reader or another, so it may only be repeated as it was written.
    """
    readings = _values(digits)
    if len(readings) < 2:
        return readings
    if "," in digits:
        return {max(readings)}
    return readings if _mentions(support.text, digits) else set()


def _without_dates(text: str) -> str:
    """The text without its dates: the 3 of `2026-08-03` counts nothing. `8 may` can be the verb and stays."""
    return _DATE.sub(lambda match: match.group() if "may" in match.group().lower() else " ", text)


def problem_of(
    sentence: str,
    cited: Sequence[Shown],
    *,
    always_known: Iterable[str] = (),
    theirs_to_name: Mapping[str, str] | None = None,
) -> str | None:
    """Why a sentence may not be shown, or None when every claim in it stands in what it cites.

    Args:
        sentence: What the agent wrote.
        cited: The items it cites; ids not shown were taken out before.
        always_known: Names that need no evidence (our own company).
        theirs_to_name: Names, normalised, to the name as in policy, that only the customer may bring up (competitors).
    """
    if not sentence.strip():
        return "empty sentence"
    if len(sentence) > MAX_SENTENCE_CHARS:
        return f"longer than {MAX_SENTENCE_CHARS} characters"
    if _UNSAFE.search(sentence) or any(
        unicodedata.category(char) in {"Cf", "Co", "Cs", "Cn"} for char in sentence if ord(char) > 127
    ):
        return "control or invisible characters"
    if _MARKUP.search(sentence) or not _BEGINS.match(sentence.lstrip()):
        return "markup"
    text = unicodedata.normalize("NFKC", sentence).translate(ZERO_WIDTH)
    if _URL.search(text):
        return "a link or an address"
    if _PHONE.search(_ISO.sub(" ", text)):
        return "a telephone number"
    if not 0 < len(cited) <= MAX_CITED:
        return f"rests on more than {MAX_CITED} things" if cited else "no evidence cited"
    for item in cited:
        if item.kind == "field" and item.id.endswith(NAME_FIELDS) and claims.repeats(text, item.quote):
            return f"repeats more than a name from `{item.id}`"
    support = support_of(cited)
    strange = claims.strange_word(text, support.text)
    if strange is not None:
        return f"the letters of `{strange}` are not those of the evidence"
    said = normalise(text)
    for known, name in (theirs_to_name or {}).items():
        if _mentions(said, known):
            customers = support_of(item for item in cited if item.side == "theirs")
            if not any(
                _mentions(customers.text, alias) for alias, other in (theirs_to_name or {}).items() if other == name
            ):
                return f"names `{name}` although the customer did not"
            if (smear := claims.smear(text, customers.text)) is not None:
                return f"says `{smear}` of `{name}`, which the customer did not"
    return (
        _date_problem(text, support)
        or _number_problem(_DATE.sub(" ", text), support)
        or _name_problem(text, support, always_known)
        or _opposite_problem(text, support)
        or claims.quote_problem(text, support.text)
        or claims.promise_problem(
            text,
            support.text,
            " ".join(normalise(item.supports) for item in cited if item.side == "theirs" or item.kind == "field"),
            {item.fact.predicate for item in cited if item.fact is not None},
            is_open=_OPEN.search(text) is not None,
        )
    )


def _mentions(text: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None


def _date_problem(text: str, support: Support) -> str | None:
    for match in _DATE.finditer(text):
        groups = match.groupdict()
        day, month, year = (
            next((groups[f"{part}{n}"] for n in range(1, 6) if groups.get(f"{part}{n}")), "") for part in "dmy"
        )
        if month.lower() == "may" and month != "May" and not day and not year:
            continue  # the verb
        number = int(month) if month.isdigit() else _MONTHS[month.lower()]
        wanted = (int(year or 0), number, int(day or 0))
        if _mentions(support.text, normalise(match.group().rstrip(".,"))):  # whole words: `25 May` is no `5 May`
            continue
        if not any(all(want in (0, have) for want, have in zip(wanted, known, strict=True)) for known in support.days):
            if month == "May" and not day and not year and _SENTENCE_START.search(text[: match.start()]):
                continue
            return f"the date `{match.group()}` is not in the evidence"
    for pattern, kind in ((_WEEKDAY, "day"), (_QUARTER, "quarter"), (_RELATIVE, "time")):
        for match in pattern.finditer(text):
            if (
                not _mentions(support.text, normalise(match.group()))
                and not (kind == "quarter" and _in_quarter(match.group(), support))
                and not (kind == "day" and _on_weekday(match.group(), support))
            ):
                return f"the {kind} `{match.group()}` is not in the evidence"
    return None


def _years(support: Support) -> set[float]:
    """Years of the evidence, and of dates written in its text."""
    written = {float(match[1]) for match in re.finditer(r"\b((?:19|20)\d\d)\b", support.text)}
    return written | {float(day[0]) for day in support.days if day[0]}


def _in_quarter(label: str, support: Support) -> bool:
    size = 3 if label[0] in "qQ" else 6
    return any((month - 1) // size + 1 == int(label[1]) for _, month, _ in support.days)


def _on_weekday(name: str, support: Support) -> bool:
    for year, month, day in support.days:
        try:
            if year and day and date(year, month, day).strftime("%A").lower() == name.lower():
                return True
        except ValueError:
            continue
    return False


def _number_problem(text: str, support: Support) -> str | None:
    plain = _QUARTER.sub(" ", text)
    for match in _NUMBER.finditer(plain):
        scale = _SCALES.get((match["scale"] or "").lower(), 1)
        values = {value * scale for value in _claimed(match["digits"], support)}
        is_year = len(match["digits"]) == 4 and any(value in _years(support) for value in values)
        is_day = match["nth"] is not None and any(value == day[2] for value in values for day in support.days)
        if not values & support.numbers and not is_year and not is_day:
            return f"the number `{match.group().strip()}` is not in the evidence"
        if match["percent"] and not values & support.percents:
            return f"`{match.group().strip()}` is not a percentage in the evidence"
        if match["money"] and not support.has_money:
            return f"`{match.group().strip()}` is not an amount of money in the evidence"
    for match in _NUMBER_WORD.finditer(plain):
        word = match.group().lower()
        if not _mentions(support.text, word) and float(_NUMBER_WORDS.get(word, -1)) not in support.numbers:
            return f"the number `{match.group()}` is not in the evidence"
    return None


# Words that promise or refuse something by themselves. Only for these is a reversal looked for: whether a sentence
# means what its quote means no rule of ours can tell, and the quote stands beside it for a person to read.
_PROMISES = re.compile(
    r"\b(?:approv|agree|sign(?=ed|ing|s?\b)|confirm|commit(?=t|s?\b)|accept|allocat|releas|secur|renew|guarantee|cancel)\w*",
    re.IGNORECASE,
)
_DENIES = re.compile(
    r"(?:\b(?:not|never|cannot|nobody|no one|none|neither|nor|without|no|yet to|refus\w+|declin\w+|reject\w+"
    r"|nicht|kein\w*|pas|jamais|niet|geen)|n't)"
    r"(?:\s+[\w'-]+){0,3}\s+$",
    re.IGNORECASE,
)
_OPEN = re.compile(r"\?|\b(?:whether|if|until|unless|once|when|ask|who|would|could|should)\b", re.IGNORECASE)


def _opposite_problem(text: str, support: Support) -> str | None:
    if _OPEN.search(text):
        return None
    there = _polarities(support.text)
    for stem, said in _polarities(normalise(text)).items():
        if stem in there and not said & there[stem]:
            return f"the evidence says the opposite of `{stem}...`"
    return None


def _polarities(text: str) -> dict[str, set[bool]]:
    """Per promising word of a normalised text, by its first five letters: whether it is said, denied, or both."""
    found: dict[str, set[bool]] = {}
    for match in _PROMISES.finditer(text):
        denied = _DENIES.search(text[max(0, match.start() - 60) : match.start()]) is not None
        found.setdefault(match.group()[:5].lower(), set()).add(denied)
    return found


def _name_problem(text: str, support: Support, always_known: Iterable[str]) -> str | None:
    known = _words(normalise(" ".join(always_known)))
    for match in _TOKEN.finditer(text):
        token = match.group()
        if not any(char.isupper() for char in token):
            continue
        word = normalise(token).removesuffix("'s").removesuffix("'").rstrip(".'-&")
        parts = [part for part in re.split(r"[-'.&]", word) if part]
        if (
            word in support.words
            or word in known
            or word in KNOWN_ACRONYMS
            or all(part in support.words or part in known for part in parts)
        ):
            continue
        if word in _MONTHS or _WEEKDAY.fullmatch(word) or _QUARTER.fullmatch(word):
            continue  # checked as dates
        starts = _SENTENCE_START.search(text[: match.start()]) is not None
        capital_only_first = (token[0].isupper() and token[1:].islower()) or len(token) == 1
        if starts and capital_only_first and (all(part in COMMON_OPENERS for part in parts) or _reads_common(word)):
            continue
        if len(word) == 1 and word == "i":
            continue
        return f"the name `{token}` is not in the evidence"
    return None


def _reads_common(word: str) -> bool:
    """A contraction such as `they've`: its first part decides."""
    head, found, _ = word.partition("'")
    return bool(found) and head in COMMON_OPENERS


# --- facts -----------------------------------------------------------------------------------------------------------

# Words that can carry a date in the languages documents come in: a month or a day needs at least one of them in its span.  # noqa: E501
_TIME_WORD = re.compile(
    r"\d|\b(?:jan(?:uary|uar|vier|uari)?|feb(?:ruary|ruar|ruari)?|févr?(?:ier)?|ene(?:ro)?|mar(?:ch|s|zo)?|märz|maart|apr(?:il)?|avr(?:il)?|abr(?:il)?|mai|may|mayo|mei|jun[ie]?|juin|junio"
    r"|jul[iy]?|juil(?:let)?|julio|aug(?:ust|ustus)?|août|ago(?:sto)?|sep(?:t(?:ember|embre|iembre)?)?|o[ck]t(?:ober|obre|ubre)?|nov(?:ember|embre|iembre)?|de[czc](?:ember|embre|iembre)?|déc(?:embre)?|dic(?:iembre)?"
    r"|mon|tues|wednes|thurs|fri|satur|sun)(?:day)?\b"
    r"|\b(?:today|tomorrow|tonight|days?|weeks?|months?|quarters?|years?|fiscal|half|spring|summer|autumn|fall|winter|christmas|easter|holidays?|asap|immediately|soon|end|mid|early|late|new|next|weekend|fortnight"
    r"|heute|morgen|tage?n?|wochen?|monate?n?|quartal\w*|jahr\w*|frühjahr|frühling|sommer|herbst|ostern|weihnachten|ende|mitte|anfang|nächste\w*|(?:mon|diens|donners|frei|sams|sonn)tag|mittwoch"
    r"|aujourd'hui|demain|jours?|semaines?|mois|trimestres?|an(?:née|s)?|printemps|été|automne|hiver|rentrée|fin|début|prochaine?|lundi|mardi|mercredi|jeudi|vendredi"
    r"|hoy|mañana|días?|semanas?|mes(?:es)?|trimestre|años?|primavera|verano|otoño|invierno|finales?|principios|próxim[oa]|lunes|martes|miércoles|jueves|viernes"
    r"|vandaag|dagen|week|weken|maand(?:en)?|kwartaal|jaar|lente|zomer|herfst|eind|begin|volgende?|maandag|dinsdag|woensdag|donderdag|vrijdag)\b"
    r"|\b(?:q|h)[1-4]\b|\b(?:two|three|four|five|six|seven|eight|nine|ten|twelve|zwei|drei|vier|deux|trois|quatre|dos|tres|cuatro|twee|drie)\b",
    re.IGNORECASE,
)


def names_a_time(text: str) -> bool:
    """Whether a span holds any word or digit that a date could have been read from."""
    return _TIME_WORD.search(unicodedata.normalize("NFKC", text)) is not None


def number_in(value: str, text: str) -> bool:
    """Whether a number given in digits stands in the text, as digits or as an English number word."""
    return float(value) in {number for number, _ in _numbers(normalise(text))}


def phrase_in(phrase: str, text: str) -> bool:
    """Whether whole words stand in the text, after normalisation."""
    return bool(wanted := normalise(phrase)) and _mentions(normalise(text), wanted)
