"""Whatever was linked, confirmed and told apart: nobody is joined with somebody they were told apart from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nightdesk.identity import clusters
from nightdesk.identity.pairs import inputs_hash, link_id, ordered
from tests.identity_kit import INPUTS, ROOT, sql

CRMS = ("hubspot", "salesforce", "tryton")
RECORDS = [f"{crm}:contact:{n}" for crm in CRMS for n in range(3)]
MOST = 4
MODELS = ("int_identity_clusters", "int_record_aliases", "int_identity_reach")
TABLES = """
create table int_identity_merges (object_type varchar, merged_record_id varchar, surviving_record_id varchar,
    reason varchar);
create table int_identity_people (record_id varchar, source varchar, source_object_type varchar,
    created_at timestamptz, is_live boolean);
create table int_identity_accounts as from int_identity_people;
create table int_identity_links (link_id varchar, object_type varchar, kind varchar, left_record_id varchar,
    right_record_id varchar, status varchar, match_probability double, is_decided_by_a_person boolean);
insert into stg_policy__lists values ('identity_standing', 'hubspot.contact', '000');
"""


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        made.execute("set threads = 1")
        made.execute(INPUTS + TABLES)
        made.execute("insert into stg_policy__numbers values (?, 0.95, 0.2)", [MOST])
        for record in RECORDS:
            crm, kind, number = record.split(":")
            made.execute(
                "insert into int_identity_people values (?, ?, ?, ?, true)",
                [record, crm, kind, f"2026-01-0{9 - int(number)}"],
            )
        for name in MODELS:
            made.execute(f"create view {name} as {sql(name)}")
        yield made


record = st.sampled_from(RECORDS)
pair = st.tuples(record, record).filter(lambda two: two[0] != two[1]).map(lambda two: ordered(*two))
links = st.dictionaries(
    pair,
    st.tuples(st.sampled_from(["confirmed", "confirmed", "rejected", "suggested"]), st.booleans(), st.floats(0, 1)),
    max_size=14,
)
merges = st.dictionaries(record, record, max_size=2)


def fill(con: duckdb.DuckDBPyConnection, found: dict[Any, Any], merged: dict[str, str]) -> dict[str, str]:
    """Fill links and merges; gives merges as one step each, those inside one CRM only and without circles."""
    con.execute("delete from int_identity_links")
    con.execute("delete from int_identity_merges")
    gone = {
        one: other
        for one, other in merged.items()
        if one != other and one.split(":")[0] == other.split(":")[0] and other not in merged
    }
    con.execute("update int_identity_people set is_live = true")
    for one, other in gone.items():
        con.execute("insert into int_identity_merges values ('contacts', ?, ?, 'merged')", [one, other])
        con.execute("update int_identity_people set is_live = false where record_id = ?", [one])
    for (left, right), (status, by_person, probability) in found.items():
        con.execute(
            "insert into int_identity_links values (?, 'contacts', 'same_person', ?, ?, ?, ?, ?)",
            [link_id(left, right), left, right, status, probability, by_person or status == "rejected"],
        )
    return gone


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=links, merged=merges)
def test_no_cluster_holds_a_rejected_pair_and_every_record_stands_for_one(
    con: duckdb.DuckDBPyConnection, found: dict[Any, Any], merged: dict[str, str]
) -> None:
    holds(con, found, merged)


@pytest.mark.soak
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(found=links, merged=merges)
def test_no_cluster_holds_a_rejected_pair_at_length(
    con: duckdb.DuckDBPyConnection, found: dict[Any, Any], merged: dict[str, str]
) -> None:
    holds(con, found, merged)


def holds(con: duckdb.DuckDBPyConnection, found: dict[Any, Any], merged: dict[str, str]) -> None:
    """What must be true of the clusters, whatever the links."""
    gone = fill(con, found, merged)
    stands = dict(con.execute("select record_id, stands_for_record_id from int_record_aliases").fetchall())
    rows = con.execute("select count(*) from int_record_aliases").fetchone()
    assert rows == (len(stands),)  # each record stands for exactly one
    assert not set(stands.values()) & set(stands)  # and that one for itself
    now = {one: gone.get(one, one) for one in RECORDS}
    apart = {
        frozenset((now[left], now[right])) for (left, right), (status, _, _) in found.items() if status == "rejected"
    }
    apart = {two for two in apart if len(two) == 2}  # what a CRM merged itself is one, whatever was said before
    groups: dict[str, set[str]] = {}
    for one, cluster in con.execute("select record_id, cluster_id from int_identity_clusters").fetchall():
        groups.setdefault(cluster, set()).add(one)
    for members in groups.values():
        assert not any(two <= members for two in apart)
        assert 2 <= len(members) <= MOST
    joined = [(now[left], now[right]) for (left, right), (status, _, _) in found.items() if status == "confirmed"]
    for one, other in stands.items():
        survivor = now[one]
        assert other in clusters.reach(survivor, joined)  # only confirmed links join
        if survivor != other:
            assert survivor.split(":")[0] != other.split(":")[0]  # never inside one CRM
    # What nothing speaks against is joined.
    edges = [two for two in joined if two[0].split(":")[0] != two[1].split(":")[0] and frozenset(two) not in apart]
    for one, other in edges:
        together = clusters.reach(one, edges)
        if len(together) <= MOST and not any(two <= together for two in apart):
            assert stands.get(one, one) == stands.get(other, other) or len(together) > 2
    # An opt-out never crosses between two who were told apart.
    for one, other in con.execute("select record_id, reached_record_id from int_identity_reach").fetchall():
        assert one != other
        assert frozenset((one, other)) not in {frozenset(stands.get(r, r) for r in two) for two in apart}


@settings(max_examples=25, deadline=None)
@given(pairs=st.lists(pair, max_size=8), apart=st.lists(pair, max_size=3), new=pair)
def test_a_confirmation_that_is_let_through_contradicts_nobody(
    pairs: list[tuple[str, str]], apart: list[tuple[str, str]], new: tuple[str, str]
) -> None:
    against = clusters.contradicted(pairs, apart, new)
    together = clusters.reach(new[0], [*pairs, new])
    assert all(one in together and other in together for one, other in against)
    if not against:
        assert not any(set(two) <= together and set(two) != set(new) for two in apart)
    chain = clusters.still_joined(pairs, new)
    assert bool(chain) == (new[1] in clusters.reach(new[0], [two for two in pairs if two != new]))


@settings(max_examples=6, deadline=None)
@given(
    one=st.text(min_size=1, max_size=8), other=st.text(min_size=1, max_size=8), hashes=st.tuples(st.text(), st.text())
)
def test_sql_and_python_name_a_pair_alike(one: str, other: str, hashes: tuple[str, str]) -> None:
    import jinja2

    if "\0" in one + other + "".join(hashes):
        return
    macros = (ROOT / "macros" / "identity.sql").read_text(encoding="utf-8")
    text = (
        "select {{ link_id('a', 'b') }}, {{ pair_inputs('a', 'x', 'b', 'y') }} from (values (?, ?, ?, ?)) t(a, x, b, y)"
    )
    rendered = jinja2.Environment().from_string(macros + text).render()
    row = duckdb.execute(rendered, [one, hashes[0], other, hashes[1]]).fetchone()
    expected = (link_id(one, other), inputs_hash(one, hashes[0], other, hashes[1]))
    assert row == expected or one == other
