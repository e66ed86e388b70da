"""Who is erased leaves no link behind: neither of their records, nor of addresses that no record had."""

from __future__ import annotations

from pathlib import Path

from nightdesk.erasure.ledger_rows import forget_identity
from nightdesk.erasure.needles import Needles
from nightdesk.ledger import connect
from tests.identity_kit import Nights, person

JANE = {"phone": "+49 30 1234567", "company_name": "Acme Freight"}


def test_links_and_decisions_of_an_erased_person_are_gone_and_others_stay(tmp_path: Path) -> None:
    nights = Nights(
        tmp_path / "data",
        {
            "int_source_contacts": [
                person("hubspot:1", "Jane", "Torberg", email="jane@acme.com", **JANE),
                person("salesforce:1", "Jane", "Torberg", email="jt@gmx.de", **JANE),
                person("hubspot:2", "Omar", "Haddad", email="omar@acme.com"),
                person("salesforce:3", "Ida", "Zorn", email="ida@acme.com"),
            ],
            "int_source_emails": [{"email_id": f"mailbox:email:{n}", "thread_id": f"t{n % 2}"} for n in range(1, 5)],
            "int_source_participants": [
                {"record_id": "mailbox:email:1", "email": "omar@acme.com"},
                {"record_id": "mailbox:email:3", "email": "omar.haddad@gmx.de"},
                {"record_id": "mailbox:email:2", "email": "ida@acme.com"},
                {"record_id": "mailbox:email:4", "email": "ida.zorn@gmx.de"},
            ],
        },
    )
    nights.night()
    nights.decide("hubspot:contact:1", "salesforce:contact:1", "rejected", reason="two")
    pairs = "select left_record_id, right_record_id from identity_links order by all"
    assert len(nights.ledger(pairs)) == 3
    with connect(nights.settings.ledger) as con:
        con.execute("create temp table gone as select 'hubspot:contact:1' as record_id")
        forget_identity(con, Needles(frozenset({"omar.haddad@gmx.de"}), frozenset()))
    ((left, right),) = nights.ledger(pairs)
    assert left.startswith("address:contact:") and right == "salesforce:contact:3"
    assert nights.ledger("from identity_reviews") == []
