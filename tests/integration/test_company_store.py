"""The sample company in a real store: written once, and changed by a working day."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from nightdesk.errors import NightdeskError
from sandbox.company import Truth, change, generate, write
from sandbox.company.truth import TABLES
from sandbox.crm.store import Store


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("company")
    write(generate(120), folder)
    return folder


def count(path: Path, table: str, where: str = "true") -> int:
    with duckdb.connect(str(path), read_only=True) as connection:
        found = connection.execute(f"select count(*) from truth_{table} where {where}").fetchone()
    assert found is not None
    return int(found[0])


def test_the_store_and_the_truth_hold_what_was_generated(written: Path) -> None:
    made = generate(120)
    with Store.open(written / "crm.sqlite") as store:
        for table in ("contacts", "companies", "deals", "emails", "calls", "meetings", "notes", "tasks"):
            kept = store.connection.execute("select count(*) from objects where object_type = ?", (table,)).fetchone()[
                0
            ]
            assert kept == sum(o.object_type == table for o in made.crm.objects)
    for table in TABLES:
        assert count(written / "truth.duckdb", table) == len(getattr(made.truth, table))
    assert isinstance(made.truth, Truth)


def test_writing_twice_into_one_folder_is_refused(written: Path) -> None:
    with pytest.raises(NightdeskError, match="already"):
        write(generate(20), written)


def test_a_day_changes_its_share_of_contacts_and_says_so_in_the_truth(written: Path, tmp_path: Path) -> None:
    import shutil

    crm, truth = tmp_path / "crm.sqlite", tmp_path / "truth.duckdb"
    shutil.copy(written / "crm.sqlite", crm)
    shutil.copy(written / "truth.duckdb", truth)
    facts_before = count(truth, "facts")
    with Store.open(crm) as store:
        newest = store.connection.execute("select max(updated_at) from objects").fetchone()[0]
        now = store.now_ms()
    assert newest < now, "the sandbox's clock stands after everything seeded"
    done = change(crm, truth, share=0.25, seed=5)
    assert sum(done.contacts.values()) == 30
    assert done.emails == done.contacts["mail"] > 0
    with Store.open(crm) as store:
        changed = store.connection.execute(
            "select id from objects where object_type = 'contacts' and updated_at > ?", (newest,)
        ).fetchall()
        assert len(changed) == 30
        arrived = {
            str(row[0]): (row[1], row[2])
            for row in store.connection.execute(
                "select id, json_extract(properties, '$.hs_email_text'), created_at from objects"
                " where object_type = 'emails' and created_at > ?",
                (newest,),
            )
        }
        assert len(arrived) == done.emails
        assert all(created <= store.now_ms() for _, created in arrived.values())
        linked = store.connection.execute(
            "select count(distinct from_id) from associations where from_type = 'emails' and to_type = 'contacts'"
        ).fetchone()[0]
        assert linked >= done.emails
        sources = {row[0] for row in store.connection.execute("select distinct source from journal")}
        assert sources == {"CRM_UI", "INTEGRATION"}
    with duckdb.connect(str(truth), read_only=True) as connection:
        new = connection.execute("select document_id, quote from truth_facts offset ?", [facts_before]).fetchall()
        doubled = connection.execute(
            "select count(*) from (select company_id from truth_facts where predicate = 'budget' and is_current"
            " group by company_id having count(*) > 1)"
        ).fetchone()
    assert new
    assert doubled == (0,)
    for document_id, quote in new:
        assert quote in arrived[document_id][0]


def test_the_next_day_comes_after_the_first(written: Path, tmp_path: Path) -> None:
    import shutil

    crm, truth = tmp_path / "crm.sqlite", tmp_path / "truth.duckdb"
    shutil.copy(written / "crm.sqlite", crm)
    shutil.copy(written / "truth.duckdb", truth)
    change(crm, truth, share=0.1)
    with Store.open(crm) as store:
        first = store.clock.now()
    change(crm, truth, share=0.1)
    with Store.open(crm) as store:
        assert (store.clock.now().date() - first.date()).days == 1
