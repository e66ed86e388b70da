"""The border: good data passes, bad data stops the night with table, expectation and rows."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import pytest
from test_sources_support import shared_template

from nightdesk.errors import NightdeskError
from sources.expectations import SUITES_DIR, check, load_suites
from sources.registry import ensure_tables

AS_OF = date(2026, 11, 17)


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


def test_a_good_load_passes_and_the_same_again_is_not_judged_twice(loaded: Path, tmp_path: Path) -> None:
    first = check(loaded, as_of=AS_OF, docs_dir=tmp_path)
    assert first.loaded and not first.repeated
    assert {verdict.suite for verdict in first.verdicts} == {"volumes", "keys", "freshness", "domains"}
    counts = {"contacts": 60, "emails": 120}
    again = check(loaded, as_of=AS_OF, previous_counts=counts, docs_dir=tmp_path)
    assert again.repeated and again.verdicts == first.verdicts and again.seconds < 5
    assert not check(loaded, as_of=date(2026, 11, 18), docs_dir=tmp_path).repeated


def test_a_fresh_clone_passes_without_volumes(tmp_path: Path) -> None:
    ensure_tables(tmp_path / "raw.duckdb")
    report = check(tmp_path / "raw.duckdb", as_of=AS_OF)
    assert not report.loaded
    assert {verdict.suite for verdict in report.verdicts} == {"keys", "domains"}


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            "update hubspot.emails set hs_email_direction = 'SIDEWAYS' where id = '4000003'",
            ("emails: found is 'SIDEWAYS' (4000003)", "expect_column_values_to_be_in_set(found)"),
        ),
        (
            "insert into hubspot.contacts select * from hubspot.contacts where id in ('1000001', '1000002')",
            ("contacts: duplicate_keys is 2 (1000001, 1000002)", "every key occurs once"),
        ),
        ("update hubspot.deals set amount = -5 where id = '3000004'", ("deals: smallest is -5 (3000004)",)),
        ("update hubspot.deals set dealstage = 'gone' where id = '3000004'", ("deals: is_known is False (3000004)",)),
        (
            "update hubspot.contacts set updated_at = timestamptz '2026-11-20 12:00:00+00' where id = '1000009'",
            ("contacts: days_ahead is 3.5 (1000009", "no record was modified more than 2 days after as_of"),
        ),
        ("delete from hubspot.companies", ("companies: rows_if_required is 0 (0 rows, 12 before)",)),
        (
            "delete from hubspot.emails where id < '4000060'",
            ("emails: share_of_previous is 0.5 (60 rows, 120 before)", "at least 80 %"),
        ),
        (
            "update hubspot.associations set to_id = '77' where from_id >= '5' and to_object_type = 'companies'",
            ("associations: share is 1 (5000000 -> 77",),
        ),
        ("delete from hubspot.load_watermarks where stream = 'deals'", ("deals: is_watermarked is False",)),
    ],
)
def test_bad_data_stops_the_night(loaded: Path, tmp_path: Path, statement: str, expected: tuple[str, ...]) -> None:
    raw = _spoil(loaded, tmp_path, statement)
    with pytest.raises(NightdeskError) as caught:
        check(raw, as_of=AS_OF, previous_counts={"companies": 12, "emails": 120}, docs_dir=tmp_path)
    for text in expected:
        assert text in caught.value.what
    assert caught.value.where == str(raw)
    with pytest.raises(NightdeskError):  # a failure is never taken from the last result
        check(raw, as_of=AS_OF, previous_counts={"companies": 12, "emails": 120}, docs_dir=tmp_path)


def test_a_broken_suite_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "broken.yml").write_text("suite: x\nchecks: [{frame: nothing, expectations: []}]\n")
    with pytest.raises(NightdeskError, match="not valid"):
        load_suites(tmp_path)


def test_every_suite_of_the_project_is_valid_and_says_what_it_means() -> None:
    suites = load_suites(SUITES_DIR)
    assert [suite.suite for suite in suites] == ["domains", "freshness", "keys", "volumes"]
    assert all(len(rule.meaning.split()) > 3 for suite in suites for one in suite.checks for rule in one.expectations)
