"""What the sandbox CRM accepts, refuses and normalises, value by value."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.crm.catalog import default_definitions
from sandbox.crm.values import ValueRefused, check_properties, check_value

CONTACT = {d["name"]: d for d in default_definitions("contacts", "2024-01-01T00:00:00.000Z")}
EXTERNALS = {"OWNER": frozenset({"1", "2"})}


def definition(kind: str, widget: str = "text", options: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"name": "nightdesk_x", "type": kind, "fieldType": widget, "options": [{"value": o} for o in options]}


@pytest.mark.parametrize(
    ("kind", "raw", "stored"),
    [
        ("number", " 12.50 ", "12.50"),
        ("number", 86, "86"),
        ("number", "-0", "-0"),
        ("bool", True, "true"),
        ("bool", " FALSE ", "false"),
        ("date", "2026-11-17", "2026-11-17"),
        ("date", "1794873600000", "2026-11-17"),
        ("date", "2026-11-17T00:00:00Z", "2026-11-17"),
        ("date", "2026-11-17T02:00:00+02:00", "2026-11-17"),
        ("datetime", "2026-11-17T06:30:00+01:00", "2026-11-17T05:30:00.000Z"),
        ("datetime", "1794873600123", "2026-11-17T00:00:00.123Z"),
        ("datetime", "2026-11-17", "2026-11-17T00:00:00.000Z"),
        ("string", "  kept as it is \n", "  kept as it is \n"),
    ],
)
def test_a_value_is_stored_in_hubspots_form(kind: str, raw: Any, stored: str) -> None:
    assert check_value(definition(kind), raw, EXTERNALS) == stored


@pytest.mark.parametrize(
    ("kind", "raw", "code"),
    [
        ("number", "NaN", "INVALID_NUMBER"),
        ("number", "Infinity", "INVALID_NUMBER"),
        ("number", "1_000", "INVALID_NUMBER"),
        ("number", "12,5", "INVALID_NUMBER"),
        ("bool", "yes", "INVALID_OPTION"),
        ("date", "2026-11-17T05:00:00Z", "INVALID_DATE"),
        ("date", "1794873600001", "INVALID_DATE"),
        ("date", "2026-02-30", "INVALID_DATE"),
        ("datetime", "tomorrow", "INVALID_DATE"),
        ("datetime", "9" * 30, "INVALID_DATE"),
        ("string", "x" * 65_537, "INVALID_LENGTH"),
        ("string", ["a"], "INVALID_TYPE"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_hubspots_code(kind: str, raw: Any, code: str) -> None:
    with pytest.raises(ValueRefused) as refused:
        check_value(definition(kind), raw, EXTERNALS)
    assert refused.value.code == code


def test_options_are_internal_values_and_several_are_joined() -> None:
    tier = definition("enumeration", "select", ("A", "B"))
    many = definition("enumeration", "checkbox", ("a", "b", "c"))
    assert check_value(tier, "A", EXTERNALS) == "A"
    assert check_value(many, "b;a", EXTERNALS) == "b;a"
    assert check_value(many, ";c;a", EXTERNALS, current="a;b") == "a;b;c"
    for item, raw in ((tier, "a"), (tier, "A;B"), (many, "a;z"), (tier, "🅰")):
        with pytest.raises(ValueRefused, match="allowed options"):
            check_value(item, raw, EXTERNALS)


@pytest.mark.parametrize(
    ("name", "raw", "stored"),
    [
        ("email", " Dana@ACME.example ", "dana@acme.example"),
        ("phone", "+49 (30) 123-456", "+4930123456"),
        ("phone", " 030 / 123 ", "030 / 123"),
        ("hubspot_owner_id", "2", "2"),
        ("jobtitle", " Head ", " Head "),
    ],
)
def test_contact_fields_are_normalised(name: str, raw: str, stored: str) -> None:
    assert check_properties(CONTACT, {name: raw}, EXTERNALS) == ({name: stored}, [])


def test_every_given_name_is_clean_or_a_problem_and_null_is_ignored() -> None:
    given_values = {
        "jobtitle": "CFO", "firstname": None, "phone": "", "email": "no address", "nope": "x", "hs_object_id": "9",
        "hubspot_owner_id": "77",
    }  # fmt: skip
    clean, problems = check_properties(CONTACT, given_values, EXTERNALS)
    assert clean == {"jobtitle": "CFO", "phone": ""}
    assert {p.name: p.code for p in problems} == {
        "email": "INVALID_EMAIL",
        "nope": "PROPERTY_DOESNT_EXIST",
        "hs_object_id": "READ_ONLY_VALUE",
        "hubspot_owner_id": "INVALID_OPTION",
    }


@given(st.text(max_size=200))
def test_own_text_is_kept_to_the_character(text: str) -> None:
    assert check_value(definition("string", "textarea"), text, EXTERNALS) == text


@given(st.sampled_from(["number", "bool", "date", "datetime"]), st.text(max_size=30))
def test_what_was_accepted_once_is_accepted_again_unchanged(kind: str, text: str) -> None:
    try:
        stored = check_value(definition(kind), text, EXTERNALS)
    except ValueRefused:
        return
    assert check_value(definition(kind), stored, EXTERNALS) == stored
