"""The loader's way to an org: sessions, quota, retries, half answers, lost places and bulk jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest

from nightdesk.errors import NightdeskError
from sources.salesforce import SalesforceSourceSettings
from sources.salesforce.api import NotInBulk, SalesforceApi, Select, TooSlow
from sources.salesforce.client import Refused, SalesforceClient

NOW = datetime(2026, 11, 17, 6, 0, tzinfo=UTC)
HEADER = "Sforce-Limit-Info"
Answer = Callable[[httpx2.Request], httpx2.Response]


class Org:
    """An org that answers as it is told, one answer after the other; the last one again and again."""

    def __init__(self, *answers: httpx2.Response | Exception | Answer) -> None:
        self.answers = list(answers)
        self.seen: list[httpx2.Request] = []
        self.waited: list[float] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.seen.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer

    def client(self, **settings: Any) -> SalesforceClient:
        wanted = {"base_url": "https://org.test", "token": "t0", "max_attempts": 3} | settings
        return SalesforceClient(
            SalesforceSourceSettings(**wanted), transport=httpx2.MockTransport(self), sleep=self.waited.append,
            clock=lambda: NOW,
        )  # fmt: skip

    def api(self, folder: Path, **settings: Any) -> SalesforceApi:
        return SalesforceApi(self.client(**settings), folder)


def ok(body: Any = None, **headers: str) -> httpx2.Response:
    return httpx2.Response(200, json={} if body is None else body, headers=headers)


def refused(status: int, code: str, message: str = "no") -> httpx2.Response:
    return httpx2.Response(status, json=[{"errorCode": code, "message": message}])


def records(*ids: str, total: int, stamp: str = "2026-11-17T05:00:00.000+0000", following: str = "") -> httpx2.Response:
    body: dict[str, Any] = {
        "totalSize": total,
        "done": not following,
        "records": [{"Id": one, "SystemModstamp": stamp} for one in ids],
    }
    return ok(body | ({"nextRecordsUrl": f"/services/data/v62.0/query/{following}"} if following else {}))


# Sessions -------------------------------------------------------------------------------------------------------------


def test_an_expired_session_is_renewed_once_and_the_request_sent_again() -> None:
    org = Org(
        ok({"access_token": "t1"}), refused(401, "INVALID_SESSION_ID"), ok({"access_token": "t2"}), ok({"a": 1})
    )  # fmt: skip
    with org.client(token="", client_id="app", client_secret="s") as client:
        assert client.get("sobjects/").body == {"a": 1}
    assert [one.headers.get("authorization") for one in org.seen] == [None, "Bearer t1", None, "Bearer t2"]


def test_a_session_that_stays_refused_is_not_renewed_again() -> None:
    tokens = iter(["t1", "t2", "t3"])

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/token"):
            return ok({"access_token": next(tokens)})
        return refused(401, "INVALID_SESSION_ID", "Session expired or invalid")

    org = Org(answer)
    with org.client(token="", client_id="app", client_secret="s") as client, pytest.raises(NightdeskError) as found:
        client.get("sobjects/")
    assert "Session expired" in found.value.what and len(org.seen) == 4
    with Org(refused(401, "INVALID_SESSION_ID")).client() as client, pytest.raises(NightdeskError, match="session"):
        client.get("sobjects/")  # a token that somebody copied here cannot be renewed


def test_an_app_that_gets_no_token_is_told_so() -> None:
    org = Org(httpx2.Response(400, json={"error": "invalid_client", "error_description": "bad secret"}))
    with org.client(token="", client_id="app", client_secret="s") as client, pytest.raises(NightdeskError) as found:
        client.get("sobjects/")
    assert "bad secret" in found.value.what


# Quota ----------------------------------------------------------------------------------------------------------------


def test_a_load_stops_at_its_share_of_the_quota_and_says_when_to_go_on() -> None:
    org = Org(ok({}, **{HEADER: "api-usage=799/1000"}), ok({}, **{HEADER: "api-usage=800/1000"}))
    with org.client() as client:
        client.get("a")
        client.get("b")
        with pytest.raises(NightdeskError) as found:
            client.get("c")
    assert len(org.seen) == 2 and "800 of the org's 1,000" in found.value.what and "80%" in found.value.what
    assert "2026-11-18 06:00 UTC" in found.value.todo and "quota_share" in found.value.todo


def test_an_org_out_of_requests_stops_the_load_and_too_many_at_once_only_delay_it() -> None:
    org = Org(refused(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."))
    with org.client() as client, pytest.raises(NightdeskError, match="used up") as found:
        client.get("a")
    assert len(org.seen) == 1 and "load again" in found.value.todo
    org = Org(
        refused(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentRequests (Concurrent API Requests) Limit exceeded."), ok()
    )
    with org.client() as client:
        client.get("a")
    assert len(org.seen) == 2


# Trouble on the way ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [httpx2.Response(429, json=[{"errorCode": "x", "message": "y"}]), httpx2.Response(503, text="busy"),
     httpx2.Response(500, json=[{"errorCode": "UNKNOWN_EXCEPTION", "message": "x"}]), httpx2.ReadTimeout("slow"),
     httpx2.ConnectError("no"), httpx2.RemoteProtocolError("peer closed connection"),
     httpx2.Response(200, content=b'{"records": [{"Id": "1"', headers={"Content-Type": "application/json"}),
     httpx2.Response(200, content=b"{}", headers={"Content-Type": "application/json", "Content-Length": "200"})],
    ids=lambda one: str(getattr(one, "status_code", type(one).__name__)),
)  # fmt: skip
def test_what_may_pass_is_tried_again_with_longer_waits_and_then_told(trouble: Any) -> None:
    org = Org(trouble, ok({"a": 1}))
    with org.client() as client:
        assert client.get("a").body == {"a": 1}
    assert org.waited == [0.5]
    org = Org(trouble)
    with org.client() as client, pytest.raises(NightdeskError, match="does not answer") as found:
        client.get("a")
    assert len(org.seen) == 3 and org.waited == [0.5, 1.0] and "3 tries" in found.value.what


def test_an_org_that_says_how_long_to_wait_is_heeded() -> None:
    org = Org(httpx2.Response(503, text="", headers={"Retry-After": "7"}), ok())
    with org.client() as client:
        client.get("a")
    assert org.waited == [7.0]


@pytest.mark.parametrize(
    "answer",
    [httpx2.Response(200, text="<html>hello</html>", headers={"Content-Type": "text/html"}),
     httpx2.Response(302, headers={"Location": "https://login.test"}), httpx2.Response(404, text="nothing here")],
)  # fmt: skip
def test_an_address_that_is_no_org_is_not_tried_again(answer: httpx2.Response) -> None:
    org = Org(answer)
    with org.client() as client, pytest.raises(NightdeskError, match="probably not a Salesforce org"):
        client.get("a")
    assert len(org.seen) == 1


def test_a_missing_right_says_what_to_do() -> None:
    org = Org(refused(403, "INSUFFICIENT_ACCESS", "no access"))
    with org.client() as client, pytest.raises(Refused) as found:
        client.get("a")
    assert "permission set" in found.value.explained().todo


def test_a_file_of_certificates_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NightdeskError, match="certificates"):
        Org(ok()).client(ca_bundle=tmp_path / "none.pem")


# Queries --------------------------------------------------------------------------------------------------------------


SELECT = Select("Contact", ("Id", "SystemModstamp"), "SystemModstamp")


def ids(pages: Iterator[Any]) -> list[str]:
    return [row["Id"] for page in pages for row in getattr(page, "rows", page).to_pylist()]


def test_a_query_whose_place_is_lost_goes_on_from_the_last_stamp(tmp_path: Path) -> None:
    org = Org(
        records("1", "2", total=3, following="01g-2"),
        refused(400, "INVALID_QUERY_LOCATOR"),
        records("2", "3", total=2, stamp="2026-11-17T05:00:01.000+0000"),
    )
    assert ids(org.api(tmp_path).query(SELECT)) == ["1", "2", "2", "3"]
    assert "SystemModstamp >= 2026-11-17T05:00:00.000Z" in org.seen[2].url.params["q"]


def test_a_query_that_gives_fewer_rows_than_it_said_is_asked_again(tmp_path: Path) -> None:
    org = Org(records("1", total=2), records("1", "2", total=2))
    assert ids(org.api(tmp_path).query(SELECT)) == ["1", "1", "2"]
    with pytest.raises(NightdeskError, match="announced 2 rows and gave 1"):
        ids(Org(records("1", total=2)).api(tmp_path).query(SELECT))


def test_a_query_the_org_finds_too_slow_is_one_for_the_bulk_api(tmp_path: Path) -> None:
    org = Org(refused(400, "QUERY_TIMEOUT", "Your query request was running for too long."))
    with pytest.raises(TooSlow):
        ids(org.api(tmp_path).query(SELECT))
    assert len(org.seen) == 1 and org.api(tmp_path).count(SELECT) > 10**9


def test_ids_are_asked_for_some_at_a_time(tmp_path: Path) -> None:
    org = Org(records(total=0))
    list(org.api(tmp_path).by_id("Contact", ["Id"], [f"{n:018d}" for n in range(650)]))
    assert len(org.seen) == 3 and all(len(str(one.url)) < 16_000 for one in org.seen)


# Bulk jobs ------------------------------------------------------------------------------------------------------------


JOB, DONE, RUNNING = ok({"id": "750"}), ok({"state": "JobComplete"}), ok({"state": "InProgress"})
GONE = httpx2.Response(204)


def file(*rows: str, said: int | None = None, following: str = "null") -> httpx2.Response:
    text = "".join(f"{line}\n" for line in ('"Id","SystemModstamp"', *(f'"{row}",""' for row in rows)))
    headers = {"Sforce-NumberOfRecords": str(len(rows) if said is None else said), "Sforce-Locator": following}
    return httpx2.Response(200, text=text, headers=headers | {"Content-Type": "text/csv"})


def test_a_job_is_waited_for_read_page_by_page_and_deleted(tmp_path: Path) -> None:
    org = Org(JOB, RUNNING, RUNNING, DONE, file("1", "2", following="MjAw"), file("3"), GONE)
    assert ids(org.api(tmp_path).bulk(SELECT)) == ["1", "2", "3"]
    assert org.waited == [0.5, 1.0] and list(tmp_path.iterdir()) == []
    assert org.seen[0].method == "POST" and b"queryAll" in org.seen[0].content
    assert b"ORDER BY" not in org.seen[0].content  # it would keep the org from splitting the work
    assert org.seen[5].url.params["locator"] == "MjAw" and org.seen[6].method == "DELETE"


@pytest.mark.parametrize(
    "half",
    [file("1", said=2), httpx2.Response(200, text='"Id","SystemModstamp"\n"1","', headers={"Content-Type": "text/csv"}),
     httpx2.Response(200, text='"Id","SystemModstamp"\n"1",""\n"2', headers={"Content-Length": "900"}),
     httpx2.Response(503)],
    ids=["fewer rows than said", "ends within a cell", "fewer bytes than said", "down"],
)  # fmt: skip
def test_half_a_page_of_results_is_read_again(half: httpx2.Response, tmp_path: Path) -> None:
    org = Org(JOB, DONE, half, file("1", "2"), GONE)
    assert sorted(set(ids(org.api(tmp_path).bulk(SELECT)))) == ["1", "2"]
    with pytest.raises(NightdeskError):
        ids(Org(JOB, DONE, half).api(tmp_path).bulk(SELECT))


def test_a_job_that_gives_fewer_rows_than_it_found_is_made_again(tmp_path: Path) -> None:
    done = ok({"state": "JobComplete", "numberRecordsProcessed": 2})
    org = Org(JOB, done, file("1"), GONE, JOB, done, file("1", "2"), GONE)
    assert ids(org.api(tmp_path).bulk(SELECT)) == ["1", "1", "2"]


def test_results_that_are_gone_are_made_anew_by_another_job(tmp_path: Path) -> None:
    org = Org(JOB, DONE, file("1", following="x"), refused(404, "NOT_FOUND"), GONE, JOB, DONE, file("1", "2"), GONE)
    assert ids(org.api(tmp_path).bulk(SELECT)) == ["1", "1", "2"]


def test_a_job_that_fails_or_never_ends_is_told_with_the_orgs_words(tmp_path: Path) -> None:
    failed = ok({"state": "Failed", "errorMessage": "the dog ate it"})
    with pytest.raises(NightdeskError, match="the dog ate it"):
        ids(Org(JOB, failed, GONE).api(tmp_path).bulk(SELECT))
    with pytest.raises(NightdeskError, match="still InProgress"):
        ids(Org(JOB, RUNNING).api(tmp_path, bulk_wait_seconds=3).bulk(SELECT))
    missing = ok({"state": "Failed", "errorMessage": "INVALID_FIELD: No such column 'X' on entity 'Contact'"})
    with pytest.raises(Refused, match="INVALID_FIELD"):
        ids(Org(JOB, missing, GONE).api(tmp_path).bulk(SELECT))


def test_an_object_the_bulk_api_does_not_know_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(NotInBulk):
        ids(Org(refused(400, "INVALIDENTITY", "not supported by the Bulk API")).api(tmp_path).bulk(SELECT))


# Deleted --------------------------------------------------------------------------------------------------------------


def test_deleted_ids_come_with_how_far_they_reach(tmp_path: Path) -> None:
    body = {"deletedRecords": [{"id": "1", "deletedDate": "2026-11-17T04:00:00.000+0000"}],
            "earliestDateAvailable": "2026-11-02T00:00:00.000+0000",
            "latestDateCovered": "2026-11-17T05:59:00.000+0000"}  # fmt: skip
    start = datetime(2026, 11, 16, tzinfo=UTC)
    org = Org(ok(body))
    found = org.api(tmp_path).deleted("Contact", start, NOW)
    assert found.complete and set(found.times) == {"1"} and found.covered is not None
    assert org.seen[0].url.params["start"] == "2026-11-16T00:00:00+00:00"
    early = datetime(2026, 11, 1, tzinfo=UTC)
    assert not Org(ok(body)).api(tmp_path).deleted("Contact", early, NOW).complete
    assert not Org(refused(400, "INVALID_REPLICATION_DATE")).api(tmp_path).deleted("Contact", early, NOW).complete
