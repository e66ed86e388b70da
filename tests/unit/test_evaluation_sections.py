"""The sections of the evaluation, each on material whose right answer can be seen."""

from __future__ import annotations

from collections import Counter
from datetime import date
from importlib import import_module
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import company
from sandbox.evaluation import (
    briefs_faithful,
    evaluate_sections,
    facts_exact,
    facts_replaced,
    facts_staged,
    ranking_calibration,
)
from sandbox.evaluation.briefs_faithful import Claim, Sentence, Source
from sandbox.evaluation.facts_exact import Quote
from sandbox.evaluation.facts_replaced import Contradiction, Held
from sandbox.evaluation.matching import Fact

# quotes ---------------------------------------------------------------------------------------------------------------

TEXTS = {"d1": "Hi Tom,\nthe CFO froze every purchase.", "d2": "Grüße, 👍 wir haben kein Budget."}


def a_quote(document: str, quote: str, start: int | None, told: str | None = None) -> Quote:
    end = None if start is None else start + len(quote)
    return Quote("fact", "f1", document, quote, start, end, told)


def test_a_quote_at_its_place_holds_also_behind_signs_of_several_bytes() -> None:
    start = TEXTS["d2"].index("wir haben")
    assert facts_exact.check([a_quote("d2", "wir haben kein Budget", start)], TEXTS) == []


@pytest.mark.parametrize(
    ("quote", "why"),
    [
        (a_quote("d1", "the CFO froze", 9), "there stands"),
        (a_quote("d1", "the cfo froze", 8), "there stands"),
        (a_quote("d1", "purchase.", 36), "no such place"),
        (a_quote("d1", "", 3), "empty"),
        (a_quote("d9", "anything", 0), "not in the CRM"),
        (a_quote("d1", "froze", None, None), "does not exist"),
        (a_quote("d1", "froze", None, "did not freeze"), "other words"),
    ],
)
def test_every_way_to_break_a_quote_is_found(quote: Quote, why: str) -> None:
    broken = facts_exact.check([quote], TEXTS)
    assert len(broken) == 1
    assert why in broken[0].why
    assert not broken[0].is_only_layout


def test_a_line_break_shown_as_a_space_is_told_from_other_words() -> None:
    shown = a_quote("d1", "We are 'full', sorry.", None, 'We are "full",\nsorry.')
    assert [one.is_only_layout for one in facts_exact.check([shown], TEXTS)] == [True]


@given(st.text(min_size=1, max_size=60), st.data())
def test_no_other_words_pass_for_a_quote(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    said = data.draw(st.text(min_size=1, max_size=12))
    broken = facts_exact.check([Quote("fact", "f", "d", said, start, end)], {"d": text})
    assert bool(broken) == (text[start:end] != said)


# contradictions -------------------------------------------------------------------------------------------------------


def said(id_: str, value: str, day: int, document: str, at: int = 0) -> Fact:
    return Fact(
        id_, document, "budget", value, "affirmed", "theirs", "words", at, at + 5,
        subject="budget 5", said_on=date(2026, 3, day),
    )  # fmt: skip


def test_pairs_are_neighbours_that_differ_and_have_an_order() -> None:
    remarks = [
        said("a", "available", 1, "d1"),
        said("b", "available", 2, "d2"),  # says the same as a
        said("c", "none", 3, "d3", at=90),
        said("d", "frozen", 3, "d3", at=10),  # earlier in the same document
        said("e", "available", 3, "d4"),  # the same day in another document: no order
    ]
    pairs = facts_replaced.contradictions(remarks, frozenset({"budget"}))
    assert {(pair.earlier.id, pair.later.id) for pair in pairs} == {("b", "d"), ("d", "c")}
    assert [pair.in_one_document for pair in pairs] == [False, True]
    assert facts_replaced.contradictions(remarks, frozenset({"pain"})) == []


@pytest.mark.parametrize(
    ("earlier", "later", "expected"),
    [
        (Held(False, "f2", True, "5"), Held(True, None, True, "5"), "right"),
        (Held(False, "f2", True, "5"), Held(False, "f9", True, "5"), "right"),  # replaced by a third remark
        (Held(True, None, True, "5"), Held(True, None, True, "5"), "earlier still current"),
        (Held(False, "f9", True, "5"), Held(False, "f1", True, "5"), "later marked as replaced"),
        (Held(False, "f2", True, "5"), None, "not both read"),
    ],
)
def test_the_verdict_looks_at_both_ends(earlier: Held, later: Held | None, expected: str) -> None:
    pair = Contradiction(said("p1", "none", 1, "d1"), said("p2", "available", 2, "d2"))
    found = {"p1": said("f1@d1", "none", 1, "d1"), "p2": said("f2@d2", "available", 2, "d2")}
    held = {"f1@d1": earlier} | ({} if later is None else {"f2@d2": later})
    assert facts_replaced.verdict(pair, found, held) == expected


def test_a_stranger_who_overrules_a_known_person_is_named() -> None:
    held = {
        "f1@d1": Held(False, "f2", True, "5"),
        "f2@d2": Held(True, None, False, "5"),
        "f3@d3": Held(False, "f4", False, "5"),  # strangers may replace strangers
        "f4@d4": Held(True, None, False, "5"),
    }
    assert facts_replaced.overruled(held) == ["f2"]


def test_staged_contradictions_stand_in_their_documents_and_nowhere_before() -> None:
    made = company.generate(contacts=150, seed=11, phrases="held_out")
    before = len(made.truth.facts)
    changed, staged = facts_staged.stage(made, "held_out", 11)
    again, _ = facts_staged.stage(company.generate(contacts=150, seed=11, phrases="held_out"), "held_out", 11)
    assert [item.properties for item in changed.crm.objects] == [item.properties for item in again.crm.objects]
    planted = changed.truth.facts[before:]
    bodies = {
        f"hubspot:{item.object_type[:-1]}:{item.id}": item.properties.get("hs_call_body")
        or item.properties.get("hs_email_text", "")
        for item in changed.crm.objects
    }
    assert {f"hubspot:{fact.document_type}:{fact.document_id}" for fact in planted} == staged.documents
    assert all(bodies[f"hubspot:{fact.document_type}:{fact.document_id}"].count(fact.quote) == 1 for fact in planted)
    kinds = Counter(staged.kind_of.values())
    assert set(kinds) == set(facts_staged.KINDS)
    assert min(kinds.values()) >= 3
    for document in staged.placed:
        own = [fact for fact in planted if document.endswith(f":{fact.document_id}")]
        thirds = [int(3 * bodies[document].index(fact.quote) / len(bodies[document])) for fact in own]
        assert thirds == [0, 1, 2]
    for document, kind in staged.kind_of.items():
        own = [fact for fact in planted if document.endswith(f":{fact.document_id}")]
        if kind == "in one transcript":
            first, second = (bodies[document].index(fact.quote) / len(bodies[document]) for fact in own)
            assert first < 1 / 3 < 2 / 3 < second
            assert len(bodies[document]) > 10_000
        else:
            assert [fact.contact_id for fact in own] == [None]


# faithfulness ---------------------------------------------------------------------------------------------------------


def test_claims_of_a_sentence_are_taken_apart() -> None:
    body = (
        "Budget is frozen until July 2026; on 3 August 2026 Dana wrote “no €40k before Q3”, and 1,200 people may wait."
    )
    found = [(claim.kind, claim.words) for claim in briefs_faithful.claims(body)]
    assert ("quotation", "no €40k before Q3") in found
    assert ("date", "July 2026") in found
    assert ("date", "3 August 2026") in found
    assert ("name", "Dana") in found
    assert ("number", "1,200") in found
    assert len(found) == 5  # the month that is a verb, and the capital that opens the sentence, claim nothing


CITED = Source("The CFO froze every purchase, about 1.200 seats at Kestrel & Sons’ site", (date(2026, 8, 3),))


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        (Claim("quotation", "froze every purchase"), "cited"),
        (Claim("quotation", "froze some purchases"), "nowhere"),
        (Claim("date", "3 August 2026", (2026, 8, 3)), "cited"),
        (Claim("date", "August 2026", (2026, 8, 0)), "cited"),
        (Claim("date", "4 August 2026", (2026, 8, 4)), "nowhere"),
        (Claim("date", "1 July 2027", (2027, 7, 1)), "shown, not cited"),
        (Claim("number", "1,200"), "cited"),
        (Claim("number", "200"), "nowhere"),
        (Claim("number", "12"), "nowhere"),
        (Claim("name", "Kestrel"), "cited"),
        (Claim("name", "Lanner"), "shown, not cited"),
        (Claim("name", "Kes"), "nowhere"),
    ],
)
def test_a_claim_is_looked_up_in_what_is_cited_then_in_what_was_shown(claim: Claim, expected: str) -> None:
    sentence = Sentence("meeting_brief", "n1", "agenda/0", "", [CITED], [Source("Lanner GmbH, renews 2027-07-01")])
    assert briefs_faithful.where(claim, sentence) == expected


# ranking --------------------------------------------------------------------------------------------------------------


def test_lift_of_a_perfect_a_random_and_a_tied_list() -> None:
    labels = np.array([1.0] * 10 + [0.0] * 90)
    perfect = np.arange(100, 0, -1).astype(float)
    assert ranking_calibration.lift(perfect, labels, 0.10) == pytest.approx(10)
    assert ranking_calibration.lift(perfect, labels, 0.20) == pytest.approx(5)
    assert ranking_calibration.lift(np.zeros(100), labels, 0.10) == pytest.approx(1)
    assert ranking_calibration.lift(perfect, np.zeros(100), 0.10) is None
    # Weights that leave the purchases out of a draw give no lift to speak of.
    assert ranking_calibration.lift(perfect, labels, 0.10, 1 - labels) is None


def test_average_precision_is_the_base_rate_of_a_list_in_no_order() -> None:
    labels = np.array([1.0, 0.0, 0.0, 0.0] * 25)
    assert ranking_calibration.average_precision(np.zeros(100), labels) == pytest.approx(0.25)
    assert ranking_calibration.average_precision(labels, labels) == pytest.approx(1)


def test_calibration_is_fitted_on_other_accounts_than_it_is_judged_on() -> None:
    # Every account's outcome is noise: a curve that saw its own accounts would beat the base rate, this one cannot.
    generator = np.random.default_rng(3)
    labels = (generator.random(300) < 0.2).astype(float)
    scores = np.arange(300).astype(float)
    groups = [str(index) for index in range(300)]
    base = ranking_calibration.brier(np.full(300, labels.mean()), labels)
    for how in ("isotonic", "platt"):
        assert ranking_calibration.brier(ranking_calibration.out_of_fold(scores, labels, groups, how), labels) > base
    # And a score that tells who buys is found out.
    telling = labels * 50 + generator.random(300) * 20
    seen = ranking_calibration.out_of_fold(telling, labels, groups, "platt")
    assert ranking_calibration.brier(seen, labels) < base / 4


def test_bands_hold_everybody_once_and_split_no_tie() -> None:
    scores = np.array([10.0] * 40 + [20.0] * 7 + list(range(30, 83)))
    labels = (scores > 60).astype(float)
    found = ranking_calibration.bands(scores, labels, labels)
    assert sum(band.contacts for band in found) == 100
    assert sum(band.bought for band in found) == int(labels.sum())
    assert [band.lowest for band in found] == sorted(band.lowest for band in found)
    assert all(one.highest < other.lowest for one, other in pairwise(found))


# registration ---------------------------------------------------------------------------------------------------------


def test_every_registered_section_is_there_once() -> None:
    names = evaluate_sections.SECTIONS
    assert len(names) == len(set(names)) >= 5
    for name in names:
        assert callable(import_module(f"sandbox.evaluation.{name}").section)
