"""A person who said no anywhere is out everywhere: over rules, confirmed links, and links that are only likely."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.identity_kit import Nights, person

# What opt_outs reads besides identity: as narrow as it needs it.
REST = """
create or replace table stg_policy__current as select 'p' as policy_hash;
create or replace table int_contacts as
select contact_id, source_record_id, null::varchar as account_id from int_source_contacts
where not coalesce(is_archived, false) and contact_id not in (select record_id from int_record_aliases);
create or replace table published_reply_class (document_id varchar, answer_id varchar);
create or replace table stg_ledger__answers (record_id varchar, answer_id varchar, operation varchar);
create or replace table stg_ledger__judgements (answer_id varchar, component varchar, level varchar);
create or replace table stg_ledger__evidence (answer_id varchar, item_kind varchar, item_key varchar, quote varchar);
create or replace table stg_ledger__suppression (contact_id varchar, source varchar, evidence_id varchar, quote varchar,
    suppressed_at timestamptz);
create or replace table int_source_unsubscribes (email varchar, unsubscribe_source varchar, changed_at timestamptz,
    is_unsubscribed boolean);
create or replace table documents (document_id varchar, author_email varchar, contact_id varchar,
    occurred_at timestamptz);
create or replace table int_facts_resolved (contact_id varchar, document_id varchar, document_type varchar,
    quote varchar, occurred_at timestamptz, predicate varchar, author_side varchar, polarity varchar);
"""


def out(nights: Nights, more: str = "") -> dict[str, set[str]]:
    """Who is out, by which sources; `more` is SQL that fills the tables of `REST`."""
    nights.world.con.execute(REST + more)
    nights.world.build("merged_records", "int_contact_addresses", "opt_outs")
    found: dict[str, set[str]] = {}
    for contact, source in nights.rows("select contact_id, source from opt_outs"):
        found.setdefault(contact, set()).add(source)
    return found


def evidence(nights: Nights, contact: str) -> str:
    ((text,),) = nights.rows("select evidence from opt_outs where contact_id = ?", contact)
    return str(text)


def no(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "is_email_opted_out": True}


def tryton(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "contact_id": "tryton:contact:" + row["source_record_id"]}


def known(number: int) -> dict[str, Any]:
    """Telephone, company and city, of their own for each case: all cases live in one world."""
    return {
        "phone": f"+49 30 77{number}4567{number}",
        "company_name": f"Firm{number * 7} Freight",
        "city": f"Town{number}",
    }


CONTACTS = [
    # 1: only HubSpot has the flag; 2: only Salesforce; 3: only Salesforce, where the record was archived since.
    no(person("hubspot:1", "Ada", "Quillberg", email="ada@one.com")),
    person("salesforce:1", "Ada", "Quillberg", email="ada+sf@one.com"),
    person("hubspot:2", "Ben", "Rostmann", email="ben@two.com"),
    no(person("salesforce:2", "Ben", "Rostmann", email="ben@two.com")),
    person("hubspot:3", "Cleo", "Stavinsky", email="cleo@three.com"),
    no(person("salesforce:3", "Cleo", "Stavinsky", email="cleo+sf@three.com", is_archived=True)),
    # 4: on a lead that was converted to the contact of another address.
    person("hubspot:4", "Dora", "Tumbler", email="dora@four.com"),
    no(person("salesforce:lead:4", "Dora", "Tumbler", email="old@four.net", is_archived=True)),
    person("salesforce:4", "Dora", "Tumbler", email="dora@four.com"),
    # 5: on a twin by name, company and phone, that nobody has confirmed; her relative is nobody else.
    person("hubspot:5", "Jane", "Torberg", email="jane@five.com", **known(5)),
    no(person("salesforce:5", "Jane", "Torberg", **known(5))),
    person("hubspot:55", "Ida", "Torberg", email="ida@five.com", **known(5)),
    # 6: on a record that is too little like the other one to be suggested.
    person("hubspot:6", "Erik", "Umlander", email="erik@six.com", company_name="Sixth Freight"),
    no(person("salesforce:lead:6", "E.", "Umlander", company_name="Sixth Freight AG")),
    # 7: in a mail from an address that no record has, in a conversation with the one that has one.
    person("hubspot:7", "Fay", "Vandermolen", email="fay@seven.com"),
    person("hubspot:77", "Omar", "Haddad", email="omar@seven.com"),
    # 8: three that are likely one, the first and the last of which somebody will tell apart.
    no(person("hubspot:8", "Gus", "Wolkenstein", email="gus@eight.com", **known(8))),
    person("salesforce:8", "Gus", "Wolkenstein", email="gw@gmx.de", **known(8)),
    tryton(person("hubspot:8", "Gus", "Wolkenstein", email="gus.w@gmx.net", **known(8))),
    # 9: somebody of the same name elsewhere.
    no(person("hubspot:9", "Hal", "Xanderson", email="hal@nine.com", **known(9))),
    person("salesforce:9", "Hal", "Xanderson", email="hx@borealis.com", company_name="Borealis", city="Lyon"),
    # 10: a twin whose opt-out a person lifted; the other one's stands.
    no(person("hubspot:10", "Ines", "Yardley", email="ines@ten.com", **known(1))),
    person("salesforce:10", "Ines", "Yardley", **known(1)),
]
MAIL = [
    {"record_id": "mailbox:email:1", "source": "mailbox", "email": "fay@seven.com"},
    {"record_id": "mailbox:email:1", "source": "mailbox", "email": "omar@seven.com"},
    {"record_id": "mailbox:email:2", "source": "mailbox", "email": "fay.vandermolen@gmx.de"},
]
SAID = """
    insert into documents values ('mailbox:email:2', 'fay.vandermolen@gmx.de', null, '2026-11-01');
    insert into int_facts_resolved values
    (null, 'mailbox:email:2', 'email', 'Stop writing to me.', '2026-11-01', 'opt_out', 'theirs', 'affirmed');
    insert into stg_policy__lists values ('suppression_lifted', 'salesforce:contact:10', 'ada');
"""
FLAG, LINKED = {"contact_property"}, {"linked_person"}
# Whoever is not in here may be written to. Records that another one stands for are not contacts any more.
EXPECTED = {
    "hubspot:contact:1": FLAG,
    "hubspot:contact:2": FLAG,
    "hubspot:contact:3": LINKED,
    "hubspot:contact:4": FLAG,
    "hubspot:contact:5": LINKED,
    "salesforce:contact:5": FLAG,
    "hubspot:contact:6": LINKED,
    "salesforce:lead:6": FLAG,
    "hubspot:contact:7": LINKED,
    "hubspot:contact:8": FLAG,
    "salesforce:contact:8": LINKED,
    "tryton:contact:8": LINKED,
    "hubspot:contact:9": FLAG,
    "hubspot:contact:10": FLAG,
}


def test_a_no_on_any_record_holds_for_the_person_until_somebody_says_they_are_two(tmp_path: Path) -> None:
    nights = Nights(
        tmp_path / "data",
        {
            "int_source_contacts": CONTACTS,
            "int_source_merges": [
                {
                    "object_type": "contacts",
                    "merged_record_id": "salesforce:lead:4",
                    "surviving_record_id": "salesforce:contact:4",
                    "reason": "converted",
                }
            ],
            "int_source_emails": [{"email_id": f"mailbox:email:{n}", "thread_id": "t"} for n in (1, 2)],
            "int_source_participants": MAIL,
        },
    )
    nights.night()
    assert out(nights, SAID) == EXPECTED

    likely = nights.link("hubspot:contact:5", "salesforce:contact:5")
    weak = nights.link("hubspot:contact:6", "salesforce:lead:6")
    assert (likely.status, likely.is_likely) == ("suggested", True)
    assert (weak.status, weak.is_likely) == ("suggested", False)
    # The link is named beside the words, so that somebody can look at it.
    said = evidence(nights, "hubspot:contact:5")
    assert said.startswith("HasOptedOutOfEmail = true (same person by link ") and "suggested at" in said
    assert likely.link_id in said
    assert evidence(nights, "hubspot:contact:7").startswith('"Stop writing to me." (same person by link lnk_')

    nights.decide("hubspot:contact:5", "salesforce:contact:5", "rejected", reason="her daughter")
    nights.decide("hubspot:contact:8", "tryton:contact:8", "rejected", reason="not him")
    nights.night()
    # Not by way of the third either.
    left = {
        contact: how for contact, how in EXPECTED.items() if contact not in ("hubspot:contact:5", "tryton:contact:8")
    }
    assert out(nights, SAID) == left
