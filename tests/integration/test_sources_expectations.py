"""The border: good data passes, bad data stops the night with table, expectation and rows."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest
from test_sources_support import shared_template

from nightdesk.errors import NightdeskError
from nightdesk.ledger import connect, migrate
from sources.borders.suites import SUITES_DIR, load_suites
from sources.expectations import check
from sources.registry import ensure_tables

AS_OF = date(2026, 11, 17)
NOW = datetime(2026, 11, 17, 3, tzinfo=UTC)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_template(tmp_path_factory).folder / "raw.duckdb"


def _spoil(loaded: Path, tmp_path: Path, *statements: str) -> Path:
    raw = tmp_path / "raw.duckdb"
    raw.write_bytes(loaded.read_bytes())
    with duckdb.connect(str(raw)) as connection:
        for statement in statements:
            connection.execute(statement)
    return raw


def test_a_good_load_passes_the_same_again_is_not_judged_twice_and_the_ledger_has_it_all(
    loaded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ledger = tmp_path / "ledger.duckdb"
    migrate(ledger, lambda: NOW)
    first = check(loaded, as_of=AS_OF, docs_dir=Path("docs"), ledger=ledger, run_id="good", clock=lambda: NOW)
    assert first.loaded == ("hubspot",) and not first.repeated and not first.warnings
    assert {verdict.suite for verdict in first.verdicts} == {
        "consent", "contract", "domains", "freshness", "future", "keys", "required", "texts", "volumes"
    }  # fmt: skip
    again = check(
        loaded, as_of=AS_OF, previous_counts={"hubspot.contacts": 60, "hubspot.emails": 120},
        docs_dir=tmp_path / "docs", ledger=ledger, run_id="quiet", clock=lambda: NOW,
    )  # fmt: skip
    assert again.repeated and again.verdicts == first.verdicts and again.seconds < 5

    raw = _spoil(
        loaded,
        tmp_path,
        "update hubspot.deals set amount = -5 where id = '3000004'",
        "update hubspot.property_definitions set state = 'gone' where name = 'country' and object_type = 'contacts'",
        # Foreign letters are no misread ones.
        "update hubspot.emails set hs_email_text = 'Grüße, São Paulo, Ångström, 10 €, “naïve”, Â'",
        "update hubspot.emails set hs_email_text = 'GrÃ¼ÃŸe' where id < '4000006'",
    )
    with pytest.raises(NightdeskError, match="An expectation of the raw data failed"):  # warnings stop nothing
        check(raw, as_of=AS_OF, ledger=ledger, run_id="bad", clock=lambda: NOW)
    with connect(ledger, read_only=True) as connection:
        counted = connection.execute(
            "select run_id, count(*), count(*) filter (is_repeated) from border_checks group by all order by all"
        ).fetchall()
        failed = connection.execute(
            "select severity, suite, table_name, expectation, failures::varchar from border_checks where not success "
            "order by all"
        ).fetchall()
    rules = len(first.verdicts)
    assert counted == [("bad", rules, 0), ("good", rules, 0), ("quiet", rules, rules)]
    assert failed == [
        (
            "stop", "domains", "deals", "expect_column_values_to_be_between(smallest)",
            '["deals: smallest is -5 (3000004)"]',
        ),
        (
            "warn", "contract", "property_definitions", "expect_column_values_to_be_in_set(gone)",
            '["property_definitions: gone is 1 (contacts.country)"]',
        ),
        (
            "warn", "texts", "", "expect_column_values_to_be_between(share_misread)",
            '["emails: share_misread is 0.05 (4000000, 4000001, 4000002, 4000003, 4000004)"]',
        ),
    ]  # fmt: skip


def test_a_fresh_clone_passes_because_nothing_has_come_in(tmp_path: Path) -> None:
    ensure_tables(tmp_path / "raw.duckdb")
    report = check(tmp_path / "raw.duckdb", as_of=AS_OF)
    assert report.loaded == () and report.verdicts == ()


SPOILED = {
    "update hubspot.emails set hs_email_direction = 'SIDEWAYS' where id = '4000003'": (
        "emails: found is 'SIDEWAYS' (4000003)", "expect_column_values_to_be_in_set(found)",
    ),
    "update hubspot.emails set hs_email_direction = null where id = '4000005'": (
        "Every email has a direction: emails: found is nothing (4000005)",
    ),
    "insert into hubspot.contacts select * from hubspot.contacts where id in ('1000001', '1000002')": (
        "contacts: duplicate_keys is 2 (1000001, 1000002)", "Every key occurs once",
    ),
    "update hubspot.deals set amount = -5, dealstage = 'gone' where id = '3000004'": (
        "deals: smallest is -5 (3000004)", "deals: is_known is False (3000004)",
    ),
    "update hubspot.contacts set updated_at = timestamptz '2026-11-20 12:00:00+00' where id = '1000009'": (
        "contacts: days_ahead is 3.5 (updated_at of 1000009)", "No record was modified more than 2 days after",
    ),
    "delete from hubspot.companies": (
        "companies: rows is 0 (0 rows)", "companies: share_of_previous is 0 (0 rows, 25 before)",
    ),
    "delete from hubspot.emails where id >= '4000060'": (
        "emails: share_of_previous is 0.5 (60 rows, 120 before)", "at least 80 %",
    ),
    "update hubspot.associations set to_id = '77' where from_id >= '5' and to_object_type = 'companies'": (
        "associations: share is 1 (5000000 -> 77",
    ),
    "delete from hubspot.load_watermarks where stream = 'deals'": ("deals: is_watermarked is False",),
    "update hubspot.emails set hs_email_text = 'CafÃ© â€“ 5'": ("At most a fifth of a table's texts",),
    "insert into hubspot.unsubscribes select * from hubspot.unsubscribes where email = 'p3@c3.example'": (
        "unsubscribes: duplicate_keys is 1 (#",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def spoiled(loaded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw file with everything wrong in it that a suite looks for."""
    return _spoil(loaded, tmp_path_factory.mktemp("spoiled"), *SPOILED)


def test_bad_data_stops_the_night(spoiled: Path, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    counts = {"hubspot.companies": 25, "hubspot.emails": 120}
    with pytest.raises(NightdeskError) as caught:
        check(spoiled, as_of=AS_OF, previous_counts=counts, docs_dir=docs)
    assert [text for texts in SPOILED.values() for text in texts if text not in caught.value.what] == []
    assert caught.value.where == str(spoiled)
    with pytest.raises(NightdeskError):  # a failure is never taken from the last result
        check(spoiled, as_of=AS_OF, previous_counts=counts, docs_dir=docs)

    index = (docs / "index.html").read_text(encoding="utf-8")
    assert "Raw data in" in index and "Planned operations out" in index
    assert "No deal has a negative amount: deals: smallest is -5 (3000004)" in index
    (page,) = docs.glob("validations/raw-hubspot/**/*.html")
    assert f'href="{page.relative_to(docs).as_posix()}"' in index
    shown = page.read_text(encoding="utf-8")
    assert "No deal has a negative amount" in shown and "Failed" in shown
    for path in docs.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.findall(r"""(?:src|href)=["']https?:[^"']*|url\(['"]?https?:[^)]*|<script""", text), path
        for link in re.findall(r'href="([^"#]+)"', text):
            assert (path.parent / link).exists(), (path, link)
    everything = [path.read_text(encoding="utf-8") for path in docs.rglob("*") if path.is_file()]
    assert not [text for text in everything if "p3@c3" in text] and "p3@c3" not in caught.value.what


def test_opt_outs_that_vanish_all_at_once_stop_the_night(loaded: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.duckdb"
    migrate(ledger, lambda: NOW)
    (tmp_path / "suites" / "hubspot").mkdir(parents=True)
    shutil.copy(SUITES_DIR / "hubspot" / "consent.yml", tmp_path / "suites" / "hubspot")

    def night(run_id: str, opted_out: int) -> None:
        raw = _spoil(loaded, tmp_path, f"update hubspot.contacts set hs_email_optout = id < '{1_000_000 + opted_out}'")
        check(
            raw, as_of=AS_OF, ledger=ledger, suites_dir=tmp_path / "suites", run_id=run_id, clock=lambda: NOW
        )  # fmt: skip

    night("first", 8)
    for run_id in ("second", "third"):  # the night after must not take the failed load's number for the one before
        with pytest.raises(NightdeskError, match="half of those who had opted out") as caught:
            night(run_id, 0)
        assert "contacts.hs_email_optout: share_of_previous is 0 (0, 8 before)" in caught.value.what
    night("fourth", 6)


def test_a_broken_suite_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "broken.yml").write_text("suite: x\nchecks: [{frame: nothing, expectations: []}]\n")
    with pytest.raises(NightdeskError, match="not valid"):
        load_suites(tmp_path)


def test_the_suites_of_every_source_can_be_computed_and_tell_good_from_bad(tmp_path: Path) -> None:
    raw = tmp_path / "raw.duckdb"
    ensure_tables(raw)
    at = "timestamptz '2026-11-16 10:00:00+00'"
    rows = {
        "mailbox.messages": "key 'k1', thread_id 't1', body 'Hello', email_direction 'EMAIL', message_class 'person', "
        f"occurred_at {at}, from_email 'ada@example.com'",
        "mailbox.locations": "container 'inbox', position '1:1', message_key 'k1'",
        "transcripts.calls": f"call_key 'c1', turn_count 1, duration_ms 1000, turns '[{{}}]', started_at {at}",
        "calendar.calendars": "name 'kim'",
        "calendar.events": f"id 'e1', calendar 'kim', started_at {at}, ended_at {at}",
        "salesforce.accounts": f"id 'a1', name 'Acme', system_modstamp {at}",
        "salesforce.contacts": "id 'c1', account_id 'a1', owner_id 'u1', email 'ada@example.com', "
        f"system_modstamp {at}",
        "salesforce.users": "id 'u1'",
        "salesforce.opportunity_stages": "id 's1', master_label 'Won'",
        "salesforce.opportunities": f"id 'o1', stage_name 'Won', probability 90, system_modstamp {at}",
        "salesforce.leads": f"id 'l1', is_converted true, converted_contact_id 'c1', system_modstamp {at}",
        "salesforce.merges": "object_type 'Lead', merged_id 'l1', reason 'converted'",
    } | {
        f"salesforce.load_watermarks ({name})": f"stream '{name}', watermark {at}"
        for name in ("accounts", "contacts", "opportunities", "leads")
    }  # fmt: skip
    with duckdb.connect(str(raw)) as connection:
        for table, columns in rows.items():
            named = [one.split(" ", 1) for one in re.split(r", (?=[a-z_]+ )", columns)]
            values = ", ".join(f"{value} as {name}" for name, value in [*named, ("_dlt_load_id", "'1'")])
            connection.execute(f"insert into {table.partition(' ')[0]} by name select {values}")
    # Problems that were put right are no loss.
    report = check(raw, as_of=AS_OF, previous_counts={"mailbox.problems": 40, "mailbox.messages": 1})
    assert report.loaded == ("salesforce", "mailbox", "transcripts", "calendar")
    assert [one.sentence for one in report.verdicts if not one.success] == []
    with duckdb.connect(str(raw)) as connection:
        connection.execute(
            f"""
            update mailbox.messages set message_class = 'letter', thread_id = null;
            update mailbox.messages set occurred_at = {at} + interval 30 day;
            update mailbox.locations set message_key = 'k2';
            update transcripts.calls set turn_count = 2, duration_ms = -1;
            update calendar.events set ended_at = {at} - interval 1 day, calendar = 'lee';
            update salesforce.opportunities set stage_name = 'Lost', probability = 101;
            update salesforce.contacts set account_id = 'a2', owner_id = 'u2', email = 'nobody';
            update salesforce.leads set converted_contact_id = null;
            update salesforce.merges set reason = 'vanished';
            delete from salesforce.load_watermarks where stream = 'leads';
            """
        )
    with pytest.raises(NightdeskError) as caught:
        check(raw, as_of=AS_OF, docs_dir=tmp_path / "docs")
    expected = (
        "message_class is 'letter'", "share_without_thread is 1", "share_lost is 1", "share_miscounted is 1",
        "shortest is -1", "backwards is 1", "highest is 101", "share_without_account is 1", "share_without_owner is 1",
        "share_no_address is 1", "lost is 1 (l1)", "reason is 'vanished'", "leads: is_watermarked is False",
    )  # fmt: skip
    assert [text for text in expected if text not in caught.value.what] == []
    index = (tmp_path / "docs" / "index.html").read_text(encoding="utf-8")
    warned = "No message was sent more than 2 days", "still read", "is one the org lists"
    assert [text for text in warned if text not in index] == []
    assert "ada@example" not in index + caught.value.what


def test_every_suite_of_the_project_is_valid_and_says_what_it_means() -> None:
    folders = [path.name for path in SUITES_DIR.iterdir()]
    assert {"every", "hubspot"} <= set(folders)
    suites = {(folder, suite.suite): suite for folder in folders for suite in load_suites(SUITES_DIR / folder)}
    assert all(len(list((SUITES_DIR / folder).glob(f"{name}.yml"))) == 1 for folder, name in suites)
    rules = [rule for suite in suites.values() for one in suite.checks for rule in one.expectations]
    assert all(len(rule.meaning.split()) > 3 and rule.meaning[0].isupper() for rule in rules)
