"""Who is linked by a rule: the SQL of the identity models over small worlds."""

# Cases are kept whole: a table is read across.
# ruff: noqa: E501

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from tests.identity_kit import AFTER_WEIGHING, BEFORE_WEIGHING, World, account, person

H, S = "hubspot", "salesforce"


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        yield made


def keys(con: duckdb.DuckDBPyConnection, **inputs: Any) -> dict[tuple[str, str], tuple[str, str]]:
    """Pair to (kind, rule)."""
    world = World.of(con, **inputs)
    world.build(*BEFORE_WEIGHING)
    found = world.rows("select left_record_id, right_record_id, kind, rule from int_identity_keys")
    return {(left, right): (kind, rule) for left, right, kind, rule in found}


MAIL = "jane.doe@acme.com"


# (one, other, whether the rule links them)
ADDRESSES: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    (person("hubspot:1", "Jane", "Doe", email=MAIL), person("salesforce:1", "Jane", "Doe", email=MAIL), True),
    (person("hubspot:1", "Jane", "Doe", email=MAIL), person("salesforce:lead:1", email=MAIL.upper()), True),
    (person("hubspot:1", "Jane", "Doe", email="jane.doe+crm@acme.com"), person("salesforce:1", email=MAIL), True),
    (person("hubspot:1", "Jane", "Doe", email=MAIL), person("salesforce:1", "Jane", "Smith", email=MAIL), True),
    (person("hubspot:1", "Bob", "Berg", email=MAIL), person("salesforce:1", "Robert", "Berg", email=MAIL), True),
    (person("hubspot:1", "Jürgen", "Groß", email=MAIL), person("salesforce:1", "Juergen", "Gross", email=MAIL), True),
    (person("hubspot:1", "Jane", "Doe", email=MAIL), person("salesforce:1", "Doe", "Jane", email=MAIL), True),
    (person("hubspot:1", "Jane", "Doe", email=MAIL), person("salesforce:1", "J.", "Doe", email=MAIL), True),
    (person("hubspot:1", "Jane", "Doe", email=MAIL), person("salesforce:1", None, "Doe, Jane", email=MAIL), True),
    (person("hubspot:1", "Jane", "Doe", email=MAIL), person("salesforce:1", "Dr. Jane", "Doe", email=MAIL), True),
    # A private provider's address says who it is with the name, and only with it.
    (person("hubspot:1", "Jane", "Doe", email="jd@gmail.com"), person("salesforce:1", "Jane", "Doe", email="j.d@googlemail.com"), True),
    (person("hubspot:1", "Jane", "Doe", email="jd@web.de"), person("salesforce:1", email="jd@web.de"), False),
    # Father and son, spouses, colleagues and successors at one address are two people.
    (person("hubspot:1", "Hans", "Meier", email=MAIL), person("salesforce:1", "Peter", "Meier", email=MAIL), False),
    (person("hubspot:1", "Hans", "Meier sen.", email=MAIL), person("salesforce:1", "Hans", "Meier jun.", email=MAIL), False),
    (person("hubspot:1", "Jane", "Doe", email=MAIL), person("salesforce:1", "Omar", "Haddad", email=MAIL), False),
    (person("hubspot:1", None, "Doe", email=MAIL), person("salesforce:1", None, "Haddad", email=MAIL), False),
    # Addresses of roles, of two words too.
    (person("hubspot:1", "Jane", "Doe", email="info@acme.com"), person("salesforce:1", "Jane", "Doe", email="info@acme.com"), False),
    (person("hubspot:1", "Jane", "Doe", email="sales.uk@acme.com"), person("salesforce:1", "Jane", "Doe", email="sales.uk@acme.com"), False),
    # Duplicates inside one CRM are not this step's to join.
    (person("salesforce:1", "Jane", "Doe", email=MAIL), person("salesforce:lead:1", "Jane", "Doe", email=MAIL), False),
    (person("hubspot:1", "Jane", "Doe", email=MAIL), person("salesforce:1", "Jane", "Doe", email="jane@acme.com"), False),
    (person("hubspot:1", "Jane", "Doe"), person("salesforce:1", "Jane", "Doe"), False),

]  # fmt: skip


def apart(row: dict[str, Any], case: int) -> dict[str, Any]:
    """The row as one of a case of its own: all cases stand in one world, and none may touch another."""
    local, domain = (row.get("email") or "@").lower().split("@")
    own = f"{local}@case{case}.{domain}" if domain == "acme.com" else f"{local}{case}@{domain}"
    source, kind, number = row["contact_id"].split(":")
    return {**row, "contact_id": f"{source}:{kind}:{case}x{number}", "email": own if row.get("email") else None}


def test_an_address_links_people_when_it_is_theirs_alone_and_the_names_agree(con: duckdb.DuckDBPyConnection) -> None:
    rows = [apart(row, case) for case, (one, other, _) in enumerate(ADDRESSES) for row in (one, other)]
    found = keys(con, int_source_contacts=rows)
    assert set(found.values()) == {("same_person", "same_address")}
    linked = {int(left.split(":")[2].split("x")[0]) for left, _ in found}
    assert len(linked) == len(found)
    for case, (one, other, expected) in enumerate(ADDRESSES):
        assert (case in linked) == expected, (one, other)


def test_an_address_that_one_crm_has_under_two_names_links_nobody(con: duckdb.DuckDBPyConnection) -> None:
    rows = [
        person("hubspot:1", "Jane", "Doe", email="desk@acme.com"),
        person("salesforce:1", "Jane", "Doe", email="desk@acme.com"),
        person("salesforce:2", "Omar", "Haddad", email="desk@acme.com"),
    ]
    assert keys(con, int_source_contacts=rows) == {}
    assert len(keys(con, int_source_contacts=rows[:2])) == 1


def test_an_address_of_a_merged_record_is_still_its_survivors(con: duckdb.DuckDBPyConnection) -> None:
    found = keys(
        con,
        int_source_contacts=[
            person("hubspot:1", "Jane", "Doe", email="old@acme.com"),
            person("hubspot:2", "Jane", "Doe", email="new@acme.com"),
            person("hubspot:3", "Jane", "Doe", email="newest@acme.com"),
            person("salesforce:1", "Jane", "Doe", email="old@acme.com"),
        ],
        int_source_merges=[
            {"object_type": "contacts", "merged_record_id": f"hubspot:contact:{a}", "surviving_record_id": f"hubspot:contact:{b}", "reason": "merged"}
            for a, b in ((1, 2), (2, 3))
        ],
    )  # fmt: skip
    assert found == {("hubspot:contact:3", "salesforce:contact:1"): ("same_person", "same_address")}


def test_a_crms_own_id_of_the_other_links_whatever_the_names(con: duckdb.DuckDBPyConnection) -> None:
    found = keys(
        con,
        int_source_contacts=[
            person("hubspot:1", "Jane", "Doe"),
            person("salesforce:lead:00Q5g00000AbCdEEAV", "J"),
            person("hubspot:2", "Ida"),
            person("salesforce:003A", "Omar"),
        ],
        int_source_companies=[account("hubspot:7", "Acme"), account("salesforce:001", "Acme Freight")],
        crm_links=[
            {"crm": S, "object_type": "Lead", "crm_record_id": "00Q5g00000AbCdE", "record_id": "hubspot:contact:1"},
            {"crm": S, "object_type": "Account", "crm_record_id": "001", "record_id": "hubspot:company:7"},
            {"crm": "tryton", "object_type": "party.party", "crm_record_id": "5", "record_id": "hubspot:company:7"},
        ],
        stg_hubspot__cross_ids=[
            {"crm": S, "object_type": "Contact", "crm_record_id": "003A", "record_id": "hubspot:contact:2"},
            {"crm": S, "object_type": "Contact", "crm_record_id": "003 gone", "record_id": "hubspot:contact:1"},
        ],
    )
    assert found == {
        ("hubspot:contact:2", "salesforce:contact:003A"): ("same_person", "crm_says_so"),
        ("hubspot:contact:1", "salesforce:lead:00Q5g00000AbCdEEAV"): ("same_person", "crm_says_so"),
        ("hubspot:company:7", "salesforce:company:001"): ("same_account", "crm_says_so"),
    }


ACME = account("hubspot:1", "Acme Freight GmbH", "acme.com", country="Germany")


@pytest.mark.parametrize(
    ("other", "link"),
    [
        (account("salesforce:1", "ACME Freight", "https://www.acme.com/de/", country="DE"), "same_account"),
        (account("salesforce:1", "Acme Freight", "shop.acme.com:443"), "same_account"),
        (account("salesforce:1", None, "acme.com"), "same_account"),
        (account("salesforce:1", "acme", "acme.com"), "same_account"),
        (account("salesforce:1", "acme.com", "acme.com"), "same_account"),
        # Another name or country under the domain is weighed and shown, not decided.
        (account("salesforce:1", "Borealis Foods", "acme.com"), None),
        (account("salesforce:1", "Acme Freight", "acme.com", country="France"), None),
        (account("salesforce:1", "Acme Freight GmbH", "acme.de", country="Germany"), None),
        (account("salesforce:1", "Acme Freight GmbH", None, country="Germany"), None),
    ],
)
def test_a_domain_links_accounts_when_both_are_alone_under_it(
    con: duckdb.DuckDBPyConnection, other: dict[str, Any], link: str | None
) -> None:
    found = keys(con, int_source_companies=[ACME, other])
    assert [kind for kind, _ in found.values()] == ([link] if link else [])


@pytest.mark.parametrize("domain", ["acme.wixsite.com", "t-online.de", "gmail.com", "www.facebook.com/acme", "acme"])
def test_a_providers_domain_links_no_accounts(con: duckdb.DuckDBPyConnection, domain: str) -> None:
    both = [account("hubspot:1", "Acme", domain), account("salesforce:1", "Acme", domain)]
    assert keys(con, int_source_companies=both) == {}


@pytest.mark.parametrize(
    ("domain", "registered"),
    [
        ("https://www.acme.co.uk/about", "acme.co.uk"),
        ("mail.eu.acme.com.", "acme.com"),
        ("WWW2.Acme.de:8080", "acme.de"),
        ("acme.wixsite.com", None),
        ("localhost", None),
        ("", None),
    ],
)
def test_a_domain_is_compared_as_it_was_registered(
    con: duckdb.DuckDBPyConnection, domain: str, registered: str | None
) -> None:
    world = World.of(con, int_source_companies=[account("hubspot:1", "Acme", domain)])
    world.build(*BEFORE_WEIGHING)
    assert world.rows("select domain_key from int_identity_accounts") == [(registered,)]


def test_a_group_under_one_domain_is_related_and_only_a_name_of_its_own_is_the_same(
    con: duckdb.DuckDBPyConnection,
) -> None:
    found = keys(
        con,
        int_source_companies=[
            account("hubspot:1", "Acme Holding", "acme.com"),
            account("hubspot:2", "Acme Logistics", "logistics.acme.com"),
            account("salesforce:1", "Acme Logistics GmbH", "acme.com"),
        ],
    )
    assert found == {
        ("hubspot:company:1", "hubspot:company:2"): ("related_account", "shares_domain"),
        ("hubspot:company:1", "salesforce:company:1"): ("related_account", "shares_domain"),
        ("hubspot:company:2", "salesforce:company:1"): ("same_account", "same_domain_and_name"),
    }


def test_a_parent_is_related_and_not_the_same(con: duckdb.DuckDBPyConnection) -> None:
    found = keys(
        con,
        int_source_companies=[account("salesforce:1", "Acme", "acme.com"), account("salesforce:2", "Acme", "acme.de")],
        int_source_associations=[
            {"from_object_type": "companies", "from_record_id": "salesforce:company:2", "to_object_type": "companies",
             "to_record_id": "salesforce:company:1", "association_type_id": 13}
        ],
    )  # fmt: skip
    assert found == {("salesforce:company:1", "salesforce:company:2"): ("related_account", "parent_account")}


# Who stands for whom ------------------------------------------------------------------------------------------------


def aliases(con: duckdb.DuckDBPyConnection, **inputs: Any) -> tuple[World, dict[str, tuple[str, str]]]:
    world = World.of(con, **inputs)
    world.build(*BEFORE_WEIGHING, *AFTER_WEIGHING)
    found = world.rows("select record_id, stands_for_record_id, reason from int_record_aliases")
    return world, {record: (standing, reason) for record, standing, reason in found}


def test_hubspot_stands_then_the_contact_then_the_lead(con: duckdb.DuckDBPyConnection) -> None:
    world, found = aliases(
        con,
        int_source_contacts=[
            person("salesforce:lead:3", "Jane", "Doe", email=MAIL),
            person("salesforce:2", "Jane", "Doe", email=MAIL),
            person("hubspot:9", "Jane", "Doe", email=MAIL),
        ],
        crm_links=[{"crm": "tryton", "object_type": "party.party", "crm_record_id": "5", "record_id": "salesforce:contact:2"}],
    )  # fmt: skip
    assert found == {
        "salesforce:contact:2": ("hubspot:contact:9", "same_person"),
        "salesforce:lead:3": ("hubspot:contact:9", "same_person"),
    }
    assert sorted(world.rows("select crm, object_type, crm_record_id, record_id from int_crm_links")) == [
        ("salesforce", "Contact", "2", "hubspot:contact:9"),
        ("salesforce", "Lead", "3", "hubspot:contact:9"),
        ("tryton", "party.party", "5", "hubspot:contact:9"),
    ]


def test_a_record_never_stands_for_another_of_its_own_crm(con: duckdb.DuckDBPyConnection) -> None:
    _, found = aliases(
        con,
        int_source_contacts=[
            person("hubspot:1", "Jane", "Doe", email="one@acme.com", created_at="2024-05-01"),
            person("hubspot:2", "Jane", "Doe", email="two@acme.com", created_at="2021-05-01"),
            person("salesforce:1", "Jane", "Doe", email="one@acme.com"),
        ],
        crm_links=[{"crm": S, "object_type": "Contact", "crm_record_id": "1", "record_id": "hubspot:contact:2"}],
    )
    assert found == {"salesforce:contact:1": ("hubspot:contact:2", "same_person")}


def test_merges_and_conversions_lead_through_to_the_twin_that_stands(con: duckdb.DuckDBPyConnection) -> None:
    _, found = aliases(
        con,
        int_source_contacts=[
            person("hubspot:1", "Jane", "Doe", email=MAIL),
            person("salesforce:lead:1", "Jane", "Doe", email=MAIL),
            person("salesforce:1", "Jane", "Doe", email=MAIL),
            person("salesforce:lead:8", "Omar", "Haddad", email="o@acme.com"),
            person("salesforce:8", "Omar", "Haddad", email="o@acme.com"),
        ],
        int_source_merges=[
            {"object_type": "contacts", "merged_record_id": f"salesforce:lead:{n}", "surviving_record_id": f"salesforce:contact:{n}", "reason": "converted"}
            for n in (1, 8)
        ],
    )  # fmt: skip
    assert found == {
        "salesforce:lead:1": ("hubspot:contact:1", "converted"),
        "salesforce:contact:1": ("hubspot:contact:1", "same_person"),
        "salesforce:lead:8": ("salesforce:contact:8", "converted"),
    }


def test_what_is_archived_or_deleted_stands_for_nobody(con: duckdb.DuckDBPyConnection) -> None:
    _, found = aliases(
        con,
        int_source_contacts=[
            person("hubspot:1", "Jane", "Doe", email=MAIL, is_archived=True),
            person("hubspot:2", "Omar", "Haddad", email="o@acme.com"),
            person("salesforce:1", "Jane", "Doe", email=MAIL),
            person("salesforce:2", "Omar", "Haddad", email="o@acme.com"),
        ],
        int_source_deletions=[{"object_type": "contacts", "record_id": "hubspot:contact:2"}],
    )
    assert found == {}


def test_without_a_policy_and_without_records_everything_is_empty(con: duckdb.DuckDBPyConnection) -> None:
    world = World.of(con)
    world.rows("delete from stg_policy__lists")
    world.rows("update stg_policy__numbers set most_in_one_cluster = null, identity_suggest_from = null")
    world.build(*BEFORE_WEIGHING, *AFTER_WEIGHING)
    assert world.rows("select count(*) from int_record_aliases") == [(0,)]


def test_an_address_nobody_has_is_known_with_its_name_and_whom_it_talked_with(con: duckdb.DuckDBPyConnection) -> None:
    world = World.of(
        con,
        int_source_contacts=[person("hubspot:1", "Jane", "Doe", email=MAIL)],
        int_internal_domains=[{"domain": "us.example"}],
        int_source_emails=[{"email_id": "mailbox:email:1", "thread_id": "t"}, {"email_id": "mailbox:email:2", "thread_id": "t"}],
        int_source_participants=[
            {"record_id": "mailbox:email:1", "source": "mailbox", "email": MAIL},
            {"record_id": "mailbox:email:1", "source": "mailbox", "email": "seller@us.example"},
            {"record_id": "mailbox:email:2", "source": "mailbox", "email": "jane.doe@gmail.com"},
            {"record_id": "mailbox:email:3", "source": "mailbox", "email": "x7@web.de"},
            {"record_id": "mailbox:email:4", "source": "mailbox", "email": "x7@web.de", "participant_name": "Haddad, Omar"},
        ],
    )  # fmt: skip
    world.build(*BEFORE_WEIGHING)
    assert sorted(
        world.rows("select email, full_name_key, talks_with from int_identity_people where record_kind = 'address'")
    ) == [("jane.doe@gmail.com", "jane do", ["hubspot:contact:1"]), ("x7@web.de", "omar haddad", [])]
