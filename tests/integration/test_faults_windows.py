"""The moments between our look at a record and our write to it: how long they are, and what a person may do in them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fault_kit import HubSpotTarget, Night, check, night, prepare


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(HubSpotTarget(), tmp_path_factory.mktemp("windows") / "ready") / "planned"


@pytest.fixture
def it(ready: Path, tmp_path: Path) -> Iterator[Night]:
    shutil.copytree(ready, tmp_path / "cell")
    with night(HubSpotTarget(), tmp_path / "cell") as opened:
        opened.clock.advance(600)
        yield opened


def edit_while_waiting(it: Night) -> None:
    """A person edits during the first wait of ours."""
    from sandbox.crm.happenings import edit

    sleep, done = it.clock.sleep, [False]

    def wrapped(seconds: float) -> None:
        if not done[0]:
            done[0] = True
            edit(it.bench.store, "contacts", "2", "nightdesk_lead_score", "9")
        sleep(seconds)

    it.clock.sleep = wrapped  # type: ignore[method-assign]
    it.bench.adapter.client._sleep = wrapped


def test_an_edit_while_the_crm_makes_us_wait_before_a_write_stays(it: Night) -> None:
    it.bench.strike([{"fault": "rate_limit", "retry_after": 60, "when": {"kind": "write"}}])
    edit_while_waiting(it)
    report = it.apply()
    assert it.bench.value("2", "score") == "9" and report.counts == {"applied": 6, "conflict": 1}
    check(it)


def test_an_edit_while_we_wait_to_send_again_stays(it: Night) -> None:
    it.bench.strike([{"fault": "server_error", "when": {"kind": "write"}}])
    edit_while_waiting(it)
    report = it.apply()
    assert it.bench.value("2", "score") == "9" and report.counts == {"applied": 6, "conflict": 1}
    check(it)


def test_an_edit_while_our_own_budget_makes_us_wait_stays(it: Night) -> None:
    # plan's fields (3 requests), the records, and then the write has to wait for the ten seconds to pass
    from reverse_etl.crms.http import RequestBudget

    edit_while_waiting(it)
    client = it.bench.adapter.client
    client._budget = RequestBudget(4, it.clock.monotonic, client._sleep)
    report = it.apply()
    assert it.bench.value("2", "score") == "9" and report.counts == {"applied": 6, "conflict": 1}
    check(it)
