"""The share of a CRM's daily quota that is left for people is never touched."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reverse_etl.crms.hubspot import HubSpotAdapter
from reverse_etl.crms.protocol import CrmUnavailable
from reverse_etl.crms.quota import DailyQuota
from sandbox.crm.limits import Limits
from sandbox.crm.server import running
from tests.reverse_kit import AS_OF, project_policy, seed_store


@given(
    share=st.floats(0, 0.9),
    limit=st.integers(1, 60),
    others=st.lists(st.integers(0, 3), max_size=80),
)
def test_with_others_at_work_we_stop_before_their_share(share: float, limit: int, others: list[int]) -> None:
    quota, used, ours = DailyQuota(share), 0, 0
    quota.seen(0, limit)
    for busy in [*others, *[0] * (limit + 1)]:
        try:
            quota.take("a request")
        except CrmUnavailable:
            break
        used, ours = min(limit, used + 1 + busy), ours + 1
        assert used - busy <= int(limit * (1 - share))
        quota.seen(used, limit)
    else:
        pytest.fail("never stopped")


def test_without_a_word_from_the_crm_nothing_is_held_back() -> None:
    quota = DailyQuota(0.5)
    for _ in range(1000):
        quota.take("a request")


def test_requests_between_two_reports_are_counted() -> None:
    quota = DailyQuota(0.2, limit=10)
    for _ in range(8):
        quota.take("a request")
    with pytest.raises(CrmUnavailable, match="8 of the CRM's 10 requests"):
        quota.take("a request")


def test_hubspots_headers_are_believed_and_the_rest_of_the_day_is_for_people(tmp_path: Path) -> None:
    store = seed_store(tmp_path / "crm.sqlite")
    with running(store, limits=Limits(burst=None, daily=20, search_per_second=None)) as crm:
        adapter = HubSpotAdapter.connect(crm.url, crm.token, project_policy(), AS_OF)
        with pytest.raises(CrmUnavailable, match="left for people"):
            for _ in range(20):
                adapter.read("contacts", ["1"], ["email"])
        assert adapter.client.requests_sent == 16  # a fifth of 20 is left
        adapter.close()
