"""The sandbox CRM's store: seeding, clock, journal, history, unique values, search lag."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nightdesk.errors import NightdeskError
from sandbox.crm.associations import AssociationTypes
from sandbox.crm.clock import ManualClock, to_ms
from sandbox.crm.errors import ApiError
from sandbox.crm.search import search
from sandbox.crm.store import Record, Store
from sandbox.crm.tiny import AS_OF, tiny_company, tiny_store
from sandbox.crm.writes import Origin
from sandbox.records import SeedAssociation, SeedObject

API = Origin("INTEGRATION", "nightdesk", "", "POST", "/crm/v3/objects/contacts/batch/update", "r1")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(AS_OF + timedelta(hours=5))


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Store:
    return Store.open(tiny_store(tmp_path / "crm.sqlite"), clock=clock)


def contact(store: Store, number: int) -> Record:
    found = store.get("contacts", number)
    assert found is not None
    return found


def test_a_store_is_created_once_and_opened_only_if_it_is_one(tmp_path: Path) -> None:
    path = tiny_store(tmp_path / "crm.sqlite")
    with pytest.raises(NightdeskError, match="already exists"):
        Store.create(path)
    with pytest.raises(NightdeskError, match="no sandbox CRM there"):
        Store.open(tmp_path / "nowhere.sqlite")
    (tmp_path / "text.sqlite").write_text("not a database, but long enough to be read as one" * 20)
    with pytest.raises(NightdeskError, match="not a sandbox CRM"):
        Store.open(tmp_path / "text.sqlite")
    with pytest.raises(NightdeskError, match="already holds a company"):
        Store.open(path).seed(tiny_company())


def test_seeded_stamps_come_from_the_record(store: Store) -> None:
    properties = contact(store, 101).properties
    assert properties["hs_object_id"] == "101"
    assert properties["createdate"] == "2026-01-21T00:00:00.000Z"
    assert properties["lastmodifieddate"] == "2026-11-15T00:00:00.000Z"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (SeedObject("contacts", "9", {"shoe_size": "44"}, AS_OF, AS_OF), "no property `shoe_size`"),
        (SeedObject("contacts", "9", {"email": "DANA@acme.example"}, AS_OF, AS_OF), "HubSpot refuses the second"),
        (SeedObject("contacts", "101", {}, AS_OF, AS_OF), "share an id"),
        (SeedObject("tickets", "9", {}, AS_OF, AS_OF), "no object type `tickets`"),
    ],
)
def test_a_seed_hubspot_could_not_hold_is_refused_and_leaves_nothing(
    tmp_path: Path, bad: SeedObject, message: str
) -> None:
    company = tiny_company()
    store = Store.create(tmp_path / "bad.sqlite")
    with pytest.raises(NightdeskError, match=message):
        store.seed(replace(company, objects=[*company.objects, bad]))
    assert store.connection.execute("select count(*) from objects").fetchone()[0] == 0


def test_an_association_to_nowhere_is_refused(tmp_path: Path) -> None:
    company = tiny_company()
    link = SeedAssociation("emails", "901", "contacts", "999")
    with pytest.raises(NightdeskError, match="contacts 999, which does not exist"):
        Store.create(tmp_path / "bad.sqlite").seed(replace(company, associations=[*company.associations, link]))


def test_an_update_leaves_history_and_journal_and_an_unchanged_value_leaves_nothing(
    store: Store, clock: ManualClock
) -> None:
    with store.writing(API) as writer:
        changed = writer.update(contact(store, 103), {"jobtitle": "COO", "firstname": "Bo", "phone": "1"})
    assert changed == ["jobtitle", "phone"]
    record = contact(store, 103)
    assert record.properties["jobtitle"] == "COO"
    assert record.updated_at == to_ms(clock.now())
    assert record.properties["lastmodifieddate"] == "2026-11-17T05:00:00.000Z"
    history = store.history("contacts", [103], ["jobtitle", "phone", "firstname"])[103]
    # The seeded title was never tracked: it became the oldest entry, as of the record's creation.
    assert [(h.value, h.source_type) for h in history["jobtitle"]] == [("COO", "INTEGRATION"), ("CFO", "IMPORT")]
    assert [h.value for h in history["phone"]] == ["1"]
    assert "firstname" not in history
    rows = store.connection.execute(
        "select action, object_id, property, before, after, source, request_id from journal order by seq"
    ).fetchall()
    assert rows == [
        ("set", "103", "jobtitle", "CFO", "COO", "INTEGRATION", "r1"),
        ("set", "103", "phone", None, "1", "INTEGRATION", "r1"),
    ]
    with store.writing(API) as writer:
        assert writer.update(contact(store, 103), {"jobtitle": "COO"}) == []
    assert store.connection.execute("select count(*) from journal").fetchone()[0] == 2


def test_the_empty_string_clears(store: Store) -> None:
    with store.writing(API) as writer:
        writer.update(contact(store, 103), {"jobtitle": ""})
    assert "jobtitle" not in contact(store, 103).properties
    assert store.history("contacts", [103], ["jobtitle"])[103]["jobtitle"][0].value == ""
    assert store.connection.execute("select before, after from journal").fetchall() == [("CFO", "")]


def test_a_failed_write_leaves_no_trace(store: Store) -> None:
    with pytest.raises(RuntimeError), store.writing(API) as writer:
        writer.update(contact(store, 103), {"jobtitle": "COO"})
        writer.create("contacts", {"email": "new@acme.example"})
        raise RuntimeError
    assert contact(store, 103).properties["jobtitle"] == "CFO"
    assert store.find_unique("contacts", "email", ["new@acme.example"]) == {}
    assert store.connection.execute("select count(*) from journal").fetchone()[0] == 0


def test_an_email_belongs_to_one_live_contact(store: Store) -> None:
    with pytest.raises(ApiError, match="Existing ID: 101"), store.writing(API) as writer:
        writer.update(contact(store, 102), {"email": "dana@acme.example"})
    with store.writing(API) as writer:
        writer.archive(contact(store, 101))
        writer.update(contact(store, 102), {"email": "dana@acme.example"})
        made = writer.create("contacts", {"email": "ng@acme.example"})  # 102's old address is free again
    assert store.find_unique("contacts", "email", ["dana@acme.example", "ng@acme.example"]) == {
        "dana@acme.example": 102,
        "ng@acme.example": made.id,
    }


@pytest.mark.parametrize("new_id", [False, True])
def test_a_merge_keeps_both_addresses_and_every_association(store: Store, new_id: bool) -> None:
    with store.writing(API) as writer:
        survivor = writer.merge(contact(store, 102), contact(store, 101), new_id=new_id)
    assert (survivor.id == 102) is not new_id
    assert store.survivor_ids("contacts", [101, 105]) == {101: survivor.id, 105: survivor.id}
    kept = contact(store, survivor.id).properties
    assert (kept["email"], kept["lastname"], kept["jobtitle"]) == ("ng@acme.example", "Ng", "Head of Logistics")
    assert set(kept["hs_merged_object_ids"].split(";")) == {"105", "101", *({"102"} if new_id else set())}
    assert kept["hs_additional_emails"] == "dana@acme.example"
    found = store.find_unique("contacts", "email", ["dana@acme.example", "ng@acme.example"])
    assert set(found.values()) == {survivor.id}
    linked = store.connection.execute(
        "select to_type, count(*) from associations where from_type = 'contacts' and from_id = ? group by 1 order by 1",
        (survivor.id,),
    ).fetchall()
    assert linked == [
        ("calls", 1), ("companies", 1), ("deals", 2), ("emails", 1), ("meetings", 1), ("notes", 1), ("tasks", 1),
    ]  # fmt: skip
    assert not store.connection.execute(
        "select 1 from associations where to_type = 'contacts' and to_id = 101"
    ).fetchall()


def test_closing_a_deal_sets_what_hubspot_calculates(store: Store) -> None:
    deal = store.get("deals", 301)
    assert deal is not None
    with store.writing(API) as writer:
        writer.update(deal, {"dealstage": "won"})
    saved = store.get("deals", 301)
    assert saved is not None
    assert (saved.properties["hs_is_closed"], saved.properties["hs_is_closed_won"]) == ("true", "true")


def test_search_shows_a_write_only_after_the_lag(store: Store, clock: ManualClock) -> None:
    store.search_lag_ms = 3000
    body = {"filterGroups": [{"filters": [{"propertyName": "jobtitle", "operator": "EQ", "value": "COO"}]}]}

    def total() -> int:
        return search(store, "contacts", body, store.now_ms()).total

    with store.writing(API) as writer:
        writer.update(contact(store, 103), {"jobtitle": "COO"})
        writer.create("contacts", {"email": "new@acme.example", "jobtitle": "COO"})
    clock.advance(2)
    with store.writing(API) as writer:
        writer.update(contact(store, 102), {"jobtitle": "COO"})
    assert total() == 0
    old = {"filterGroups": [{"filters": [{"propertyName": "jobtitle", "operator": "EQ", "value": "cfo"}]}]}
    assert [r.id for r in search(store, "contacts", old, store.now_ms()).records] == [103]
    clock.advance(1)
    assert total() == 2
    clock.advance(2)
    assert total() == 3
    with store.writing(API) as writer:
        writer.archive(contact(store, 103))
    assert total() == 3
    clock.advance(3)
    assert total() == 2


def test_the_clock_survives_a_restart_and_can_be_moved_to_the_next_day(tmp_path: Path) -> None:
    path = tiny_store(tmp_path / "crm.sqlite")
    with Store.open(path) as store:
        first = store.clock.now()
        assert timedelta(0) <= first - datetime(2026, 11, 17, 5, tzinfo=UTC) < timedelta(minutes=1)
        store.advance_clock(datetime(2026, 11, 18, 5, tzinfo=UTC))
        second = store.clock.now()
        assert second >= datetime(2026, 11, 18, 5, tzinfo=UTC)
    with Store.open(path) as store:
        assert store.clock.now() >= second


def test_a_day_that_passes_elsewhere_passes_for_a_running_server_too(tmp_path: Path) -> None:
    path = tiny_store(tmp_path / "crm.sqlite")
    with Store.open(path) as server, Store.open(path) as other:
        assert server.clock.now() < AS_OF + timedelta(hours=6)
        other.advance_clock(AS_OF + timedelta(days=1, hours=5))
        assert server.clock.now() >= AS_OF + timedelta(days=1, hours=5)
        with server.writing(API) as writer:
            writer.update(contact(server, 103), {"jobtitle": "COO"})
    with Store.open(path) as later:
        assert later.clock.now() >= AS_OF + timedelta(days=1, hours=5)


def test_a_label_undone_by_a_failed_request_is_forgotten(store: Store) -> None:
    def types() -> AssociationTypes:
        return store.cached("association types", lambda: AssociationTypes(store))

    before = len(types().between("contacts", "companies"))
    with pytest.raises(RuntimeError), store.writing(API):
        types().create_label("contacts", "companies", "Champion", "champion")
        raise RuntimeError
    assert len(types().between("contacts", "companies")) == before
