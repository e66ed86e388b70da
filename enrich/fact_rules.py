"""What makes one stated fact legal: its value, its day, and the words of its span. Pure."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

from enrich import evidence

if TYPE_CHECKING:
    from nightdesk.policy.load import Policy
    from nightdesk.policy.models import Predicate

MOST_NAME_WORDS = 6
FACT_DATE_YEARS = 3  # a remark that speaks of a day further away than this was misread

# What separates the parts of a fact's line in a context: a name that holds one could pose as the parts after it.
_SEPARATORS = re.compile(r"[\"=\[\]|<>{}]|\s{2}")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Text that is safe to store and show: control, direction and broken characters become U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", text)


def problem_of(
    name: str, value: str, day: str | None, predicate: Predicate, text: str, document_day: date, policy: Policy
) -> str | None:
    """Why a fact may not be kept, or None.

    Args:
        name: The predicate's name.
        value: As the agent gave it.
        day: The day the remark is said to speak of, ISO; None when it names none.
        predicate: The predicate's rules (predicates.yml).
        text: The span's words.
        document_day: The document's own date.
        policy: For the names that are listened for.
    """
    return _value_problem(name, value, predicate, text, policy) or _day_problem(value, day, text, document_day)


_MONTH = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])", re.ASCII)
_DIGITS = re.compile(r"[1-9]\d{0,8}", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def _value_problem(name: str, value: str, predicate: Predicate, text: str, policy: Policy) -> str | None:
    match predicate.value:
        case "enum":
            return None if value in predicate.values else "no such value"
        case "yes":
            return None if value == "yes" else "the value can only be `yes`"
        case "month":
            if not _MONTH.fullmatch(value):
                return "not a month"
            return None if evidence.names_a_time(text) else "the span names no time"
        case "number":
            if not _DIGITS.fullmatch(value):
                return "not a number"
            return None if evidence.number_in(value, text) else "the number is not in the span"
        case "date":
            if value == "unknown":
                return None
            if _parse_day(value) is None:
                return "not a day"
            return None if evidence.names_a_time(text) else "the span names no time"
        case "name":
            return _name_problem(name, value, text, policy)


def _name_problem(predicate: str, value: str, text: str, policy: Policy) -> str | None:
    if predicate == "competitor":
        known = {item.name: (item.name, *item.also) for item in policy.competitors.competitors}
        if value not in known:
            return "not a competitor we listen for"
        return None if any(evidence.phrase_in(alias, text) for alias in known[value]) else "the name is not in the span"
    if predicate == "tech_in_use" and value not in policy.icp.tech_in_use:
        return "not a system we listen for"
    if not 0 < len(value) <= 80 or printable(value) != value or "\n" in value or _SEPARATORS.search(value):
        return "not a name"
    if len(value.split()) > MOST_NAME_WORDS or not evidence.phrase_in(value, text):
        return "the name is not in the span"
    # As written: a name in other letters, or a stretch of a sentence that no name begins, is none of theirs.
    as_written = " ".join(value.split()) in " ".join(text.split())
    if predicate != "tech_in_use" and not (as_written and any(char.isupper() or _is_caseless(char) for char in value)):
        return "not the name as written"
    return None


def _is_caseless(char: str) -> bool:
    """A letter of a script that has no capitals."""
    return char.isalpha() and char.lower() == char.upper()


def _parse_day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        return None


def _day_problem(value: str, day_text: str | None, text: str, document_day: date) -> str | None:
    days = [day_text] if day_text else []
    if _DAY.fullmatch(value) or _MONTH.fullmatch(value):
        days.append(value if len(value) == 10 else f"{value}-01")
    for text_day in days:
        day = _parse_day(text_day)
        if day is None:
            return "not a day"
        if abs((day - document_day).days) > FACT_DATE_YEARS * 366:
            return f"more than {FACT_DATE_YEARS} years from the document"
    return None if not day_text or evidence.names_a_time(text) else "the span names no time"
