"""The Salesforce client and its words: what every answer means, and that no write is ever sent blindly."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reverse_etl.crms.http import OutcomeUnknown, RequestRefused
from reverse_etl.crms.protocol import CrmRefused, CrmUnavailable, RecordWrite
from reverse_etl.crms.quota import DailyQuota
from reverse_etl.crms.salesforce import SalesforceAdapter, SalesforceClient, composite
from reverse_etl.crms.salesforce.adapter import partition
from reverse_etl.crms.salesforce.bulk import compose
from reverse_etl.crms.salesforce.refusals import of_cell, of_refusal, of_result
from reverse_etl.crms.salesforce.wire import CannotHold, Kind, http_date, long_id, quoted, schema, to_cell, to_json
from sandbox.salesforce import ids, soql

Answer = httpx2.Response | Exception
NUMBER, TEXT, CHECK = Kind("double", 4), Kind("textarea"), Kind("boolean")


@dataclass
class Scripted:
    """Answers one after the other; remembers requests and waits."""

    answers: list[Answer]
    requests: list[httpx2.Request] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client(self, **options: Any) -> SalesforceClient:
        return SalesforceClient(
            "https://org.test", "secret", transport=httpx2.MockTransport(self), sleep=self.waits.append,
            now=lambda: 0.0, attempts=3, **options,
        )  # fmt: skip


def error(status: int, code: str, message: str = "no") -> httpx2.Response:
    return httpx2.Response(status, json=[{"errorCode": code, "message": message}])


def done(body: Any = None) -> httpx2.Response:
    return httpx2.Response(200, json=body if body is not None else {})


@pytest.mark.parametrize("trouble", [httpx2.Response(502), httpx2.ReadTimeout("late"), httpx2.ReadError("cut")])
def test_a_write_whose_answer_is_lost_is_never_sent_again_and_a_read_is(trouble: Answer) -> None:
    script = Scripted([trouble, done()])
    with pytest.raises(OutcomeUnknown):
        script.client().request("PATCH", "composite/sobjects", body={}, effect="write")
    assert len(script.requests) == 1
    script = Scripted([trouble, done({"x": 1.1})])
    assert script.client().request("GET", "query").body == {"x": Decimal("1.1")}


def test_what_a_refusal_means() -> None:
    cases: list[tuple[httpx2.Response, type[Exception], str]] = [
        (error(400, "INVALID_FIELD"), RequestRefused, "INVALID_FIELD"),
        (error(404, "ENTITY_IS_DELETED"), RequestRefused, "ENTITY_IS_DELETED"),
        (error(412, ""), RequestRefused, "412"),
        (httpx2.Response(300, json=["/a", "/b"]), RequestRefused, "300"),
        (error(403, "INSUFFICIENT_ACCESS_OR_READONLY"), RequestRefused, "INSUFFICIENT"),
        (error(403, "API_DISABLED_FOR_ORG"), CrmRefused, "API_DISABLED_FOR_ORG"),
        (error(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), CrmUnavailable, "used up"),
        (error(401, "INVALID_SESSION_ID"), CrmRefused, "session"),
        (httpx2.Response(302, headers={"location": "https://elsewhere"}), CrmRefused, "another address"),
        (httpx2.Response(200, text="<html>log in</html>"), CrmRefused, "does not answer like Salesforce"),
    ]
    for answer, expected, words in cases:
        with pytest.raises(expected, match=words) as raised:
            Scripted([answer]).client().request("GET", "sobjects")
        assert "secret" not in repr(raised.value) + str(getattr(raised.value, "where", ""))
    with pytest.raises(OutcomeUnknown):
        Scripted([httpx2.Response(200, text="<html>")]).client().request("PATCH", "x", body={}, effect="write")


def test_too_many_requests_at_once_are_waited_out() -> None:
    busy = error(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded.")
    script = Scripted([busy, busy, done({"ok": 1})])
    assert script.client().request("PATCH", "x", body={}, effect="write").body == {"ok": 1}
    assert script.waits == [0.5, 1.0]


def test_a_session_is_renewed_once_even_for_a_write() -> None:
    script = Scripted([error(401, "INVALID_SESSION_ID"), done({"ok": 1})])
    assert script.client(renew=lambda: "fresh").request("PATCH", "x", body={}, effect="write").body == {"ok": 1}
    assert [one.headers["authorization"] for one in script.requests] == ["Bearer secret", "Bearer fresh"]
    script = Scripted([error(401, "INVALID_SESSION_ID")])
    with pytest.raises(CrmRefused):
        script.client(renew=lambda: "secret").request("GET", "x")  # the same one again is no renewal
    assert len(script.requests) == 1


def test_the_limits_header_counts_everybodys_requests() -> None:
    header = {"Sforce-Limit-Info": "api-usage=79/100; per-app-api-usage=3/250(appName=other)"}
    script = Scripted([httpx2.Response(200, json={}, headers=header), done(), done()])
    client = script.client(quota=DailyQuota(0.2))
    client.request("GET", "x")
    client.request("GET", "x")
    with pytest.raises(CrmUnavailable, match="left for people"):
        client.request("GET", "x")
    assert len(script.requests) == 2


# Words ----------------------------------------------------------------------------------------------------------------


def test_values_travel_as_their_fields_type() -> None:
    assert [to_json(NUMBER, w) for w in ("80", "81.25", "-0.5", "")] == [80, 81.25, -0.5, None]
    assert [to_json(CHECK, w) for w in ("true", "false", "")] == [True, False, False]
    assert [to_json(TEXT, w) for w in ("80", "true", "#N/A", "")] == ["80", "true", "#N/A", None]
    assert [to_cell(TEXT, w) for w in ("a", "", "#N/A", "x" * 32_001)] == ["a", "#N/A", None, None]
    assert to_cell(CHECK, "") == "false"
    assert to_json(NUMBER, "9" * 40 + ".1") == float("9" * 40)
    for kind, wrong in ((NUMBER, "ten"), (NUMBER, "NaN"), (NUMBER, "1.00001"), (CHECK, "yes")):
        with pytest.raises(CannotHold) as raised:
            to_json(kind, wrong)
        assert wrong not in str(raised.value)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=60))
def test_any_text_survives_a_query_and_a_bulk_file(text: str) -> None:
    query = soql.parse(f"SELECT Id FROM Contact WHERE Name = {quoted(text)}")
    assert query.tester(date(2026, 11, 17))({"Name": text})
    (file,) = compose([RecordWrite(ids.make("003", 1), "t", {"F__c": text or "x"})], {"F__c": TEXT})
    if file.writes:
        assert [row["F__c"] for row in csv.DictReader(io.StringIO(file.text, newline=""))] == [text or "x"]


def test_a_long_load_is_cut_into_files_and_every_record_is_in_one() -> None:
    writes = [RecordWrite(ids.make("003", n), f"t{n}", {"F__c": "x"}) for n in range(10_001)]
    files = compose(writes, {"F__c": TEXT})
    assert [len(file.writes) for file in files] == [10_000, 1]
    assert sum(file.text.count("\n") for file in files) == 10_003


def test_field_definitions_become_ours() -> None:
    plain = {"name": "X__c", "label": "X", "updateable": True, "calculated": False}
    number = schema({**plain, "type": "double", "precision": 18, "scale": 4})
    assert (number.value_type, number.crm_type, number.is_read_only) == ("number", "double(18,4)", False)
    assert schema({**plain, "type": "string", "length": 80}).crm_type == "string(80)"
    assert schema({**plain, "type": "string", "length": 80, "calculated": True}).is_read_only
    assert schema({**plain, "type": "boolean", "updateable": False}).is_read_only
    options = [{"value": "A", "active": True}, {"value": "old", "active": False}]
    assert schema({**plain, "type": "picklist", "picklistValues": options}).options == ("A",)
    assert schema({**plain, "type": "multipicklist"}).value_type == "other"


def test_time_stamps_and_ids() -> None:
    assert http_date("2026-11-17T06:00:05.000+0000") == "Tue, 17 Nov 2026 06:00:05 GMT"
    assert http_date("nonsense") is None
    assert long_id("001D000000IqhSL") == "001D000000IqhSLIAZ"


def test_messages_say_why_and_not_what() -> None:
    write = RecordWrite("003", "t", {"Nightdesk_Lead_Reason__c": "her divorce"})
    long = {"statusCode": "STRING_TOO_LONG", "message": "Reason: data value too large: her divorce (max length=9)",
            "fields": ["Nightdesk_Lead_Reason__c"]}  # fmt: skip
    said = of_result(write, {"success": False, "errors": [long]})
    assert said.refusal == "bad_value" and "divorce" not in said.message and "max length=9" in said.message
    cell = of_cell(write, "FIELD_CUSTOM_VALIDATION_EXCEPTION:not her divorce: please:Nightdesk_Lead_Reason__c --")
    assert cell.refusal == "bad_value" and "divorce" not in cell.message and "please" in cell.message
    assert of_refusal(write, RequestRefused(404, "", "HTTP 404", {})).refusal == "gone"
    assert of_refusal(write, RequestRefused(418, "TEAPOT", "no", {})).refusal == "other"


# Every input has one outcome ------------------------------------------------------------------------------------------

results = st.lists(
    st.fixed_dictionaries(
        {"success": st.sampled_from([True, False, None])},
        optional={
            "id": st.sampled_from([ids.make("003", n) for n in range(6)]),
            "errors": st.just([{"statusCode": "UNABLE_TO_LOCK_ROW", "message": "m", "fields": []}]),
        },
    ),
    max_size=7,
)


@settings(deadline=None)
@given(st.integers(1, 5), st.one_of(results, st.none(), st.just({"a": 1})))
def test_whatever_a_collection_answers_each_record_has_one_outcome(count: int, answer: Any) -> None:
    batch = [RecordWrite(ids.make("003", n), f"t{n}", {"F__c": "1"}) for n in range(count)]
    outcomes = partition(batch, answer)
    assert set(outcomes) == {write.trace_id for write in batch}
    named = [one for one in answer if isinstance(one, dict)] if isinstance(answer, list) else []
    for write in batch:
        if outcomes[write.trace_id].state == "acknowledged":  # only a success that is this record's says so
            mine = [n for n, one in enumerate(named) if one["success"] is True and one.get("id") in (None, write.id)]
            assert mine
            assert not [one for one in named if one.get("id") == write.id and one["success"] is not True]


@given(
    st.integers(1, 5), st.lists(st.tuples(st.integers(0, 6), st.sampled_from([204, 412, 400, 404, 500])), max_size=8)
)
def test_whatever_a_composite_answers_each_record_has_one_outcome(count: int, parts: list[tuple[int, int]]) -> None:
    batch = [RecordWrite(ids.make("003", n), f"t{n}", {"F__c": "1"}) for n in range(count)]
    answer = {"compositeResponse": [{"referenceId": f"r{n}", "httpStatusCode": s, "body": None} for n, s in parts]}
    outcomes = composite.partition(batch, answer)
    assert set(outcomes) == {write.trace_id for write in batch}
    for n, write in enumerate(batch):
        said = [status for number, status in parts if number == n]
        expected = {204: "acknowledged", 500: "unknown"}.get(said[0], "rejected") if len(said) == 1 else "unknown"
        assert outcomes[write.trace_id].state == expected


@settings(max_examples=30, deadline=None)  # up to 200 records a time
@given(st.integers(1, 200), st.data())
def test_bad_records_are_found_in_few_requests(count: int, data: st.DataObject) -> None:
    """k bad records among n take at most 2k * ceil(log2 n) + 1 requests, and all others are written once."""
    bad = {ids.make("003", n) for n in data.draw(st.sets(st.integers(0, count - 1), max_size=5))}
    written: list[str] = []
    asked: list[int] = []

    def org(request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET":
            return done({"fields": [{"name": "Nightdesk_F__c", "type": "string"}]})
        records = [one["id"] for one in json.loads(request.content)["records"]]
        asked.append(len(records))
        if bad & set(records):
            return error(400, "JSON_PARSER_ERROR")
        written.extend(records)
        return done([{"id": one, "success": True, "errors": []} for one in records])

    transport = httpx2.MockTransport(org)
    client = SalesforceClient("https://org.test", "t", transport=transport, sleep=lambda _: None, now=lambda: 0.0)
    client._budget.take = lambda: None  # speed is not the question here
    writes = [RecordWrite(ids.make("003", n), f"t{n}", {"Nightdesk_F__c": "1"}) for n in range(count)]
    outcomes = SalesforceAdapter(client, "Nightdesk_").write("Contact", writes)
    assert {w.id for w in writes if outcomes[w.trace_id].state == "rejected"} == bad
    assert sorted(written) == sorted(w.id for w in writes if w.id not in bad)
    assert len(asked) <= 2 * len(bad) * max(1, (count - 1).bit_length()) + 1 and max(asked) <= 200
