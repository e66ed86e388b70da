"""Somebody who was erased does not come back, whatever the CRM still holds and however it is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_sources_support import SIZES, Bench, Template, shared_template

from nightdesk.erasure import raw_rows
from nightdesk.erasure.tombstones import Tombstones, document
from sources.hubspot import LoadReport, load

CONTACT = "1000014"
ADDRESS = "p14@c2.example"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return shared_template(tmp_path_factory)


def _stones(it: Bench) -> Tombstones:
    """Tombstones of contact 14 and of what is linked to it now, as an erasure sets them."""
    stones = Tombstones(b"k" * 32)
    stones.learn("contact", CONTACT, "e1")
    stones.learn("email", ADDRESS, "e1")
    for kind, one in _linked(it):
        stones.learn("document", document(kind, one), "e1")
    stones.learned.clear()
    return stones


def _linked(it: Bench) -> list[tuple[str, str]]:
    rows = it.ask(
        f"select from_object_type, from_id from hubspot.associations where to_object_type = 'contacts' "
        f"and to_id = '{CONTACT}' and from_object_type <> 'deals' order by all"
    )
    return [(str(kind), str(one)) for kind, one in rows]


def _load(it: Bench, stones: Tombstones, *, full: bool = False) -> LoadReport:
    return load(it.settings(), it.raw, it.pipelines, full=full, tombstones=stones)


def _erase(it: Bench, stones: Tombstones) -> None:
    import duckdb

    with duckdb.connect(str(it.raw)) as con:
        raw_rows.remove(con, stones)


def _records(it: Bench) -> dict[str, list[tuple[object, ...]]]:
    """Every table's rows but how far the load has read: that moves on whoever is kept out."""
    return {name: rows for name, rows in it.contents().items() if name != "load_watermarks"}


def _traces(it: Bench) -> list[str]:
    """Tables that still show contact 14 or its address."""
    from sources.hubspot.tables import TABLES

    found: list[str] = []
    for name, table in TABLES.items():
        texts = [column.name for column in table.columns if column.kind == "text"]
        where = " or ".join(f"{text} in ('{CONTACT}', '{ADDRESS}')" for text in texts)
        if it.ask(f"select count(*) from hubspot.{name} where {where}") != [(0,)]:
            found.append(name)
    return found


def test_neither_a_later_nor_a_full_load_nor_a_new_file_brings_the_person_back(
    template: Template, tmp_path: Path
) -> None:
    with template.loaded(tmp_path) as it:
        linked, stones = _linked(it), _stones(it)
        assert {kind for kind, _ in linked} >= {"emails"} and "contacts" in _traces(it)
        _erase(it, stones)
        assert _traces(it) == []
        others = _records(it)

        it.edit("contacts", CONTACT, jobtitle="Still there")
        kind, one = next(pair for pair in linked if pair[0] == "emails")
        it.edit(kind, one, hs_email_subject="Still there, too")
        later = _load(it, stones)
        assert later.erased["contacts"] == 1 and later.erased["emails"] >= 1
        assert _records(it)["emails"] == others["emails"] and _traces(it) == []

        full = _load(it, stones, full=True)
        expected = {kind: sum(1 for one, _ in linked if one == kind) for kind, _ in linked} | {"contacts": 1}
        assert {kind: full.erased[kind] for kind in expected} == expected
        assert _records(it) == others and _traces(it) == []

        it.forget()
        anew = _load(it, stones)
        assert {kind: anew.erased[kind] for kind in expected} == expected
        assert _records(it) == others and _traces(it) == []
        assert anew.rows_total["contacts"] == SIZES["contacts"] - 1


def test_a_new_record_of_the_same_address_and_what_is_linked_to_it_stay_out(template: Template, tmp_path: Path) -> None:
    with template.loaded(tmp_path) as it:
        stones = _stones(it)
        _erase(it, stones)
        others = _records(it)
        it.api("DELETE", f"/crm/v3/objects/contacts/{CONTACT}")
        body = {"properties": {"email": ADDRESS.upper(), "firstname": "Ada", "lastname": "Nr 14"}}
        created = it.api("POST", "/crm/v3/objects/contacts", body)["id"]
        _engage(it, "notes", {"hs_note_body": "Ada is back, says budget is open.", "hs_timestamp": _NOW}, created)
        mail = {"hs_email_text": f"On Tuesday <{ADDRESS}> wrote:\n> Our budget is open.", "hs_timestamp": _NOW}
        _engage(it, "emails", mail | {"hs_email_direction": "EMAIL", "hs_email_subject": "Fwd"}, "1000004")
        report = _load(it, stones)
        # The record archived in the CRM, and the new one.
        assert (report.erased["contacts"], report.erased["notes"], report.erased["emails"]) == (2, 1, 1)
        assert stones.has("contact", str(created)), "the new id is known for the next load"
        # Before the load writes anything, what it learned is handed over to be kept.
        assert {kind for kind, _ in stones.learned} == {"contact", "document"}
        assert _records(it) == others


def test_a_record_that_an_erased_one_was_merged_into_is_the_same_person(template: Template, tmp_path: Path) -> None:
    with template.loaded(tmp_path) as it:
        stones = _stones(it)
        _erase(it, stones)
        body = {"primaryObjectId": "1000010", "objectIdToMerge": CONTACT}
        it.api("POST", "/crm/v3/objects/contacts/merge", body)
        report = _load(it, stones)
        assert report.erased["contacts"] == 1
        assert stones.has("contact", "1000010") and stones.has("email", "p10@c10.example")


def test_a_voice_is_known_again_and_a_quoting_mail_of_a_known_thread_stays_out(
    template: Template, tmp_path: Path
) -> None:
    with template.loaded(tmp_path) as it:
        stones = _stones(it)
        stones.learn("speaker", "Ada Nr 14|Company 2", "e1")
        stones.learn("thread", "t-9", "e1")
        _erase(it, stones)
        call = {"hs_call_title": "Talk", "hs_timestamp": _NOW, "hs_call_body": "[00:00:01] Ada Nr 14 (Company 2): Me."}
        _engage(it, "calls", call, "1000005")
        namesake = call | {"hs_call_body": "[00:00:01] Ada Nr 14 (Company 8): Not me."}
        _engage(it, "calls", namesake, "1000008")
        mail = {"hs_email_thread_id": "t-9", "hs_timestamp": _NOW, "hs_email_direction": "EMAIL"}
        _engage(it, "emails", mail | {"hs_email_text": "See below.\n\n> Our budget is open."}, "1000005")
        _engage(it, "emails", mail | {"hs_email_text": "Thanks, all clear."}, "1000005")
        report = _load(it, stones)
        assert (report.erased["calls"], report.erased["emails"]) == (1, 1)
        assert (report.rows_moved["calls"], report.rows_moved["emails"]) == (1, 1)


def test_a_value_of_ours_that_quotes_the_person_is_read_as_its_mask(template: Template, tmp_path: Path) -> None:
    with template.loaded(tmp_path) as it:
        body = {"label": "R", "type": "string", "fieldType": "text", "groupName": "contactinformation"}
        it.api("POST", "/crm/v3/properties/contacts", body | {"name": "nightdesk_reason"})
        it.edit("contacts", "1000005", nightdesk_reason="Ada said: our budget is open.")
        it.edit("contacts", "1000006", nightdesk_reason="A title we sell to.")
        stones = _stones(it)
        stones.learn("value", "Ada said: our budget is open.", "e1")
        _erase(it, stones)
        _load(it, stones, full=True)
        found = dict(it.ask("select object_id, value from hubspot.namespaced_values"))  # pyright: ignore
        assert found["1000006"] == "A title we sell to."
        assert str(found["1000005"]).startswith("erased:") and found["1000005"] == stones.masked(
            "Ada said: our budget is open."
        )
        assert sum(_load(it, stones).rows_moved.values()) == _load(it, stones).rows_moved["load_watermarks"]


def test_nobody_erased_costs_nothing(template: Template, tmp_path: Path) -> None:
    with template.loaded(tmp_path) as it:
        it.edit("contacts", CONTACT, jobtitle="COO")
        report = it.load()
        assert report.erased == {} and report.rows_moved["contacts"] == 1


_NOW = "2026-11-17T09:00:00.000Z"


def _engage(it: Bench, kind: str, properties: dict[str, str], contact: str) -> None:
    from sources.hubspot.rows import DEFAULT_LINKS

    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": DEFAULT_LINKS[kind, "contacts"]}]
    body = {"properties": properties, "associations": [{"to": {"id": contact}, "types": types}]}
    it.api("POST", f"/crm/v3/objects/{kind}", body)
