"""sources/hubspot against the sandbox CRM: what moves, what does not, and what stops a load."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from test_sources_support import AS_OF, SIZES, Bench, Template, bench, company, serving, shared_template

from nightdesk.errors import NightdeskError
from sandbox.crm.limits import UNLIMITED, Limits
from sources.hubspot import load
from sources.registry import ensure_tables

CONTACT, COMPANY, DEAL, EMAIL = 1_000_000, 2_000_000, 3_000_000, 4_000_000


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return shared_template(tmp_path_factory)


def _define(it: Bench, kind: str, name: str, type_: str = "string", field: str = "text") -> None:
    group = f"{kind.removesuffix('s')}information" if kind != "companies" else "companyinformation"
    body = {"name": name, "label": name, "type": type_, "fieldType": field, "groupName": group}
    it.api("POST", f"/crm/v3/properties/{kind}", body)


def test_values_arrive_with_their_types(template: Template, tmp_path: Path) -> None:
    with template.loaded(tmp_path) as it:
        found = it.ask(
            f"""
            select amount, typeof(amount), closedate, hs_is_closed_won, archived, updated_at = hs_lastmodifieddate
            from hubspot.deals where id = '{DEAL + 2}'
            """
        )
        assert [str(value) for value in found[0][:2]] == ["200.25", "DECIMAL(18,2)"]
        assert found[0][2:] == (datetime(2026, 12, 1, tzinfo=UTC), None, False, True)
        labelled = it.ask(
            f"select * exclude (_dlt_load_id) from hubspot.associations where from_id = '{CONTACT}' order by all"
        )
        assert [(row[2], row[5], row[6]) for row in labelled] == [
            ("companies", "HUBSPOT_DEFINED", None),
            ("companies", "USER_DEFINED", "Decision maker"),
        ]
        history = it.ask(
            f"""
            select value, source_type, updated_by_user_id from hubspot.property_history
            where object_id = '{CONTACT}' and property = 'jobtitle' order by changed_at
            """
        )
        assert history == [("Ops", "IMPORT", None), ("Head of Ops", "CRM_UI", "9")]
        assert it.ask("select email, source, is_unsubscribed from hubspot.unsubscribes") == [
            ("p3@c3.example", "one-click", True)
        ]
        assert (
            it.ask("select id, probability, is_closed from hubspot.pipeline_stages where id = 'proposal'")[0][2]
            is False
        )
        assert it.ask("select count(*) from hubspot.contacts where _dlt_load_id is null") == [(0,)]


def test_an_edit_moves_that_record_and_its_history_only(template: Template, tmp_path: Path) -> None:
    with template.loaded(tmp_path) as it:
        it.edit("contacts", CONTACT + 4, jobtitle="COO")
        assert it.moved() == {"contacts": 1, "property_history": 1}
        assert it.ask(f"select jobtitle from hubspot.contacts where id = '{CONTACT + 4}'") == [("COO",)]
        assert it.moved() == {}


def test_our_own_writes_move_only_the_namespaced_values(template: Template, tmp_path: Path) -> None:
    with template.loaded(tmp_path) as it:
        for kind in ("contacts", "companies"):
            _define(it, kind, "nightdesk_score", "number", "number")
        assert set(it.moved()) == {"property_definitions"}
        it.edit("contacts", CONTACT, nightdesk_score="71")
        it.edit("companies", COMPANY, nightdesk_score="12")
        assert it.moved() == {"namespaced_values": 2}
        assert it.moved() == {}
        it.edit("contacts", CONTACT, nightdesk_score="")
        assert it.moved() == {"namespaced_values": 1}
        assert it.ask("select object_type, property, value from hubspot.namespaced_values order by 1") == [
            ("companies", "nightdesk_score", "12"),
            ("contacts", "nightdesk_score", ""),
        ]
        it.edit("contacts", CONTACT, nightdesk_score="72", jobtitle="CFO")
        assert it.moved() == {"contacts": 1, "namespaced_values": 1, "property_history": 1}
        assert it.moved() == {}


def test_a_deleted_namespaced_property_clears_its_values(tmp_path: Path) -> None:
    with bench(tmp_path, company()) as it:
        _define(it, "contacts", "nightdesk_score", "number", "number")
        it.edit("contacts", CONTACT, nightdesk_score="71")
        assert it.load().rows_moved["namespaced_values"] == 1
        it.api("DELETE", "/crm/v3/properties/contacts/nightdesk_score")
        assert it.moved() == {"namespaced_values": 1, "property_definitions": 1}
        assert it.ask("select value from hubspot.namespaced_values") == [("",)]
        assert it.moved() == {}


def test_an_archived_record_is_marked_unlinked_and_comes_back_when_restored(template: Template, tmp_path: Path) -> None:
    with template.loaded(tmp_path) as it:
        linked = it.ask(
            f"select count(*) from hubspot.associations where from_id = '{CONTACT}' or to_id = '{CONTACT}'"
        )[0][0]
        it.api("DELETE", f"/crm/v3/objects/contacts/{CONTACT}")
        assert it.moved() == {"contacts": 1, "deletions": 1, "associations": linked}
        assert it.ask("select object_type, object_id from hubspot.deletions") == [("contacts", str(CONTACT))]
        assert it.ask(f"select archived from hubspot.contacts where id = '{CONTACT}'") == [(True,)]
        assert it.moved() == {}
        clean, now = it.clean_contents(), it.contents()
        assert {name for name in now if now[name] != clean[name]} <= {"property_history"}  # archived ones keep theirs
        with it.sandbox.store.transaction() as connection:
            connection.execute(
                "update objects set archived_at = null, updated_at = ? where object_type = 'contacts' and id = ?",
                (it.sandbox.store.now_ms(), CONTACT),
            )
        restored = it.moved()
        assert (restored["contacts"], restored["deletions"]) == (1, 1)
        assert it.ask("select 1 from hubspot.deletions") == []
        assert it.moved() == {}


def test_a_merge_removes_the_merged_record_and_repoints_its_links(template: Template, tmp_path: Path) -> None:
    with template.loaded(tmp_path) as it:
        merged, survivor = str(CONTACT + 7), str(CONTACT + 8)
        body = {"primaryObjectId": survivor, "objectIdToMerge": merged}
        it.api("POST", "/crm/v3/objects/contacts/merge", body)
        it.load()
        assert it.ask("select merged_id, surviving_id from hubspot.merges") == [(merged, survivor)]
        assert it.ask(f"select 1 from hubspot.contacts where id = '{merged}'") == []
        assert it.ask(f"select 1 from hubspot.associations where '{merged}' in (from_id, to_id)") == []
        assert it.moved() == {}
        assert it.contents() == it.clean_contents()


def test_removed_associations_disappear_and_new_ones_appear(template: Template, tmp_path: Path) -> None:
    with template.loaded(tmp_path) as it:
        path = f"/crm/v4/objects/deals/{DEAL}/associations/contacts/"
        old = it.ask(
            f"select to_id from hubspot.associations where from_id = '{DEAL}' and to_object_type = 'contacts'"
        )[0][0]
        it.api("DELETE", path + str(old))  # touches no modified stamp, as in HubSpot
        it.api("PUT", f"/crm/v4/objects/deals/{DEAL}/associations/default/contacts/{CONTACT + 30}")
        it.moved()
        now = it.ask(f"select to_id from hubspot.associations where from_id = '{DEAL}' and to_object_type = 'contacts'")
        assert now == [(str(CONTACT + 30),)]
        assert it.moved() == {}
        assert it.contents() == it.clean_contents()


def test_a_changed_engagement_has_its_associations_replaced(template: Template, tmp_path: Path) -> None:
    with template.loaded(tmp_path) as it:
        it.edit("emails", EMAIL, hs_email_subject="Re: again")
        old = it.ask(
            f"select to_id from hubspot.associations where from_id = '{EMAIL}' and to_object_type = 'contacts'"
        )[0][0]
        it.api("DELETE", f"/crm/v4/objects/emails/{EMAIL}/associations/contacts/{old}")
        assert it.moved() == {"emails": 1, "associations": 1}


def test_a_full_load_finds_what_no_stamp_tells(template: Template, tmp_path: Path) -> None:
    with template.loaded(tmp_path) as it:
        old = it.ask(
            f"select to_id from hubspot.associations where from_id = '{EMAIL}' and to_object_type = 'contacts'"
        )[0][0]
        it.api("DELETE", f"/crm/v4/objects/emails/{EMAIL}/associations/contacts/{old}")
        it.api("POST", "/crm/v3/objects/contacts/gdpr-delete", {"objectId": str(CONTACT + 5)})
        report = it.load(full=True)
        assert report.rows_moved["contacts"] == 1
        assert it.ask(f"select 1 from hubspot.contacts where id = '{CONTACT + 5}'") == []
        assert it.contents() == it.clean_contents()


def test_records_sharing_one_stamp_across_pages_all_arrive(tmp_path: Path) -> None:
    """450 records of one millisecond: more than two search pages, the later ones edited in one batch."""
    with bench(tmp_path, company({"emails": 500}, ties=450)) as it:
        it.load()
        # Forget 430 of the tied ones, as if they had been written after the load with that same stamp.
        _forget(it, "emails", [str(EMAIL + n) for n in range(70, 500)])
        assert it.moved()["emails"] == 430


def _forget(it: Bench, kind: str, ids: list[str]) -> None:
    import duckdb

    chosen = ", ".join(f"'{one}'" for one in ids)
    with duckdb.connect(str(it.raw)) as connection:
        connection.execute(f"delete from hubspot.{kind} where id in ({chosen})")
        connection.execute(f"delete from hubspot.associations where from_id in ({chosen})")


def test_many_own_writes_are_not_searched_again_the_next_night(tmp_path: Path) -> None:
    with bench(tmp_path, company({"contacts": 450})) as it:
        _define(it, "contacts", "nightdesk_score", "number", "number")
        it.load()
        for start in range(0, 450, 90):
            inputs = [
                {"id": str(CONTACT + n), "properties": {"nightdesk_score": "1"}} for n in range(start, start + 90)
            ]
            it.api("POST", "/crm/v3/objects/contacts/batch/update", {"inputs": inputs})
        assert it.moved() == {"namespaced_values": 450}
        before = it.load().requests
        assert it.moved() == {}
        assert before < 40  # 450 contacts in the overlap cost one count, not pages of search
        it.edit("contacts", CONTACT, jobtitle="CEO")
        assert it.moved() == {"contacts": 1, "property_history": 1}


def test_a_late_index_hides_nothing_for_good(tmp_path: Path) -> None:
    """A record whose change search shows only later is found through the overlap, also when the window is wide."""
    with bench(tmp_path, company({"contacts": 260}), limits=UNLIMITED) as it:
        inputs = [{"id": str(CONTACT + n), "properties": {"city": "Oslo"}} for n in range(100)]
        more = [{"id": str(CONTACT + n), "properties": {"city": "Oslo"}} for n in range(100, 200)]
        rest = [{"id": str(CONTACT + n), "properties": {"city": "Oslo"}} for n in range(200, 250)]
        for batch in (inputs, more, rest):
            it.api("POST", "/crm/v3/objects/contacts/batch/update", {"inputs": batch})
        it.load()
        # One row of the window as it was before the last change: what a load sees when the index is behind.
        import duckdb

        with duckdb.connect(str(it.raw)) as connection:
            connection.execute(
                "update hubspot.contacts set city = null, updated_at = ?, lastmodifieddate = ? where id = ?",
                [AS_OF - timedelta(days=9), AS_OF - timedelta(days=9), str(CONTACT + 5)],
            )
        assert it.moved() == {"contacts": 1}


def test_a_lifted_unsubscribe_is_kept_as_lifted(template: Template, tmp_path: Path) -> None:
    with template.loaded(tmp_path) as it:
        with it.sandbox.store.transaction() as connection:
            connection.execute("delete from unsubscribes")
        assert it.moved() == {"unsubscribes": 1}
        assert it.ask("select email, is_unsubscribed from hubspot.unsubscribes") == [("p3@c3.example", False)]
        assert it.moved() == {}


def test_rate_limits_are_kept_and_429s_survived(tmp_path: Path) -> None:
    limits = Limits(burst=12, window_s=0.5, search_per_second=20, retry_after=False)
    with bench(tmp_path, company(), limits=limits) as it:
        report = it.load(max_attempts=40)
        assert report.rows_total["emails"] == SIZES["emails"]
        refused = it.sandbox.store.connection.execute("select count(*) from requests where status = 429").fetchone()[0]
        assert 0 < refused < report.requests / 2


def test_a_wrong_token_is_one_clear_error(tmp_path: Path) -> None:
    with bench(tmp_path, company()) as it, pytest.raises(NightdeskError, match="refuses the token") as caught:
        it.load(token="wrong-one")
    assert "wrong-one" not in str(caught.value) + caught.value.todo


def test_something_that_is_not_hubspot_is_one_clear_error(tmp_path: Path) -> None:
    with bench(tmp_path, company()) as it:
        with pytest.raises(NightdeskError, match=r"probably not a HubSpot API|refused a request") as caught:
            it.load(base_path="/records/v3")
        assert "base_path" in caught.value.todo
        assert it.ask("select count(*) from hubspot.contacts") == [(0,)]


def test_a_crm_that_is_down_is_one_clear_error_and_loses_nothing(template: Template, tmp_path: Path) -> None:
    with template.loaded(tmp_path) as it:
        before = it.contents()
    with pytest.raises(NightdeskError, match="does not answer"):
        load(it.settings(), it.raw, it.pipelines)
    assert it.contents() == before


def test_a_changed_property_type_stops_the_load_and_names_the_column(template: Template, tmp_path: Path) -> None:
    with template.loaded(tmp_path) as it:
        before = it.contents()
        with it.sandbox.store.transaction() as connection:
            connection.execute(
                """
                update properties set definition = json_set(definition, '$.type', 'string')
                where object_type = 'deals' and name = 'amount'
                """
            )
    with serving(tmp_path) as it:  # a new server, which has read the definitions anew
        with pytest.raises(NightdeskError, match="`amount` of deals changed its type from number to string") as caught:
            it.load()
        assert caught.value.where == "deals.amount"
        assert it.contents() == before


def test_new_properties_are_reported(template: Template, tmp_path: Path) -> None:
    with template.loaded(tmp_path) as it:
        _define(it, "contacts", "favourite_colour")
        assert it.load().schema_changes == [
            "contacts.favourite_colour: new property of type string in the CRM; not loaded (docs/schema-contract.md)"
        ]
        assert it.load().schema_changes == []


def test_empty_tables_have_the_shape_a_load_leaves(template: Template, tmp_path: Path) -> None:
    """The template was loaded into empty tables; dlt added or changed no column."""
    with template.loaded(tmp_path) as it:
        columns = """
            select table_name, column_name, data_type from information_schema.columns
            where table_schema = 'hubspot' and not starts_with(table_name, '_dlt') order by all
        """
        after = it.ask(columns)
        it.forget()
        ensure_tables(it.raw)
        ensure_tables(it.raw)
        assert it.ask(columns) == after


def test_an_empty_crm_loads_and_stays_quiet(tmp_path: Path) -> None:
    nothing = dict.fromkeys(SIZES, 0)
    seed = company(nothing | {"companies": 1})
    with bench(tmp_path, seed) as it:
        it.load()
        assert it.moved() == {}


def test_progress_counts_up_to_the_rows(tmp_path: Path) -> None:
    seen: dict[str, list[int]] = {}
    with bench(tmp_path, company()) as it:
        load(it.settings(), it.raw, it.pipelines, lambda stream, rows: seen.setdefault(stream, []).append(rows))
    assert {kind: seen[kind][-1] for kind in SIZES} == SIZES
    assert all(counts == sorted(counts) for counts in seen.values())


def test_date_versions_of_the_api_work_too(template: Template, tmp_path: Path) -> None:
    with template.loaded(tmp_path) as it:
        it.edit("contacts", CONTACT, jobtitle="COO")
        assert it.moved(base_path="/crm/objects/2026-03") == {"contacts": 1, "property_history": 1}
