"""The HubSpot client and adapter against scripted answers: quota, retries, lost answers, the partition rule."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from reverse_etl.crms.hubspot import HubSpotAdapter, HubSpotClient
from reverse_etl.crms.hubspot.adapter import partition
from reverse_etl.crms.hubspot.client import OutcomeUnknown, RequestBudget
from reverse_etl.crms.protocol import CrmRefused, CrmUnavailable, NotOurProperty, RecordWrite

Answer = Callable[[httpx2.Request], httpx2.Response]


@dataclass
class Scripted:
    """Answers one after the other; remembers requests and waits."""

    answers: list[Answer | httpx2.Response | Exception]
    requests: list[httpx2.Request] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    now: float = 0.0

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx2.Response) else answer(request)

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def client(self, **options: Any) -> HubSpotClient:
        options = {"attempts": 3, **options}
        transport = httpx2.MockTransport(self)
        return HubSpotClient(
            "http://crm.test", "secret", transport=transport, sleep=self.sleep, now=lambda: self.now, **options
        )


def reply(status: int, body: Any = None, **headers: str) -> httpx2.Response:
    return httpx2.Response(status, json=body if body is not None else {}, headers=headers)


def written(request: httpx2.Request) -> httpx2.Response:
    inputs = json.loads(request.content)["inputs"]
    results = [{"id": entry["id"], "objectWriteTraceId": entry["objectWriteTraceId"]} for entry in inputs]
    return reply(200, {"status": "COMPLETE", "results": results})


WRITES = [RecordWrite(str(n), f"t{n}", {"nightdesk_lead_score": str(n)}) for n in range(1, 5)]


def test_429_waits_exactly_as_long_as_it_says() -> None:
    script = Scripted([reply(429, {}, **{"Retry-After": "7"}), reply(200, {"ok": 1})])
    assert script.client().request("GET", "/x")[1] == {"ok": 1}
    assert script.waits == [7.0]


def test_429_without_retry_after_uses_the_interval_header_and_then_backs_off() -> None:
    script = Scripted(
        [reply(429, {}, **{"X-HubSpot-RateLimit-Interval-Milliseconds": "10000"}), reply(429), reply(200)]
    )
    script.client().request("POST", "/x", effect="write")
    assert script.waits == [10.0, 1.0]


def test_the_daily_quota_stops_at_once() -> None:
    script = Scripted([reply(429, {"errorType": "RATE_LIMIT", "policyName": "DAILY"})])
    with pytest.raises(CrmUnavailable, match="daily quota"):
        script.client().request("GET", "/x")
    assert script.waits == []


@pytest.mark.parametrize("trouble", [reply(502), httpx2.ReadTimeout("late"), httpx2.RemoteProtocolError("cut")])
def test_a_write_whose_answer_is_lost_is_never_sent_again(trouble: Any) -> None:
    script = Scripted([trouble, reply(200)])
    with pytest.raises(OutcomeUnknown):
        script.client().request("POST", "/x", effect="write")
    assert len(script.requests) == 1


@pytest.mark.parametrize("trouble", [reply(503), httpx2.ReadTimeout("late"), httpx2.ReadError("cut")])
def test_a_read_is_tried_again(trouble: Any) -> None:
    script = Scripted([trouble, reply(200, {"ok": 1})])
    assert script.client().request("POST", "/x", effect="read")[1] == {"ok": 1}


def test_no_connection_is_tried_again_even_for_a_write_and_ends_as_one_clear_error() -> None:
    script = Scripted([httpx2.ConnectError("refused")] * 3)
    with pytest.raises(CrmUnavailable) as error:
        script.client().request("POST", "/x", effect="write")
    assert len(script.requests) == 3
    assert "resumes" in error.value.todo and "secret" not in str(error.value) + error.value.where


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_said_so(status: int) -> None:
    with pytest.raises(CrmRefused, match="token") as error:
        Scripted([reply(status, {"message": "no"})]).client().request("GET", "/x")
    assert "secret" not in f"{error.value}{error.value.where}{error.value.todo}"


def test_something_else_than_hubspot_is_recognised() -> None:
    page = httpx2.Response(200, text="<html>hello</html>")
    with pytest.raises(CrmRefused, match="does not answer like HubSpot"):
        Scripted([page]).client().request("GET", "/x")


def test_the_budget_is_never_exceeded_in_any_window() -> None:
    script = Scripted([])
    budget = RequestBudget(5, lambda: script.now, script.sleep)
    sent: list[float] = []
    for _ in range(23):
        budget.take()
        sent.append(script.now)
        script.now += 0.3
    assert all(sum(start <= other < start + 10 for other in sent) <= 5 for start in sent)
    assert sent[-1] < 50  # and it does not wait for nothing


def test_dated_paths_are_supported() -> None:
    assert Scripted([]).client().object_path("contacts", "/batch/read") == "/crm/v3/objects/contacts/batch/read"
    dated = Scripted([]).client(base_path="/crm/objects/2026-03")
    assert dated.object_path("contacts", "/batch/read") == "/crm/objects/2026-03/contacts/batch/read"


# the partition rule ---------------------------------------------------------------------------------------------------


def states(body: dict[str, Any]) -> list[str]:
    outcomes = partition(WRITES, body)
    return [outcomes[write.trace_id].state for write in WRITES]


def test_results_in_any_order_and_without_trace_ids() -> None:
    body = {"results": [{"id": "3"}, {"id": "1"}, {"objectWriteTraceId": "t4", "id": "99"}, {"id": "2"}]}
    assert states(body) == ["acknowledged"] * 4


def test_what_is_in_neither_list_is_unknown_not_success() -> None:
    assert states({"results": [{"id": "1"}]}) == ["acknowledged", "unknown", "unknown", "unknown"]
    assert states({}) == ["unknown"] * 4


def test_errors_are_found_by_trace_id_or_by_record_id_whatever_the_status() -> None:
    body = {
        "results": [{"id": "1"}, {"id": "4"}],
        "errors": [
            {"message": "bad option", "context": {"objectWriteTraceId": ["t2"]}},
            {"message": "gone", "context": {"ids": ["3"]}},
        ],
    }
    assert states(body) == ["acknowledged", "rejected", "rejected", "acknowledged"]
    assert partition(WRITES, body)["t2"].message == "bad option"


def test_in_both_lists_or_an_error_without_address_is_unknown() -> None:
    assert states({"results": [{"id": "1"}], "errors": [{"context": {"ids": ["1"]}}]})[0] == "unknown"
    outcome = partition(WRITES, {"errors": [{"message": "something failed"}]})["t1"]
    assert (outcome.state, outcome.message) == ("unknown", "something failed")


# the adapter ----------------------------------------------------------------------------------------------------------


def test_the_adapter_refuses_what_is_not_ours_before_any_request() -> None:
    script = Scripted([])
    adapter = HubSpotAdapter(script.client(), "nightdesk_", {("contacts", "jobtitle")})
    for name in ("email", "nightdesk", "hs_lead_status", "Nightdesk_x"):
        with pytest.raises(NotOurProperty):
            adapter.write("contacts", [RecordWrite("1", "t", {"nightdesk_lead_score": "1", name: "x"})])
    with pytest.raises(NotOurProperty):
        adapter.write("companies", [RecordWrite("1", "t", {"jobtitle": "x"})])
    assert script.requests == []


def test_a_listed_exception_is_sent() -> None:
    script = Scripted([written])
    adapter = HubSpotAdapter(script.client(), "nightdesk_", {("contacts", "jobtitle")})
    assert adapter.write("contacts", [RecordWrite("1", "t", {"jobtitle": "x"})])["t"].state == "acknowledged"


def test_a_batch_refused_as_a_whole_is_halved_until_the_bad_record_stands_alone() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        inputs = json.loads(request.content)["inputs"]
        if any(entry["id"] == "3" for entry in inputs):
            return reply(
                400, {"status": "error", "category": "VALIDATION_ERROR", "message": "Property values were not valid"}
            )
        return written(request)

    script = Scripted([answer] * 5)
    outcomes = HubSpotAdapter(script.client(), "nightdesk_").write("contacts", WRITES)
    assert [outcomes[w.trace_id].state for w in WRITES] == ["acknowledged", "acknowledged", "rejected", "acknowledged"]
    assert outcomes["t3"].message == "Property values were not valid"
    assert len(script.requests) == 5


def test_requests_hold_one_type_unique_traces_and_at_most_100() -> None:
    adapter = HubSpotAdapter(Scripted([]).client(), "nightdesk_")
    with pytest.raises(ValueError, match="101"):
        adapter.write("contacts", [RecordWrite(str(n), f"t{n}", {}) for n in range(101)])
    with pytest.raises(ValueError, match="twice"):
        adapter.write("contacts", [RecordWrite("1", "t", {}), RecordWrite("2", "t", {})])


def test_a_merged_id_is_found_under_its_survivor_and_a_living_id_under_itself() -> None:
    body = {
        "results": [
            {"id": "9", "properties": {"nightdesk_lead_score": "5", "hs_merged_object_ids": "7;8"}},
            {"id": "8", "properties": {"nightdesk_lead_score": "6"}},
        ],
        "errors": [{"status": "error", "category": "OBJECT_NOT_FOUND", "context": {"ids": ["4"]}}],
    }
    script = Scripted([reply(207, body), reply(200, {"results": []})])
    read = HubSpotAdapter(script.client(), "nightdesk_").read("contacts", ["7", "8", "4"], ["nightdesk_lead_score"])
    assert {asked: record.id for asked, record in read.found.items()} == {"7": "9", "8": "8"}
    assert read.missing == {"4": "not in the CRM"}


def test_a_record_the_answer_says_nothing_about_is_asked_for_alone_before_it_is_missing() -> None:
    one = {"id": "1", "properties": {"nightdesk_lead_score": "5"}}
    two = {"id": "2", "properties": {"nightdesk_lead_score": "6"}}
    gone = reply(404, {"status": "error", "category": "OBJECT_NOT_FOUND", "message": "Object not found"})
    script = Scripted([reply(200, {"results": [one]}), reply(200, two), gone, reply(200, {"results": []})])
    read = HubSpotAdapter(script.client(), "nightdesk_").read("contacts", ["1", "2", "3"], ["nightdesk_lead_score"])
    assert {record: found.values["nightdesk_lead_score"] for record, found in read.found.items()} == {
        "1": "5",
        "2": "6",
    }
    assert read.missing == {"3": "not in the CRM"}
    assert [request.method for request in script.requests] == ["POST", "GET", "GET", "POST"]


def test_an_expired_token_is_read_again_once_for_each_request_even_for_a_write() -> None:
    tokens = iter(["second", "third"])
    script = Scripted([reply(401), written, reply(401), reply(401)])
    adapter = HubSpotAdapter(script.client(renew=lambda: next(tokens)), "nightdesk_")
    assert {outcome.state for outcome in adapter.write("contacts", WRITES).values()} == {"acknowledged"}
    with pytest.raises(CrmRefused, match="refuses the token"):
        adapter.write("contacts", WRITES)
    sent = [request.headers["authorization"] for request in script.requests]
    assert sent == ["Bearer secret", "Bearer second", "Bearer second", "Bearer third"]


def test_one_bad_field_does_not_keep_the_others_of_its_record_from_being_written() -> None:
    named = {
        "message": "no such option",
        "code": "INVALID_OPTION",
        "context": {"propertyName": ["nightdesk_lead_tier"]},
    }
    refused = reply(400, {"category": "VALIDATION_ERROR", "message": "not valid", "errors": [named]})
    script = Scripted([refused, written])
    both = RecordWrite("1", "t1", {"nightdesk_lead_score": "5", "nightdesk_lead_tier": "Z"})
    outcome = HubSpotAdapter(script.client(), "nightdesk_").write("contacts", [both])["t1"]
    assert (outcome.state, outcome.refusal) == ("rejected", "bad_value") and "no such option" in outcome.message
    second = json.loads(script.requests[1].content)["inputs"]
    assert [entry["properties"] for entry in second] == [{"nightdesk_lead_score": "5"}]
