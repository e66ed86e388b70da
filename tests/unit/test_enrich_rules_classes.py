"""Classes of expression that were once misread by the rules agent. Sentences of our own."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from enrich.agents.rules import lexicon as lexicons
from enrich.agents.rules.facts import FactReader
from enrich.spans import Span
from nightdesk.policy.load import load

READER = FactReader(lexicons.load(load(Path(__file__).parents[2] / "policies")))
TODAY = date(2026, 11, 3)


def said(*texts: tuple[str, str] | str) -> set[str]:
    """The facts of sentences spoken one after another: a text of theirs, or (side, text)."""
    spans: list[Span] = []
    body = ""
    for number, item in enumerate(texts, start=1):
        side, text = ("theirs", item) if isinstance(item, str) else item
        start = len(body)
        body += text + "\n"
        spans.append(Span(f"s{number}", start, start + len(text), text, side, side))  # pyright: ignore[reportArgumentType]
    found = READER.read(READER.readable(spans, body), TODAY)
    return {f"{fact.predicate}={fact.value}" + ("" if fact.polarity == "affirmed" else " negated") for fact in found}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("To be honest, how do I put this, our budget is gone.", "budget=none"),  # fillers are no questions
        ("Ring me in May: the spending freeze is over by then.", "budget=frozen"),
        ("We can pay for it out of the transport budget.", "budget=available"),
        ("Each dollar of this year is already spoken for.", "budget=none"),
        ("I cannot sign a thing before Lena Ortiz has seen it.", "authority=needs_approval"),
        ("Nobody asks me which software we buy.", "authority=not_involved"),
        ("We take such choices as a group.", "authority=committee"),
        ("I can approve this without asking anybody.", "authority=decision_maker"),
        ("A scorecard per haulier is what we are after.", "need=reporting"),
        ("Two clerks do nothing but type all day.", "pain=manual_work"),
        ("Too many portals, no overview, it hurts.", "pain=tool_sprawl"),
        ("The steering of prices aside, others are half the price.", "objection=price"),
        ("Our IT has nobody free to run it.", "objection=resources"),
        ("The best person for this is Lena Ortiz.", "referral=Lena Ortiz"),
        ("Lena Ortiz works elsewhere since June.", "champion_left=Lena Ortiz"),
        ("From our side: the price list of lanes, due Friday.", "commitment=theirs"),
        ("Same time next week, deal.", "next_step=call"),
        ("Find me half an hour next week.", "meeting_asked=yes"),
        ("Nicest software we have had in years.", "product_feedback=positive"),
        ("As things stand we will cancel.", "renewal_risk=high"),
        ("We plan to stay for another term.", "renewal_risk=low"),
        ("60 colleagues would use it.", "headcount=60"),
        ("The switch has to be through by March.", "timeline=2027-03"),
    ],
)
def test_what_is_said_is_read(text: str, expected: str) -> None:
    assert expected in said(text), said(text)


@pytest.mark.parametrize(
    ("text", "predicate"),
    [
        ("Three boxes are on my desk.", "authority"),
        ("We stood in the queue at the crane.", "objection"),
        ("Our lane to Long Beach is open.", "objection"),
        ("It belongs to the Turin cost centre.", "referral"),
        ("The Lagos sailing has moved to Friday.", "champion_left"),
        ("In urgent cases contact Lena at reception.", "referral"),
        ("My colleague in the control room is on holiday.", "out_of_office"),
        ("I'm out on Friday afternoon.", "out_of_office"),
        ("Some drivers told the agency to stop calling.", "opt_out"),
        ("The new lorries track well on gravel.", "competitor"),
        ("The budget hotel was full.", "budget"),
        ("What is a business day in your paper?", "legal_asked"),
    ],
)
def test_what_only_sounds_like_it_is_not_read(text: str, predicate: str) -> None:
    assert not any(fact.startswith(f"{predicate}=") for fact in said(text)), said(text)


def test_an_answer_is_read_with_its_question() -> None:
    assert "budget=available" in said(("ours", "Do you have budget for it?"), "Yes, since Monday.")
    assert "budget=none" in said(("ours", "Do you have budget for it?"), "No, not this year.")
    assert not said(("ours", "Do you have budget for it?"), "Let us see.")


def test_a_sentence_that_points_back_is_read_with_the_one_before() -> None:
    assert "need=forecasting" in said("Can it predict our volumes?", "That is what we want.")
    assert not said("Can it predict our volumes?", "The yard is quiet.")


def test_whose_words_are_passed_on_takes_no_mail_away_from_them() -> None:
    span = Span("s1", 0, 24, "Take me off your list, now.", "unknown", "rob@elsewhere.example", True)
    assert not READER.read(READER.readable([span], span.text), TODAY)


def test_what_follows_ones_own_question_is_another_matter() -> None:
    question = "We can't approve any tool without a security review, can you send what you have?"
    alone = said(question)
    assert said(question, "I will get you the volumes by Thursday.") == alone | {"commitment=theirs"}
