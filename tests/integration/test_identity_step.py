"""The step of the night and what people say: weighed once, kept, withdrawn, confirmed, rejected for good."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from nightdesk.errors import NightdeskError
from nightdesk.identity import review
from nightdesk.identity.pairs import link_id
from reverse_etl import audit
from tests.identity_kit import AFTER_WEIGHING, Nights, account, person

JANE: dict[str, Any] = {
    "phone": "+49 30 1234567",
    "company_name": "Acme Freight",
    "city": "Berlin",
    "country": "Germany",
}
H, S, LEAD = "hubspot:contact:1", "salesforce:contact:1", "salesforce:lead:2"


def company() -> dict[str, list[dict[str, Any]]]:
    return {
        "int_source_contacts": [
            person("hubspot:1", "Jane", "Torberg", email="jane@acme.com", **JANE),
            person("salesforce:1", "Jane", "Torberg", email="j.torberg@gmx.de", **JANE),
            person("hubspot:5", "Omar", "Haddad", email="omar@acme.com"),
            person("salesforce:5", "Omar", "Haddad", email="omar@acme.com"),
        ],
    }


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    return Nights(tmp_path / "data", company())


def listed(nights: Nights, status: review.Status, *, everything: bool = False) -> list[review.Link]:
    nights.write()
    return review.links(nights.settings, status, everything=everything)


def status(nights: Nights) -> dict[str, tuple[str, str | None]]:
    rows = nights.rows("select link_id, status, decided_by from int_identity_links where object_type = 'contacts'")
    return {link: (state, by) for link, state, by in rows}


def stands(nights: Nights) -> dict[str, str]:
    return dict(nights.rows("select record_id, stands_for_record_id from int_record_aliases"))


def test_a_pair_is_suggested_confirmed_and_then_stands_as_one(nights: Nights) -> None:
    report = nights.night()
    assert (report.suggested, report.cautioned, report.appended) == (1, 0, 1)
    assert status(nights) == {
        link_id(H, S): ("suggested", None),
        link_id("hubspot:contact:5", "salesforce:contact:5"): ("confirmed", "rule:same_address"),
    }
    # A suggestion joins nobody.
    assert stands(nights) == {"salesforce:contact:5": "hubspot:contact:5"}
    # Only ids, hashes and numbers are kept for good.
    kept = json.dumps([nights.ledger(f"from {table}") for table in ("identity_links", "identity_runs")], default=str)
    assert not any(word in kept.lower() for word in ("jane", "torberg", "acme", "1234567", "@"))

    decided = nights.decide(H, S, "confirmed", reason="she told me")
    assert (decided.link.status, decided.link.decided_by, decided.link.reason) == ("confirmed", "ada", "she told me")
    assert listed(nights, "suggested") == []
    again = nights.night()
    assert status(nights)[link_id(H, S)] == ("confirmed", "ada")
    assert stands(nights)[S] == H
    assert nights.rows("select crm_record_id from int_crm_links where record_id = ?", H) == [("1",)]
    assert again.suggested == 0
    # What spoke for it can still be told.
    assert [reason.field for reason in nights.link(H, S).reasons][:2] == ["prior", "name"]
    assert audit.verify(nights.settings.ledger).ok
    assert nights.ledger("select action, subject from audit_events") == [("identity_confirmed", link_id(H, S))]


def test_a_night_without_news_weighs_nothing_and_is_quick(nights: Nights, monkeypatch: pytest.MonkeyPatch) -> None:
    nights.night()
    monkeypatch.setitem(sys.modules, "splink", None)  # an import of it would fail now
    before = nights.ledger("from identity_links"), nights.ledger("from identity_runs")
    nights.build("int_identity_words")
    began = time.process_time()
    assert nights.weigh().skipped == "nothing changed"
    assert time.process_time() - began < 0.3
    assert (nights.ledger("from identity_links"), nights.ledger("from identity_runs")) == before


def test_one_source_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "splink", None)
    inputs = company()
    nights = Nights(
        tmp_path / "data",
        {table: [row for row in rows if "hubspot" in str(row)] for table, rows in inputs.items()},
    )
    assert nights.weigh().skipped == "there is no warehouse yet"
    assert nights.night().skipped == "there is one source only"
    assert nights.ledger("from identity_runs") == []


def test_the_same_history_makes_the_same_ledger(tmp_path: Path) -> None:
    ledgers = []
    for name in ("one", "other"):
        nights = Nights(tmp_path / name, company())
        nights.night()
        ledgers.append((nights.ledger("from identity_links order by all"), nights.ledger("from identity_runs")))
    assert ledgers[0] == ledgers[1]


def test_a_rejected_pair_stays_rejected_even_when_more_speaks_for_it(nights: Nights) -> None:
    nights.night()
    nights.decide(H, S, "rejected", reason="mother and daughter")
    # Now even a rule says that they are one.
    nights.inputs["int_source_contacts"][1]["email"] = "jane@acme.com"
    nights.night()
    link = nights.link(H, S)
    assert (link.status, link.rule, link.has_changed_since) == ("rejected", "same_address", True)
    assert S not in stands(nights)
    assert link_id(H, S) not in [one.link_id for one in listed(nights, "suggested", everything=True)]
    # Until somebody looks at it again.
    nights.decide(H, S, "confirmed")
    nights.build(*AFTER_WEIGHING)
    assert stands(nights)[S] == H
    assert not nights.link(H, S).has_changed_since


def test_what_no_longer_reaches_a_threshold_is_withdrawn(nights: Nights) -> None:
    nights.night()
    row = nights.inputs["int_source_contacts"][1]
    nights.inputs["int_source_contacts"][1] = {**row, "first_name": "Ida", "last_name": "Zorn", "phone": None}
    report = nights.night()
    assert (report.suggested, report.appended) == (0, 1)
    assert link_id(H, S) not in status(nights)
    assert nights.ledger("select is_withdrawn from identity_links where object_type = 'contacts' order by all") == [
        (False,),
        (True,),
    ]


def test_a_rejection_is_never_got_around_by_way_of_others(tmp_path: Path) -> None:
    """A = B and B = C by rule while A is not C: none of the two links holds until somebody says which is wrong."""
    lead = {**person("salesforce:lead:2", "Jane", "Torberg", email="jane@acme.com"), "contact_id": "tryton:contact:2"}
    nights = Nights(
        tmp_path / "data",
        {
            "int_source_contacts": [
                person("hubspot:1", "Jane", "Torberg", email="jane@acme.com"),
                person("salesforce:1", "Jane", "Torberg", email="jane@acme.com"),
                lead,
            ]
        },
    )
    nights.night()
    assert stands(nights) == {S: H, "tryton:contact:2": H}
    decided = nights.decide(S, "tryton:contact:2", "rejected", reason="namesake")
    assert {one.link_id for one in decided.also} == {link_id(H, S), link_id(H, "tryton:contact:2")}
    nights.build(*AFTER_WEIGHING)
    assert stands(nights) == {}
    nights.decide(H, "tryton:contact:2", "rejected", reason="this one")
    nights.build(*AFTER_WEIGHING)
    assert stands(nights) == {S: H}
    with pytest.raises(NightdeskError, match="told apart") as refused:
        nights.decide(H, "tryton:contact:2", "confirmed")
    assert refused.value.exit_code == 5
    assert nights.link(H, "tryton:contact:2").status == "rejected"


def test_what_people_confirmed_outlasts_a_contradiction_between_rules(tmp_path: Path) -> None:
    nights = Nights(
        tmp_path / "data",
        {
            "int_source_contacts": [
                person("hubspot:1", "Jane", "Torberg", email="jane@acme.com"),
                person("salesforce:1", "Jane", "Torberg", email="jane@acme.com"),
                person("salesforce:lead:2", "Jane", "Torberg", email="jane@acme.com"),
            ],
        },
    )
    nights.night()
    nights.decide(H, S, "confirmed")
    nights.decide(H, LEAD, "rejected", reason="not her")
    nights.build(*AFTER_WEIGHING)
    assert stands(nights) == {S: H}


def test_accounts_may_be_confirmed_as_related_only(tmp_path: Path) -> None:
    both = [account("hubspot:1", "Acme", "acme.com"), account("salesforce:1", "Acme", "acme.de")]
    nights = Nights(tmp_path / "data", {"int_source_companies": both})
    nights.night()
    one, other = "hubspot:company:1", "salesforce:company:1"
    assert nights.link(one, other).kind == "related_account"
    nights.decide(one, other, "confirmed")
    nights.build(*AFTER_WEIGHING)
    assert other not in stands(nights)
    nights.decide(one, other, "confirmed", kind="same_account")
    nights.build(*AFTER_WEIGHING)
    assert stands(nights)[other] == one
    with pytest.raises(NightdeskError, match="cannot be"):
        nights.decide(one, other, "confirmed", kind="same_person")


def test_a_link_is_found_by_any_beginning_that_only_it_has(nights: Nights) -> None:
    nights.night()
    nights.write()
    name = link_id(H, S)
    assert review.find(nights.settings, name[4:]).link_id == review.find(nights.settings, name[:9]).link_id == name
    for wrong in ("lnk_zzz", "lnk_"):
        with pytest.raises(NightdeskError, match="link"):
            review.find(nights.settings, wrong)
