"""What goes wrong between a loader and the sandbox org, and that asking again is possible after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from sandbox.faults import parse
from sandbox.salesforce.app import Options
from sandbox.salesforce.scripted import SUPPORTED, FaultRunner
from sandbox.virtual import pause
from tests.salesforce_org_kit import Loader, V, empty_org

SOQL = "SELECT Id FROM Contact"


@contextmanager
def struck(path: Path, *faults: dict[str, Any]) -> Iterator[Loader]:
    """An org of 450 contacts with these faults."""
    file = parse({"faults": list(faults)}, SUPPORTED)
    with empty_org(path / "org.sqlite", Options(faults=FaultRunner(file, pause=pause), bulk_polls=1)) as loader:
        loader.store.seed("Contact", [{"LastName": f"P{n}"} for n in range(450)])
        yield loader


def first(org: Loader) -> str:
    """The address of the second page."""
    return org.query(SOQL, size=200).json()["nextRecordsUrl"]


SECOND = {"kind": "read", "kth": 2}


def test_a_page_that_came_half_is_fetched_again(tmp_path: Path) -> None:
    with struck(tmp_path, {"fault": "cut", "keep": 0.5, "when": SECOND}) as org:
        url = first(org)
        with pytest.raises(httpx2.ReadError):
            org.get(url)
        assert len(org.get(url).json()["records"]) == 200


def test_a_connection_that_breaks_and_an_answer_that_is_late(tmp_path: Path) -> None:
    late = {"fault": "delay", "seconds": 600, "when": {"kind": "read", "kth": 3}}
    with struck(tmp_path, {"fault": "drop", "committed": False, "when": SECOND}, late) as org:
        url = first(org)
        with pytest.raises(httpx2.RemoteProtocolError):
            org.get(url)
        with pytest.raises(httpx2.ReadTimeout):
            org.get(url)
        assert len(org.get(url).json()["records"]) == 200


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ({"fault": "rate_limit", "daily": True}, 403, "REQUEST_LIMIT_EXCEEDED"),
        ({"fault": "rate_limit", "retry_after": 3}, 403, "REQUEST_LIMIT_EXCEEDED"),
        ({"fault": "server_error", "status": 503}, 503, "SERVER_UNAVAILABLE"),
        ({"fault": "unauthorised"}, 401, "INVALID_SESSION_ID"),
    ],
)
def test_a_page_that_is_refused_once_is_there_the_next_time(
    tmp_path: Path, fault: dict[str, Any], status: int, code: str
) -> None:
    with struck(tmp_path, {**fault, "when": SECOND}) as org:
        url = first(org)
        assert org.refused(org.get(url), status) == code
        assert len(org.get(url).json()["records"]) == 200


def test_a_token_ends_between_two_pages_and_a_new_one_goes_on(tmp_path: Path) -> None:
    with struck(tmp_path, {"fault": "token_expires", "when": SECOND}) as org:
        url = first(org)
        assert org.refused(org.get(url), 401) == "INVALID_SESSION_ID"
        assert org.refused(org.get(url), 401) == "INVALID_SESSION_ID"
        key, secret = org.api.options.client
        form = {"grant_type": "client_credentials", "client_id": key, "client_secret": secret}
        token = org.http.post("/services/oauth2/token", data=form).json()["access_token"]
        assert len(org.get(url, headers={"Authorization": f"Bearer {token}"}).json()["records"]) == 200


def test_a_cursor_is_forgotten_between_two_pages(tmp_path: Path) -> None:
    with struck(tmp_path, {"fault": "cursor_expires", "when": SECOND}) as org:
        url = first(org)
        assert org.refused(org.get(url)) == "INVALID_QUERY_LOCATOR"
        assert org.refused(org.get(url)) == "INVALID_QUERY_LOCATOR"  # it stays forgotten
        assert len(org.rows(SOQL, size=200)) == 450


def test_a_bulk_job_fails_stays_at_work_or_loses_half_a_file(tmp_path: Path) -> None:
    made = {"path": "jobs/query$", "method": "POST"}
    with struck(
        tmp_path,
        {"fault": "bulk_job_ends", "state": "Failed", "when": made},
        {"fault": "bulk_job_waits", "when": {**made, "kth": 2}},
        {"fault": "bulk_job_waits", "looks": 5, "when": {**made, "kth": 3}},
        {"fault": "cut", "when": {"path": "results"}},
    ) as org:
        failed, stuck, slow = (org.job(SOQL).json()["id"] for _ in range(3))
        ends = {job: [org.get(f"jobs/query/{job}").json()["state"] for _ in range(6)] for job in (failed, stuck, slow)}
        assert ends[failed][-1] == "Failed" and set(ends[stuck]) == {"InProgress"}
        assert ends[slow] == ["InProgress"] * 5 + ["JobComplete"]
        assert org.http.patch(f"{V}/jobs/query/{stuck}", json={"state": "Aborted"}).json()["state"] == "Aborted"
        with pytest.raises(httpx2.ReadError):
            org.get(f"jobs/query/{slow}/results")
        assert [len(one) for one in org.results(slow, size=300)] == [300, 150]
        struck_requests = [one["fault"] for one in org.store.requests() if one["fault"]]
        assert struck_requests == ["bulk_job_ends", "bulk_job_waits", "bulk_job_waits", "cut after commit"]
