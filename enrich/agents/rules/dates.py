"""Reads the days a sentence speaks of, counted from the document's date.

Own grammar rather than dateparser: customers write "until July", "Ende Q1", "mid-February", "after the summer break",
which dateparser reads as today's day of the month, not at all, or as the past, and it needs 1-5 ms a call. The words are
in `policies/rules_agent/dates.yml`; each expression yields the first and the last day it may mean.
"""  # noqa: E501

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

Grain = Literal["day", "week", "month", "quarter", "half", "season", "year"]


@dataclass(frozen=True, slots=True)
class Mention:
    """One expression of time.

    Attributes:
        start: First character in the folded sentence.
        end: One past the last.
        first: First day it may mean.
        last: Last day it may mean.
        grain: How exact it is.
        link: The little word before it: `until`, `by`, `after`, `from`, `since`, `in` or empty.
        edge: `start`, `mid`, `end` when it names a part ("end of Q1"); else empty.
    """

    start: int
    end: int
    first: date
    last: date
    grain: Grain
    link: str
    edge: str

    @property
    def day(self) -> date:
        """The day the remark speaks of: when something frozen opens, when something is due."""
        if self.edge == "end":
            return self.last + timedelta(days=1) if self.link == "after" else self.last
        if self.edge == "mid":
            return (
                self.first + timedelta(days=14) if self.grain == "month" else self.first + (self.last - self.first) / 2
            )
        if self.link == "after" and self.grain != "day":
            return self.last + timedelta(days=1)
        return self.first

    @property
    def month(self) -> str:
        """YYYY-MM of `day`."""
        return self.day.isoformat()[:7]


class DateGrammar:
    """The compiled grammar of `dates.yml`."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.months = _numbered(data["months"])
        self.weekdays = _numbered(data["weekdays"])
        self.units: dict[str, str] = {word: unit for unit, words in data["units"].items() for word in words}
        self.numbers: dict[str, int] = {
            word: int(number) for number, words in data["numbers"].items() for word in words
        }
        self.links: dict[str, str] = {word: link for link, words in data["links"].items() for word in words}
        self.edges: dict[str, str] = {word: edge for edge, words in data["edges"].items() for word in words}
        self.next_words: tuple[str, ...] = tuple(data["next"])
        self.this_words: tuple[str, ...] = tuple(data["this"])
        self.last_words: tuple[str, ...] = tuple(data["last"])
        self.seasons: dict[str, int] = {word: int(month) for month, words in data["seasons"].items() for word in words}
        self.fixed: dict[str, tuple[int, int]] = {
            word: (int(day[:2]), int(day[3:])) for day, words in data["fixed"].items() for word in words
        }
        self.fiscal: tuple[str, ...] = tuple(data["fiscal_year"]["words"])
        self.fiscal_month = int(data["fiscal_year"]["starts_in_month"])
        self.offsets: dict[str, int] = {word: int(days) for days, words in data["offsets"].items() for word in words}
        self.ordinals: dict[str, int] = {
            word: int(number) for number, words in data["ordinals"].items() for word in words
        }
        self.trigger = re.compile(
            r"\d|\b(?:"
            + _any([*self.months, *self.weekdays, *self.units, *self.seasons, *self.fixed, *self.fiscal, *self.offsets])
            + r")\b"
        )
        self._expression = re.compile(self._grammar(), re.VERBOSE)
        links = _any(self.links)
        self._link = re.compile(
            rf"(?:^|[^\w])({links})\s+(?:the\s+|der\s+|dem\s+|den\s+|le\s+|la\s+|el\s+|de\s+|het\s+|about\s+|around\s+|at\s+|least\s+|sometime\s+|maybe\s+)*$"
        )

    def _grammar(self) -> str:
        month, weekday, unit = _any(self.months), _any(self.weekdays), _any(self.units)
        number = rf"\d{{1,3}}|{_any(self.numbers)}"
        following, this, last = _any(self.next_words), _any(self.this_words), _any(self.last_words)
        edge = _any(self.edges)
        glue = r"(?:\s+(?:of|des|der|dem|vom|von|de|du|del|van|the|la|le|el|het|l|im|in)\b|\s*-)*\s*"
        return rf"""
        (?<![\w.,/-])(?:(?P<edge>{edge}){glue}(?<![^\W_])|)(?:
            (?P<iso>\d{{4}}-\d{{2}}-\d{{2}})
          | (?P<dotted>\d{{1,2}}\.\s?\d{{1,2}}\.(?:\s?\d{{4}}|\d{{2}}(?!\d)|(?!\d)))
          | (?P<slashed>\d{{1,2}}/\d{{1,2}}(?:/\d{{2,4}})?)
          | (?P<day1>\d{{1,2}})(?:st|nd|rd|th|er|\.)?\s*(?:of\s+|de\s+)?(?:-\s*)?(?P<month1>{month})\b\.?(?:\s*,?\s*(?:de\s+|del\s+)?(?P<year1>\d{{4}}))?
          | (?P<month2>{month})\b\.?\s+(?P<day2>\d{{1,2}})(?:st|nd|rd|th)?(?![\d:%.]\d|\s?%|\d)(?:\s*,?\s*(?P<year2>20\d{{2}}))?
          | (?P<month3>{month})\b(?:\.?\s*,?\s*(?:de\s+|del\s+)?(?P<year3>20\d{{2}})|\s*'(?P<short3>\d{{2}}))?
          | (?P<quarter>q[1-4]|[1-4]\.?\s?(?:quartal|trimestre|kwartaal|quarter)|[1-4]q)\b(?:\s*(?:of\s+|de\s+|/|')?\s*(?P<year4>20\d{{2}}|\d{{2}}\b))?
          | (?P<ordinal>{_any(self.ordinals)})\s+(?P<part>quarter|quartals?|trimestre|kwartaal|half|halbjahrs?|jahreshälfte|semestre|semester|helft)(?:\s+(?:of\s+|de\s+|des\s+)?(?:jahres\s+)?(?P<year5>20\d{{2}}))?
          | (?P<half>h[12])\b(?:\s*(?P<year6>20\d{{2}}))?
          | (?:(?P<next>{following})|(?P<this>{this})|(?P<last>{last}))\s+(?:(?P<unit1>{unit})|(?P<weekday1>{weekday})|(?P<month4>{month})|(?P<season1>{_any(self.seasons)}))\b
          | (?P<unit2>{unit})\s+(?P<after_next>prochaine?s?|suivante?s?|que\s+viene|próximo|próxima|próximos)\b
          | (?P<in>(?:in|within|innerhalb\s+von|binnen|dans|en|dentro\s+de|over|for|another|für|pendant|durante)\s+(?:about\s+|around\s+|another\s+|the\s+next\s+|etwa\s+|ca\.?\s+|environ\s+|unos\s+|ongeveer\s+|weiteren?\s+)?)(?P<count>{number})\s+(?P<unit3>{unit})\b
          | (?P<count2>{number})\s+(?P<unit4>{unit})\s+(?P<from_now>from\s+now|time|from\s+today|later|out)\b
          | (?P<fiscal>{_any(self.fiscal)})\b
          | (?P<season>{_any(self.seasons)})\b(?:\s+(?P<year7>20\d{{2}}))?
          | (?P<fixed>{_any(self.fixed)})\b
          | (?P<weekday>{weekday})\b(?!s)
          | (?P<offset>{_any(self.offsets)})\b
          | (?P<year>20[2-3]\d)\b(?![-./,]\d)
          | (?P<edged_unit>(?:this\s+|the\s+|des\s+|diese[rsn]?\s+|d'|de\s+l'|)(?P<unit5>{unit}))\b
        )"""  # noqa: E501

    def find(self, folded: str, today: date) -> list[Mention]:
        """Every expression of time in a folded sentence, left to right."""
        if not self.trigger.search(folded):
            return []
        found: list[Mention] = []
        for match in self._expression.finditer(folded):
            reading = self._read(match, today)
            if reading is None:
                continue
            first, last, grain = reading
            groups = match.groupdict()
            if _is_a_verb(groups, folded, match.start()):
                continue
            edge = self.edges.get(groups.get("edge") or "", "")
            if edge == "start":
                last = first
            before = self._link.search(folded[max(0, match.start() - 40) : match.start()])
            link = self.links[before[1]] if before else ""
            if link == "since" and first > today:
                first, last = _minus_year(first), _minus_year(last)
            found.append(Mention(match.start(), match.end(), first, last, grain, link, edge))
        return found

    def _read(self, match: re.Match[str], today: date) -> tuple[date, date, Grain] | None:
        groups = {key: value for key, value in match.groupdict().items() if value}
        try:
            return self._read_groups(groups, today)
        except (ValueError, OverflowError):
            return None  # 31 February and the like

    def _read_groups(self, groups: dict[str, str], today: date) -> tuple[date, date, Grain] | None:
        if "iso" in groups:
            return _one(date.fromisoformat(groups["iso"]))
        if "dotted" in groups:
            parts = [int(part) for part in groups["dotted"].replace(" ", "").strip(".").split(".")]
            return _one(_full_year(parts[0], parts[1], parts[2] if len(parts) > 2 else None, today))
        if "slashed" in groups:
            return self._slashed([int(part) for part in groups["slashed"].split("/")], today)
        for day, month, year in (("day1", "month1", "year1"), ("day2", "month2", "year2")):
            if day in groups:
                return _one(
                    _full_year(
                        int(groups[day]),
                        self.months[groups[month]],
                        int(groups[year]) if year in groups else None,
                        today,
                    )
                )
        if "month3" in groups:
            year = (
                int(groups["year3"])
                if "year3" in groups
                else 2000 + int(groups["short3"])
                if "short3" in groups
                else None
            )
            return _month(self.months[groups["month3"]], year, today)
        if "quarter" in groups:
            digits = re.sub(r"\D", "", groups["quarter"])[:1]
            return _span_of_months(int(digits), 3, _year(groups.get("year4")), today, "quarter")
        if "ordinal" in groups:
            size = 3 if groups["part"].startswith(("quart", "trim", "kwart")) else 6
            number = self.ordinals[groups["ordinal"]]
            if number > 12 // size:
                return None
            return _span_of_months(number, size, _year(groups.get("year5")), today, "quarter" if size == 3 else "half")
        if "half" in groups:
            return _span_of_months(int(groups["half"][1]), 6, _year(groups.get("year6")), today, "half")
        if "unit1" in groups or "weekday1" in groups or "month4" in groups or "season1" in groups:
            return self._relative(groups, today)
        if "unit2" in groups:
            return _shift(self.units[groups["unit2"]], 1, today)
        if "count" in groups or "count2" in groups:
            word = groups.get("count") or groups["count2"]
            unit = self.units[groups.get("unit3") or groups["unit4"]]
            number = int(word) if word.isdigit() else self.numbers[word]
            return self._ahead(unit, number, today)
        if "fiscal" in groups:
            year = today.year if today.month < self.fiscal_month else today.year + 1
            first = date(year, self.fiscal_month, 1)
            return first, _add_months(first, 12) - timedelta(days=1), "year"
        if "season" in groups:
            return _season(self.seasons[groups["season"]], _year(groups.get("year7")), today)
        if "fixed" in groups:
            month, day = self.fixed[groups["fixed"]]
            return _one(_easter_after(today) if month == 0 else _full_year(day, month, None, today))
        if "weekday" in groups:
            ahead = (self.weekdays[groups["weekday"]] - 1 - today.weekday()) % 7 or 7
            return _one(today + timedelta(days=ahead))
        if "offset" in groups:
            return _one(today + timedelta(days=self.offsets[groups["offset"]]))
        if "year" in groups:
            year = int(groups["year"])
            return date(year, 1, 1), date(year, 12, 31), "year"
        if "unit5" in groups and "edge" in groups:  # "end of the year", "Monatsende"
            return _shift(self.units[groups["unit5"]], 0, today)
        return None

    def _slashed(self, parts: list[int], today: date) -> tuple[date, date, Grain]:
        """Day first unless that is impossible: most of the served countries write it so."""
        first, second = parts[0], parts[1]
        year = None if len(parts) < 3 else parts[2] if parts[2] > 99 else 2000 + parts[2]
        day, month = (first, second) if second <= 12 else (second, first)
        return _one(_full_year(day, month, year, today))

    def _relative(self, groups: dict[str, str], today: date) -> tuple[date, date, Grain]:
        step = 1 if "next" in groups else -1 if "last" in groups else 0
        if "unit1" in groups:
            return _shift(self.units[groups["unit1"]], step, today)
        if "weekday1" in groups:
            ahead = (self.weekdays[groups["weekday1"]] - 1 - today.weekday()) % 7
            if step < 0:
                return _one(today - timedelta(days=(7 - ahead) % 7 or 7))
            return _one(today + timedelta(days=ahead or 7))
        if "season1" in groups:
            first, last, grain = _season(self.seasons[groups["season1"]], None, today)
            return (_minus_year(first), _minus_year(last), grain) if step < 0 else (first, last, grain)
        first, last, grain = _month(self.months[groups["month4"]], None, today)
        if step < 0:
            first = _minus_year(first) if first >= today.replace(day=1) else first
            return first, _month_end(first), grain
        return first, last, grain

    def _ahead(self, unit: str, number: int, today: date) -> tuple[date, date, Grain]:
        if unit == "day":
            return _one(today + timedelta(days=number))
        if unit == "week":
            return _one(today + timedelta(weeks=number))
        return _one(_add_months(today, number * {"month": 1, "quarter": 3, "half": 6, "year": 12}[unit]))


_ALSO_A_WORD = frozenset({"may", "mar", "dec", "fin", "mon", "sun", "ene", "ago", "mai"})
_LINKED = re.compile(
    r"(?:\b(?:in|until|till|by|after|before|since|from|for|early|late|mid|end of|of|im|bis|ab|ende|anfang|mitte|en|mes de|during|around|this|next|last|to|and|or|,)|[-–/])\s*$"  # noqa: E501
)


def _is_a_verb(groups: Mapping[str, str | None], folded: str, start: int) -> bool:
    """Whether a lone `may` is the verb: nothing before it makes it a month."""
    word = groups.get("month3")
    if word not in _ALSO_A_WORD or groups.get("year3") or groups.get("short3") or groups.get("edge"):
        return False
    return _LINKED.search(folded[max(0, start - 12) : start]) is None


def _numbered(groups: Mapping[Any, Any]) -> dict[str, int]:
    return {word: int(number) for number, words in groups.items() for word in words}


def _any(words: Mapping[str, Any] | list[str] | tuple[str, ...]) -> str:
    ordered = sorted(words, key=len, reverse=True)
    return "(?:" + "|".join(re.escape(word).replace(r"\ ", r"\s+") for word in ordered) + ")"


def _one(day: date) -> tuple[date, date, Grain]:
    return day, day, "day"


def _year(text: str | None) -> int | None:
    return None if text is None else int(text) if len(text) == 4 else 2000 + int(text)


def _full_year(day: int, month: int, year: int | None, today: date) -> date:
    """The day as written; without a year the next such day, or one that passed within the last two weeks."""
    if year is not None:
        return date(year if year > 99 else 2000 + year, month, day)
    for candidate in (today.year - 1, today.year, today.year + 1, today.year + 2):
        try:
            found = date(candidate, month, day)
        except ValueError:
            continue
        if found >= today - timedelta(days=14):
            return found
    raise ValueError("no such day")


def _month_end(day: date) -> date:
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])


def _month(month: int, year: int | None, today: date) -> tuple[date, date, Grain]:
    first = date(year if year is not None else today.year + (month < today.month), month, 1)
    return first, _month_end(first), "month"


def _span_of_months(number: int, size: int, year: int | None, today: date, grain: Grain) -> tuple[date, date, Grain]:
    month = (number - 1) * size + 1
    if year is None:
        year = today.year + (month + size - 1 < today.month)
    first = date(year, month, 1)
    return first, _add_months(first, size) - timedelta(days=1), grain


def _season(month: int, year: int | None, today: date) -> tuple[date, date, Grain]:
    if year is None:
        year = today.year + (month + 2 < today.month)
    first = date(year, month, 1)
    return first, _add_months(first, 3) - timedelta(days=1), "season"


def _shift(unit: str, step: int, today: date) -> tuple[date, date, Grain]:
    if unit == "day":
        return _one(today + timedelta(days=step))
    if unit == "week":
        monday = today - timedelta(days=today.weekday()) + timedelta(weeks=step)
        return monday, monday + timedelta(days=4), "week"
    size = {"month": 1, "quarter": 3, "half": 6, "year": 12}[unit]
    start = date(today.year, (today.month - 1) // size * size + 1, 1)
    first = _add_months(start, size * step)
    grain: Grain = (
        "month" if unit == "month" else "quarter" if unit == "quarter" else "half" if unit == "half" else "year"
    )
    return first, _add_months(first, size) - timedelta(days=1), grain


def _add_months(day: date, months: int) -> date:
    total = day.year * 12 + day.month - 1 + months
    year, month = divmod(total, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _minus_year(day: date) -> date:
    return _add_months(day, -12)


def _easter_after(today: date) -> date:
    for year in (today.year, today.year + 1):
        day = _easter(year)
        if day >= today:
            return day
    return _easter(today.year + 1)


def _easter(year: int) -> date:
    """Gauss's rule as corrected by Lichtenberg."""
    golden, century = year % 19, year // 100
    moon = (19 * golden + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    sunday = (32 + 2 * (century % 4) + 2 * (year % 100 // 4) - moon - year % 100 % 4) % 7
    late = (golden + 11 * moon + 22 * sunday) // 451
    month, day = divmod(moon + sunday - 7 * late + 114, 31)
    return date(year, month, day + 1)
