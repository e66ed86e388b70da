"""The Salesforce adapter against the sandbox org: reading, writing, setting up, and every way a write can go wrong."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nightdesk.errors import NightdeskError
from reverse_etl.crms.protocol import (
    CrmRefused,
    CrmUnavailable,
    NotOurProperty,
    PropertySpec,
    RecordWrite,
    RoutesRecords,
)
from reverse_etl.crms.salesforce import SalesforceAdapter
from reverse_etl.crms.salesforce.oauth import client_credentials
from sandbox.salesforce.call import BulkEnd
from sandbox.salesforce.saving import Trigger, ValidationRule
from sandbox.virtual import InProcess
from tests.salesforce_kit import Org, adapter, org, prepare

SCORE, TIER, REASON = "Nightdesk_Lead_Score__c", "Nightdesk_Lead_Tier__c", "Nightdesk_Lead_Reason__c"
ON, FIT = "Nightdesk_Lead_Scored_On__c", "Nightdesk_Is_Fit__c"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    path = tmp_path_factory.mktemp("org") / "org.sqlite"
    return path, prepare(path, contacts=8)


@pytest.fixture
def it(prepared: tuple[Path, dict[str, Any]], tmp_path: Path) -> Iterator[Org]:
    path = tmp_path / "org.sqlite"
    shutil.copy(prepared[0], path)
    with org(path, prepared[1]) as running:
        yield running


def write(record_id: str, version: str | None = None, **values: str) -> RecordWrite:
    return RecordWrite(record_id, f"t/{record_id}", {f"Nightdesk_Lead_{n}__c": v for n, v in values.items()}, version)


def written_once(it: Org) -> None:
    """No field of a record was written twice by us."""
    rows = [(record, name) for record, name, _ in it.written()]
    assert len(rows) == len(set(rows))


# Reading --------------------------------------------------------------------------------------------------------------


def test_records_come_under_the_id_asked_for_and_the_missing_ones_with_a_reason(it: Org) -> None:
    a, b, c, d, e = it.ids["Contact"][:5]
    with it.store.transaction():
        it.saver().merge("Contact", b, a)
        it.saver().merge("Contact", c, b)  # a chain
        it.saver().delete("Contact", d)
    asked = [a, b, c[:15], d, e, "003XX00000000zzYAA", "12"]
    got = adapter(it).read("Contact", asked, [SCORE, "Email"])
    assert set(got.found) | set(got.missing) == set(asked) and not set(got.found) & set(got.missing)
    assert (got.found[a].id, got.found[b].id, got.found[c[:15]].id) == (c, c, c[:15])
    assert got.missing == {
        d: "deleted in the CRM",
        "003XX00000000zzYAA": "not in the CRM",
        "12": "not in the CRM (no Salesforce id)",
    }
    assert got.found[e].values == {SCORE: None, "Email": "p4@example.com"} and got.found[e].version


def test_values_come_as_text_in_the_crms_own_spelling(it: Org) -> None:
    record_id = it.ids["Contact"][0]
    values = {SCORE: 81.25, TIER: "B", REASON: "zwei\nZeilen 😀 'x' \"y\"", ON: "2026-11-17", FIT: True}
    it.edit("Contact", record_id, values)
    read = adapter(it).read("Contact", [record_id], list(values)).found[record_id].values
    assert read == {SCORE: "81.25", TIER: "B", REASON: values[REASON], ON: "2026-11-17", FIT: "true"}


def test_who_changed_a_value_comes_from_the_field_history_else_from_the_last_save(it: Org) -> None:
    record_id = it.ids["Contact"][0]
    it.store.track("Contact", TIER)
    crm = adapter(it)
    crm.write("Contact", [write(record_id, Tier="A", Score="5")])
    ours = crm.read("Contact", [record_id], [TIER, SCORE], history=True).found[record_id].history
    assert ours[TIER][0].source == "field history" and not ours[TIER][0].by_person
    assert ours[SCORE][0].source == "last save of the record" and not ours[SCORE][0].by_person
    it.edit("Contact", record_id, {TIER: "C"})
    theirs = crm.read("Contact", [record_id], [TIER, SCORE], history=True).found[record_id].history
    assert [(one.value, one.by_person) for one in theirs[TIER]] == [("C", True), ("A", False)]
    assert theirs[TIER][0].user == "Dana Whitfield" and theirs[SCORE][0].by_person
    it.edit("Contact", record_id, {SCORE: 7}, by="flows")
    assert not crm.read("Contact", [record_id], [SCORE], history=True).found[record_id].history[SCORE][0].by_person


def test_a_token_that_may_not_say_whose_it_is_makes_every_change_a_persons(it: Org) -> None:
    record_id = it.ids["Contact"][0]
    it.edit("Contact", record_id, {SCORE: 1}, by="integration")
    crm = adapter(it)
    crm._history._asked_me = True  # as after a refused /userinfo
    assert crm.read("Contact", [record_id], [SCORE], history=True).found[record_id].history[SCORE][0].by_person


def test_a_field_of_ours_that_is_hidden_reads_as_never_set_and_any_other_stops(it: Org) -> None:
    """Who asked to be left alone stands in a field that is not ours: hidden must not mean that nobody did."""
    it.store.restrict("Contact", TIER, readable=False, editable=False)
    it.edit("Contact", it.ids["Contact"][0], {TIER: "A", SCORE: 3})
    crm = adapter(it)
    assert crm.read("Contact", it.ids["Contact"], [SCORE, TIER]).found[it.ids["Contact"][0]].values == {
        SCORE: "3.0",
        TIER: None,
    }
    it.store.restrict("Contact", "HasOptedOutOfEmail", readable=False, editable=False)
    with pytest.raises(CrmRefused, match="hides HasOptedOutOfEmail"):
        crm.read("Contact", it.ids["Contact"], [SCORE, "HasOptedOutOfEmail"])


# Writing --------------------------------------------------------------------------------------------------------------


def test_a_batch_is_one_request_and_survives_to_the_character(it: Org) -> None:
    text = "'\"\n😀 עברית\\n#N/A " + "x" * 5000 + "."
    crm = adapter(it)
    crm.describe("Contact")
    before = crm.client.requests_sent
    said = crm.write("Contact", [write(i, Score="81.25", Tier="A", Reason=text) for i in it.ids["Contact"]])
    assert {one.state for one in said.values()} == {"acknowledged"} and crm.client.requests_sent == before + 1
    read = crm.read("Contact", it.ids["Contact"], [SCORE, TIER, REASON])
    assert all(r.values == {SCORE: "81.25", TIER: "A", REASON: text} for r in read.found.values())
    written_once(it)


def test_only_an_empty_text_clears(it: Org) -> None:
    record_id = it.ids["Contact"][0]
    it.edit("Contact", record_id, {SCORE: 1, TIER: "A", REASON: "r"})
    adapter(it).write("Contact", [write(record_id, Score="", Reason="new")])
    row = it.store.get("Contact", record_id)
    assert row and SCORE not in row.values and (row.values[TIER], row.values[REASON]) == ("A", "new")


def test_every_bad_record_of_a_batch_is_named_and_the_others_are_written(it: Org) -> None:
    ids = it.ids["Contact"]
    it.api.state.org.rules.append(ValidationRule("Contact", REASON, "forbidden", "Not in this org"))
    it.api.state.org.triggers.append(Trigger("Contact", TIER, moment="before", fails="NightTrigger: null pointer"))
    with it.store.transaction():
        it.saver().delete("Contact", ids[3])
    said = adapter(it).write(
        "Contact",
        [
            write(ids[0], Score="1"),
            write(ids[1], Reason="forbidden words"),
            write(ids[2], Tier="A"),
            write(ids[3], Score="1"),
            write(ids[4], Reason="secret " + "y" * 40_000),
            write("003XX00000000zzYAA", Score="1"),
            write("nonsense", Score="1"),
            write(ids[5], Score="much"),
            write(ids[6], Score="99999999999999999"),
            write(ids[7], Score="1.00005"),
        ],
    )
    got = {key.removeprefix("t/"): (one.state, one.refusal) for key, one in said.items()}
    assert got == {
        ids[0]: ("acknowledged", None),
        ids[1]: ("rejected", "bad_value"),
        ids[2]: ("rejected", "automation"),
        ids[3]: ("rejected", "gone"),
        ids[4]: ("rejected", "bad_value"),
        "003XX00000000zzYAA": ("rejected", "gone"),
        "nonsense": ("rejected", "gone"),
        ids[5]: ("rejected", "bad_value"),
        ids[6]: ("rejected", "bad_value"),
        ids[7]: ("rejected", "bad_value"),
    }
    assert it.written() == [(ids[0], SCORE, "1.0")]
    messages = " ".join(one.message for one in said.values())
    assert "secret" not in messages and "yyy" not in messages and "STRING_TOO_LONG" in messages


@pytest.mark.parametrize(
    ("field", "expected"), [("Nightdesk_Gone__c", "schema"), (SCORE, "no_right"), ("Title", "never asked")]
)
def test_a_field_that_is_gone_closed_or_not_ours(it: Org, field: str, expected: str) -> None:
    ids = it.ids["Contact"]
    it.store.restrict("Contact", SCORE, readable=True, editable=False)
    bad, good = RecordWrite(ids[0], "bad", {field: "1"}), [write(i, Reason="ok") for i in ids[1:5]]
    crm = adapter(it)
    if expected == "never asked":
        with pytest.raises(NotOurProperty):
            crm.write("Contact", [bad, *good])
        assert crm.client.requests_sent == 0
        return
    said = crm.write("Contact", [bad, *good])
    assert (said["bad"].state, said["bad"].refusal) == ("rejected", expected)
    assert all(said[one.trace_id].state == "acknowledged" for one in good)
    assert len(it.written()) == 4
    written_once(it)


def test_names_that_only_look_like_ours_are_refused(it: Org) -> None:
    crm = adapter(it)
    for name in ("Nightdesk_Lead_Score", "Other__c", "Nightdesk_Lead_Score__r"):
        with pytest.raises(NotOurProperty):
            crm.write("Contact", [RecordWrite(it.ids["Contact"][0], "t", {name: "1"})])
        with pytest.raises(NotOurProperty):
            crm.create_property("Contact", PropertySpec(name, "x", "text", ""))
    assert crm.client.requests_sent == 0


def test_one_record_is_written_only_if_nobody_was_faster(it: Org) -> None:
    record_id = it.ids["Contact"][0]
    crm = adapter(it)
    version = crm.read("Contact", [record_id], [SCORE]).found[record_id].version
    it.edit("Contact", record_id, {"Title": "CFO"})
    said = crm.write("Contact", [write(record_id, version, Score="5")])
    assert (said[f"t/{record_id}"].state, said[f"t/{record_id}"].refusal) == ("rejected", "stale")
    assert it.written() == []
    version = crm.read("Contact", [record_id], [SCORE]).found[record_id].version
    assert crm.write("Contact", [write(record_id, version, Score="5")])[f"t/{record_id}"].state == "acknowledged"


def test_a_few_records_are_one_request_in_which_each_is_conditional(it: Org) -> None:
    crm = adapter(it)
    ids = it.ids["Contact"]
    seen = {i: record.version for i, record in crm.read("Contact", ids, [SCORE]).found.items()}
    it.edit("Contact", ids[2], {"Title": "CFO"})
    it.store.restrict("Contact", TIER, readable=True, editable=False)
    writes = [write(i, seen[i], Score="5") for i in ids]
    writes[3] = write(ids[3], seen[ids[3]], Tier="A")
    before = crm.client.requests_sent
    said = crm.write("Contact", writes)
    assert crm.client.requests_sent == before + 1
    refused = {key.removeprefix("t/"): one.refusal for key, one in said.items() if one.state != "acknowledged"}
    assert refused == {ids[2]: "stale", ids[3]: "no_right"} and len(it.written()) == 6


def test_a_record_merged_after_it_was_read_is_named_with_its_survivor(it: Org) -> None:
    a, b = it.ids["Contact"][:2]
    with it.store.transaction():
        it.saver().merge("Contact", b, a)
    said = adapter(it).write("Contact", [write(a, Score="1")])[f"t/{a}"]
    assert said.refusal == "gone" and b in said.message and it.written() == []


def test_a_converted_lead_is_routed_to_its_contact(it: Org) -> None:
    crm = adapter(it)
    assert isinstance(crm, RoutesRecords)
    lead, other = it.ids["Lead"]
    with it.store.transaction():
        _, contact = it.saver().convert(lead)
    assert crm.route("Lead", [lead, other, "x"]) == {lead: ("Contact", contact)}
    assert crm.route("Contact", it.ids["Contact"]) == {}
    said = crm.write("Lead", [write(lead, Score="1"), write(other, Score="1")])
    assert (said[f"t/{lead}"].refusal, said[f"t/{other}"].state) == ("converted", "acknowledged")


def test_a_twin_the_org_does_not_want_is_a_duplicate(it: Org) -> None:
    a, b = it.ids["Contact"][:2]
    it.api.state.org.duplicate_fields["Contact"] = REASON
    crm = adapter(it)
    crm.write("Contact", [write(a, Reason="same")])
    assert crm.write("Contact", [write(b, Reason="same")])[f"t/{b}"].refusal == "duplicate"


def test_locked_rows_are_sent_again_side_by_side_with_their_siblings(it: Org) -> None:
    account = it.ids["Account"][0]
    it.api.state.org.locked[account] = 4  # four attempts find it held by somebody
    crm = adapter(it)
    crm.read("Contact", it.ids["Contact"], [SCORE])
    said = crm.write("Contact", [write(i, Score="1") for i in it.ids["Contact"]])
    assert {one.state for one in said.values()} == {"acknowledged"} and it.waited == [1.0]
    written_once(it)


def test_what_stays_locked_is_named(it: Org) -> None:
    it.api.state.org.locked[it.ids["Contact"][0]] = 99
    said = adapter(it).write("Contact", [write(i, Score="1") for i in it.ids["Contact"]])
    assert [one.refusal for one in said.values()].count("locked") == 1 and it.waited == [1.0, 3.0]
    assert len(it.written()) == 7


# Bulk -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    path = tmp_path_factory.mktemp("large") / "org.sqlite"
    return path, prepare(path, contacts=2_100)


@pytest.fixture
def many(large: tuple[Path, dict[str, Any]], tmp_path: Path) -> Iterator[Org]:
    path = tmp_path / "org.sqlite"
    shutil.copy(large[0], path)
    with org(path, large[1]) as running:
        yield running


def test_thousands_go_as_one_job_and_are_read_in_a_few_requests(many: Org) -> None:
    crm = adapter(many)
    ids = many.ids["Contact"]
    assert (crm.write_batch(1_999), crm.write_batch(2_000)) == (200, 10_000)
    many.edit("Contact", ids[5], {TIER: "D"})
    writes = [write(i, Score=str(n), Reason=f'line "{n}",\nnext') for n, i in enumerate(ids)]
    writes[3] = write(ids[3], Score="3", Reason="#N/A")  # not a file's null, a text
    writes[4] = write(ids[4], Reason="")
    writes[5] = write(ids[5], Score="5")
    writes[6] = write(ids[6], Score="6", Tier="Z")
    writes[7] = write(ids[7], Score="x")
    said = crm.write("Contact", writes)
    assert len(said) == 2_100
    refused = {key.removeprefix("t/"): one.refusal for key, one in said.items() if one.state != "acknowledged"}
    assert refused == {ids[6]: "bad_value", ids[7]: "bad_value"}
    read = crm.read("Contact", ids, [SCORE, TIER, REASON])
    assert read.found[ids[9]].values == {SCORE: "9.0", TIER: None, REASON: 'line "9",\nnext'}
    assert read.found[ids[3]].values[REASON] == "#N/A" and read.found[ids[5]].values[TIER] == "D"
    assert crm.client.requests_sent <= 1 + 9 + 1 + 1 + 3  # describe, the job, one text no file holds, jobs?, reading
    written_once(many)


@pytest.mark.parametrize(("state", "left"), [("Failed", "acknowledged"), ("Aborted", "rejected")])
def test_a_job_that_ends_early_loses_nobody(many: Org, state: str, left: str) -> None:
    """A failed job's rest goes as collections; one that a person aborted stays aborted."""
    many.api.state.bulk_ends.append(BulkEnd(state, 150))
    crm = adapter(many)
    said = crm.write("Contact", [write(i, Score="1") for i in many.ids["Contact"][:500]])
    states = [one.state for one in said.values()]
    assert len(states) == 500 and states.count("acknowledged") == (500 if left == "acknowledged" else 150)
    assert set(states) <= {"acknowledged", left}
    assert len(many.written()) == states.count("acknowledged")
    written_once(many)


def test_a_job_that_an_interrupted_run_left_behind_ends_before_anybody_looks(many: Org) -> None:
    """Its writes come late: whoever reads before them would send again, over whatever people do in between."""
    many.api.state.bulk_late, many.api.state.bulk_polls = True, 4
    ids = many.ids["Contact"][:300]
    killed = adapter(many)
    killed.client.wait = lambda seconds: (_ for _ in ()).throw(KeyboardInterrupt)  # before the second look at the job
    with pytest.raises(KeyboardInterrupt):
        killed.write("Contact", [write(i, Score="1") for i in ids])
    assert many.written() == []
    again = adapter(many)
    assert {one.values[SCORE] for one in again.read("Contact", ids, [SCORE]).found.values()} == {"1.0"}
    assert len(many.waited) >= 3
    sent = again.client.requests_sent
    again.read("Contact", ids, [SCORE])
    assert again.client.requests_sent == sent + 1  # asked once
    many.api.state.bulk_polls = 10_000
    killed = adapter(many)
    killed.client.wait = lambda seconds: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        killed.write("Contact", [write(i, Score="2") for i in ids])
    with pytest.raises(CrmUnavailable, match="still at work"):
        adapter(many).read("Contact", ids, [SCORE])


def test_a_job_refused_for_its_header_still_names_the_bad_record(many: Org) -> None:
    crm = adapter(many)
    ids = many.ids["Contact"][:300]
    writes = [write(i, Score="1") for i in ids]
    writes[17] = RecordWrite(ids[17], "bad", {"Nightdesk_Gone__c": "1"})
    said = crm.write("Contact", writes)
    assert said["bad"].refusal == "schema" and sum(one.state == "acknowledged" for one in said.values()) == 299
    written_once(many)


# Session, quota, set-up -----------------------------------------------------------------------------------------------


def test_an_expired_session_is_renewed_once(it: Org) -> None:
    it.api.sessions.users["second"] = it.me
    asked: list[str] = []

    def new_token() -> str:
        asked.append("asked")
        return "second"

    crm = adapter(it, renew=new_token)
    crm.describe("Contact")
    del it.api.sessions.users[it.api.options.token]
    assert crm.write("Contact", [write(it.ids["Contact"][0], Score="1")]).popitem()[1].state == "acknowledged"
    assert len(asked) == 1
    del it.api.sessions.users["second"]
    sent = crm.client.requests_sent
    with pytest.raises(CrmRefused, match="session") as error:
        crm.read("Contact", it.ids["Contact"], [SCORE])
    assert crm.client.requests_sent == sent + 1 and "second" not in f"{error.value}{error.value.where}"
    written_once(it)


def test_a_connected_app_gives_tokens_as_often_as_one_expires(it: Org) -> None:
    def source(secret: str) -> Any:
        transport = InProcess(it.api, it.clock)
        return client_credentials("https://org.test", "sandbox-app", secret, transport=transport)

    crm = adapter(it, renew=source("sandbox-secret"))
    it.api.sessions.users.clear()
    assert SCORE in crm.describe("Contact").properties
    it.api.sessions.users.clear()
    assert crm.write("Contact", [write(it.ids["Contact"][0], Score="1")]).popitem()[1].state == "acknowledged"
    it.api.sessions.users.clear()
    with pytest.raises(CrmRefused, match="invalid client credentials") as error:
        adapter(it, renew=source("wrong-secret")).describe("Contact")
    assert "wrong-secret" not in f"{error.value}{error.value.where}{error.value.todo}"


def test_the_share_of_the_quota_that_is_peoples_is_never_used(it: Org) -> None:
    it.api.options.daily_limit, it.api.used = 1_000, 795
    crm = adapter(it)
    with pytest.raises(CrmUnavailable, match=r"800 of the CRM's 1,000.*left for people"):
        for _ in range(20):
            crm.describe("Contact")
    assert it.api.used == 800
    it.api.used = 1_000
    with pytest.raises(CrmUnavailable, match="used up"):
        adapter(it).describe("Contact")


def test_set_up_makes_fields_that_the_integration_user_can_see(tmp_path: Path) -> None:
    with org(tmp_path / "org.sqlite", fields=False) as it:
        crm: SalesforceAdapter = adapter(it)
        specs = [
            PropertySpec(SCORE, "Lead score", "number", "nightdesk"),
            PropertySpec(TIER, "Lead tier", "enumeration", "nightdesk", ("A", "B")),
            PropertySpec(REASON, "Lead score reason", "text", "nightdesk"),
            PropertySpec(ON, "Lead scored on", "date", "nightdesk"),
            PropertySpec(FIT, "Is a fit", "boolean", "nightdesk"),
        ]
        it.store.put_custom_field("Contact", SCORE, {"label": "x", "type": "Number", "precision": 18, "scale": 4})
        assert SCORE not in crm.describe("Contact").properties  # there, but without the right: an interrupted set-up
        for spec in specs:
            crm.create_property("Contact", spec)
        crm.add_options("Contact", TIER, ["B", "C"])
        crm.add_options("Contact", TIER, ["B", "C"])
        found = crm.describe("Contact").properties
        assert {name: found[name].value_type for name in (s.name for s in specs)} == {
            s.name: s.value_type for s in specs
        }
        assert found[TIER].options == ("A", "B", "C") and not any(found[s.name].is_read_only for s in specs)
        assert found["SystemModstamp"].is_read_only and found[REASON].crm_type == "textarea(32000)"
        assert len(it.store.all("PermissionSet")) == len(it.store.all("PermissionSetAssignment")) == 1
        said = crm.write(
            "Contact", [write(it.ids["Contact"][0], Score="4.5", Tier="C", Reason="r", Scored_On="2026-01-02")]
        )
        assert said.popitem()[1].state == "acknowledged"


def test_set_up_without_knowing_the_user_says_who_must_do_the_rest(tmp_path: Path) -> None:
    with org(tmp_path / "org.sqlite", fields=False) as it:
        crm = adapter(it)
        crm._history._asked_me = True  # as after a refused /userinfo
        spec = PropertySpec(SCORE, "Lead score", "number", "nightdesk")
        with pytest.raises(NightdeskError, match="who the access token belongs to") as error:
            crm.create_property("Contact", spec)
        assert "by hand" in error.value.todo
        parent = it.store.all("PermissionSet")[0].id
        assigned = {"AssigneeId": it.me, "PermissionSetId": parent}
        it.store.insert("PermissionSetAssignment", assigned, user=it.store.user("dana"))
        crm.create_property("Contact", spec)  # as it was told to do again
        assert SCORE in crm.describe("Contact").properties
