"""Planted and found facts are paired one to one, whatever their order."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from sandbox.evaluation import matching
from sandbox.evaluation.matching import Fact


def fact(
    id_: str,
    predicate: str = "budget",
    value: str = "frozen",
    polarity: str = "affirmed",
    document: str = "d1",
    at: int = 0,
) -> Fact:
    return Fact(id_, document, predicate, value, polarity, "theirs", "x" * 10, start=at, end=at + 10)


def facts(prefix: str) -> st.SearchStrategy[list[Fact]]:
    return st.lists(
        st.tuples(
            st.sampled_from(["budget", "pain"]),
            st.sampled_from(["x", "y"]),
            st.sampled_from(["affirmed", "negated"]),
            st.sampled_from(["d1", "d2"]),
            st.integers(0, 60),
        ),
        max_size=8,
    ).map(lambda drawn: [fact(f"{prefix}{index}", *five) for index, five in enumerate(drawn)])


def test_a_fact_in_another_document_is_no_match() -> None:
    compared = matching.match([fact("p")], [fact("f", document="d2")])
    assert not compared.matched
    assert len(compared.missed) == len(compared.spurious) == 1


def test_saying_it_three_times_earns_one_match() -> None:
    compared = matching.match([fact("p")], [fact("f1"), fact("f2"), fact("f3")])
    assert len(compared.matched) == 1
    assert len(compared.spurious) == 2


def test_a_misread_value_is_told_from_one_that_was_missed() -> None:
    compared = matching.match(
        [fact("p1"), fact("p2", predicate="timeline", value="2026-07")],
        [fact("f1", value="none"), fact("f2", predicate="pain", value="stockouts")],
    )
    assert [pair.found.value for pair in compared.wrong_value] == ["none"]
    assert [missed.id for missed in compared.missed] == ["p2"]
    assert [spurious.id for spurious in compared.spurious] == ["f2"]


def test_a_denial_read_as_a_yes_is_a_wrong_polarity() -> None:
    compared = matching.match([fact("p", polarity="negated")], [fact("f")])
    assert len(compared.wrong_polarity) == 1
    assert not compared.matched


def test_names_match_whatever_their_case_width_and_spaces() -> None:
    compared = matching.match([fact("p", "competitor", "Port View")], [fact("f", "competitor", "PORT\u00a0 view")])
    assert len(compared.matched) == 1


def test_the_pair_that_shares_most_text_wins() -> None:
    compared = matching.match([fact("p1", at=0), fact("p2", at=50)], [fact("f2", at=52), fact("f1", at=3)])
    assert {(pair.planted.id, pair.found.id) for pair in compared.matched} == {("p1", "f1"), ("p2", "f2")}
    assert all(pair.overlaps for pair in compared.matched)


@given(facts("p"), facts("f"))
def test_every_fact_ends_in_exactly_one_place(planted: list[Fact], found: list[Fact]) -> None:
    compared = matching.match(planted, found)
    pairs = (*compared.matched, *compared.wrong_value, *compared.wrong_polarity)
    assert Counter(fact.id for fact in planted) == Counter(
        [pair.planted.id for pair in pairs] + [fact.id for fact in compared.missed]
    )
    assert Counter(fact.id for fact in found) == Counter(
        [pair.found.id for pair in pairs] + [fact.id for fact in compared.spurious]
    )


@given(facts("p"), facts("f"))
def test_no_other_pairing_would_match_more(planted: list[Fact], found: list[Fact]) -> None:
    def keys(facts: list[Fact]) -> Counter[tuple[str, str, str, str]]:
        return Counter((fact.document_id, fact.predicate, fact.value, fact.polarity) for fact in facts)

    compared = matching.match(planted, found)
    assert len(compared.matched) == (keys(planted) & keys(found)).total()


@given(facts("p"), facts("f"))
def test_the_order_of_the_arguments_does_not_matter(planted: list[Fact], found: list[Fact]) -> None:
    compared = matching.match(planted, found)
    again = matching.match(planted[::-1], found[::-1])
    assert compared.matched == again.matched
    assert sorted(fact.id for fact in compared.missed) == sorted(fact.id for fact in again.missed)


def test_where_a_spurious_fact_was_read() -> None:
    trap, other = fact("t", at=100), fact("p", "pain", at=200)
    assert matching.where(fact("f", at=105), [trap], [other]) == "trap"
    assert matching.where(fact("f", at=205), [trap], [other]) == "other_planted"
    assert matching.where(fact("f", at=400), [trap], [other]) == "elsewhere"
