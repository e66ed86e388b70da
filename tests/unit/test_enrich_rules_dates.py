"""Days people name, counted from the day they wrote."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from enrich.agents.rules import lexicon as lexicons
from enrich.agents.rules.tokens import fold
from nightdesk.policy.load import load

DATES = lexicons.load(load(Path(__file__).parents[2] / "policies")).dates
TODAY = date(2026, 11, 3)  # a Tuesday


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("until July", "2027-07-01"), ("until november", "2026-11-01"), ("in three weeks", "2026-11-24"), ("by mid-February", "2027-02-15"),  # noqa: E501
        ("after the summer break", "2027-09-01"), ("at the end of the year", "2026-12-31"), ("next quarter", "2027-01-01"), ("next month", "2026-12-01"),  # noqa: E501
        ("before the new fiscal year", "2027-01-01"), ("since March", "2026-03-01"), ("by Friday", "2026-11-06"), ("next Tuesday", "2026-11-10"),  # noqa: E501
        ("on 24 November", "2026-11-24"), ("am 24. November", "2026-11-24"), ("bis zum 24.11.", "2026-11-24"), ("24/11/2026", "2026-11-24"), ("11/24/2026", "2026-11-24"),  # noqa: E501
        ("2026-11-24", "2026-11-24"), ("Nov 24th", "2026-11-24"), ("in 2027", "2027-01-01"), ("the first quarter of 2027", "2027-01-01"), ("end of Q1", "2027-03-31"),  # noqa: E501
        ("after Q1", "2027-04-01"), ("H2 2027", "2027-07-01"), ("à partir de janvier", "2027-01-01"), ("d'ici fin janvier", "2027-01-31"), ("la semaine prochaine", "2026-11-09"),  # noqa: E501
        ("hasta finales de marzo", "2027-03-31"), ("vanaf 1 februari 2027", "2027-02-01"), ("Anfang nächsten Jahres", "2027-01-01"), ("nach Ostern", "2027-03-28"),  # noqa: E501
        ("within 30 days", "2026-12-03"), ("in a couple of months", "2027-01-03"), ("tomorrow", "2026-11-04"), ("by Christmas", "2026-12-25"), ("in May", "2027-05-01"),  # noqa: E501
        ("next spring", "2027-03-01"), ("in two years", "2028-11-03"),
    ],
)  # fmt: skip
def test_the_day_that_is_meant(text: str, day: str) -> None:
    assert [mention.day.isoformat() for mention in DATES.find(fold(text), TODAY)] == [day]


@pytest.mark.parametrize(
    "text",
    [
        "we may do it",
        "40 seats per year",
        "version 2.1.3 is out",
        "31 February",
        "call 0113 496 0101",
        "100 %",
        "march on",
        "nothing here",
        "3 of 4",
    ],
)
def test_what_is_no_day(text: str) -> None:
    assert [m for m in DATES.find(fold(text), TODAY) if m.grain == "day" or text == "we may do it"] == []


def test_hostile_digits_take_no_time() -> None:
    import time

    started = time.perf_counter()
    for text in ("1." * 20_000, "next " * 20_000, "end of " * 10_000, "12/" * 20_000, "in 3 " * 20_000):
        DATES.find(text, TODAY)
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize("today", [date(2024, 2, 29), date(2026, 12, 31), date(2026, 1, 1)])
def test_edges_of_the_calendar_do_not_break(today: date) -> None:
    for text in (
        "29 February",
        "next month",
        "in a month",
        "in twelve months",
        "last year",
        "next year",
        "since February 29",
        "end of February",
    ):
        for mention in DATES.find(fold(text), today):
            assert mention.first <= mention.last
