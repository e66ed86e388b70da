"""Policies are refused when they are broken, and say the same to Python and to dbt."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from nightdesk import ledger, policy
from nightdesk.errors import NightdeskError
from nightdesk.policy import tables

SHIPPED = Path(__file__).parents[2] / "policies"
NOW = datetime(2026, 11, 17, 5, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "policies"))


def edit(folder: Path, name: str, old: str, new: str) -> None:
    path = folder / name
    text = path.read_text(encoding="utf-8")
    assert old in text, f"the shipped {name} no longer says {old!r}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def refused(folder: Path) -> NightdeskError:
    with pytest.raises(NightdeskError) as caught:
        policy.load(folder)
    assert caught.value.where and caught.value.todo
    return caught.value


def test_the_shipped_policies_are_valid() -> None:
    assert policy.load(SHIPPED).scoring.tiers["A"] == 80


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "guards.yml").unlink()
    assert "guards.yml" in refused(folder).what


def test_a_file_nobody_reads_is_refused(folder: Path) -> None:
    (folder / "scorring.yml").write_text("a: 1\n")
    assert "scorring.yml" in refused(folder).what


def test_an_unknown_key_is_refused(folder: Path) -> None:
    edit(folder, "budget.yml", "night_usd:", "nigth_usd:")
    assert "night" in refused(folder).what


@pytest.mark.parametrize("placeholder", ["[your industry]", '"[your industry]"', '"<your industry>"', "TODO"])
def test_an_unfilled_placeholder_is_refused(folder: Path, placeholder: str) -> None:
    edit(folder, "icp.yml", "company: Harbourline", f"company: {placeholder}")
    assert "placeholder" in refused(folder).what


def test_a_bare_list_of_values_is_not_a_placeholder(folder: Path) -> None:
    edit(folder, "icp.yml", "internal_domains: [harbourline.example]", "internal_domains: [acme.example]")
    assert policy.load(folder).icp.internal_domains == ("acme.example",)


def test_broken_yaml_names_the_line(folder: Path) -> None:
    edit(folder, "gates.yml", "gates:\n", "gates: [\n")
    assert "gates.yml:" in refused(folder).where


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("scoring.yml", "firmographic: 40", "firmographic: 41", "not 100"),
        ("scoring.yml", "industry_fit: 0.5", "industry_fit: 0.6", "not 1"),
        ("scoring.yml", "A: 80", "A: 50", "falling"),
        ("signals.yml", "negative: -20", "negative: 20", "add points"),
        ("signals.yml", "predicate: budget, value: available", "predicate: budget, value: plenty", "no value `plenty`"),
        ("signals.yml", "predicate: timeline", "predicate: timing", "`timing`"),
        ("icp.yml", "near: [50, 10000]", "near: [500, 10000]", "contain"),
        ("field_mapping.yml", "property: nightdesk_lead_score", "property: hs_lead_status", "namespace"),
        ("write_rules.yml", "when: {is_suppressed: true}", "when: {is_supressed: true}", "is_sup"),
        ("write_rules.yml", "id: forbid_stale", "id: forbid_protected", "twice"),
        ("recall.yml", "trigger_values: [available]", "trigger_values: [plenty]", "plenty"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_meant_is_refused(folder: Path, name: str, old: str, new: str, said: str) -> None:
    edit(folder, name, old, new)
    error = refused(folder)
    assert said in error.what
    assert name in error.where


def test_the_hash_moves_with_any_file_and_only_then(folder: Path) -> None:
    before = policy.load(folder)
    assert policy.load(folder).hash == before.hash
    edit(folder, "signals.yml", "factor: 0.9", "factor: 0.8")
    after = policy.load(folder)
    assert after.hash != before.hash
    changed = {name for name in after.file_hashes if after.file_hashes[name] != before.file_hashes[name]}
    assert changed == {"signals.yml"}


def test_every_table_is_filled_and_reloading_adds_nothing(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    ledger.migrate(path, lambda: NOW)
    first = policy.load(folder)
    edit(folder, "scoring.yml", "A: 80", "A: 85")
    second = policy.load(folder)
    with ledger.connect(path) as connection:
        assert tables.load_into(connection, first, NOW)
        assert not tables.load_into(connection, first, NOW)
        assert tables.load_into(connection, second, NOW + timedelta(hours=1))
        # Going back to the first policy is one new row in policy_loads, and no second copy of its rows.
        assert tables.load_into(connection, first, NOW + timedelta(hours=2))
        counts = counted(connection)
        newest = connection.execute("select policy_hash from policy_loads order by loaded_at desc limit 1").fetchone()
        bounds = connection.execute("select policy_hash, min_score from policy_tiers where tier = 'A'").fetchall()
    assert newest == (first.hash,)
    assert dict(bounds) == {first.hash: 80, second.hash: 85}
    assert all(count > 0 for count in counts.values()), counts
    assert counts["policy_tiers"] == 8


def counted(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    names = connection.execute(
        "select table_name from information_schema.tables where table_name like 'policy_%' and table_catalog = 'ledger'"
    ).fetchall()
    return {name: connection.execute(f"select count(*) from {name}").fetchall()[0][0] for (name,) in names}
