"""The phrase grammar and its split into open and held-out variants."""

from __future__ import annotations

from random import Random

import pytest

from nightdesk.errors import NightdeskError
from sandbox.company.grammar import Bank, parse, read_bank, split_variants, tidy


def test_alternatives_nest_and_empty_ones_leave_no_gap() -> None:
    bank = Bank("all")
    seen = {bank.fill("we [have [no|little]|] money", Random(n)) for n in range(60)}
    assert seen == {"we have no money", "we have little money", "we money"}


def test_a_slot_takes_the_context_first_then_the_family_then_fails() -> None:
    bank = Bank("all")
    assert bank.fill("on {weekday}", Random(1), {"weekday": "Sunday"}) == "on Sunday"
    assert bank.fill("on {weekday}", Random(1)).removeprefix("on ") in {
        "Monday",
        "Tuesday",
        "Wednesday",
        "Thursday",
        "Friday",
    }
    with pytest.raises(NightdeskError, match="does not know"):
        bank.fill("on {no_such_thing}", Random(1))


def test_numbers_stay_within_their_range() -> None:
    bank = Bank("all")
    assert {int(bank.fill("{#3-5}", Random(n))) for n in range(80)} == {3, 4, 5}


@pytest.mark.parametrize("broken", ["we [have|had", "we have] it"])
def test_brackets_that_do_not_match_are_refused(broken: str) -> None:
    with pytest.raises(NightdeskError, match="bracket"):
        parse(broken)


def test_a_phrase_before_the_first_family_is_refused() -> None:
    with pytest.raises(NightdeskError, match="before the first family"):
        read_bank("lost words\n== family\n")


def test_open_and_held_out_share_nothing_and_together_are_everything() -> None:
    everything, open_half, held_half = Bank("all"), Bank("open"), Bank("held_out")
    checked = held = total = 0
    for name, family in everything.families.items():
        if len(open_half.families[name].in_use) == len(family.in_use):
            continue  # not split
        checked += 1
        first, second = set(open_half.families[name].in_use), set(held_half.families[name].in_use)
        assert not first & second, name
        assert first | second == set(family.in_use), name
        held += len(second)
        total += len(family.in_use)
    assert checked > 80
    assert 0.22 < held / total < 0.40  # a quarter, rounded up in small families


def test_the_split_does_not_depend_on_order() -> None:
    variants = tuple(f"variant {n}" for n in range(12))
    first, second = split_variants(variants), split_variants(variants[::-1])
    assert set(first[0]) == set(second[0])
    assert len(first[1]) == 3


def test_tidy_closes_gaps() -> None:
    assert tidy("we  have , well") == "we have, well"


def test_every_variant_of_every_family_can_be_said() -> None:
    bank = Bank("all")
    context = {
        name: name.upper()
        for name in [
            "me",
            "last",
            "our",
            "our_last",
            "co",
            "city",
            "colleague",
            "colleague_first",
            "colleague_title",
            "colleague_email",
            "competitor",
            "tech",
            "month",
            "othermonth",
            "opens",
            "opens_year",
            "boss",
            "headcount",
            "back",
            "back_numeric",
            "back_day",
            "back_month",
            "address",
            "host",
            "subject",
            "our_co",
            "names",
            "country",
            "angle",
            "them",
            "nl",
            "zw",
            "event",
            "kind",
            "sender",
            "domain",
        ]
    }
    for name in bank.families:
        for n in range(6):
            text = bank.say(name, Random(n), context)
            assert "[" not in text or bank.families[name].raw or name.startswith("hostile"), (name, text)
