"""Every table of the ledger and of every source has been looked at by whoever erases: a new one fails until then."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from nightdesk.erasure import ledger_rows, places
from nightdesk.ledger import connect, migrate
from sources.registry import datasets

# Holds texts, values or ids of people; `nightdesk.erasure.ledger_rows` deletes or empties what belongs to one.
CLEANED = {
    "answers", "approvals", "attempts", "autonomy_changes", "border_checks", "border_verdicts",
    "evidence", "facts", "identity_links", "identity_reviews", "judgements", "op_results", "outcomes",
    "plan_ops", "policy_lists", "quarantine", "recall_log", "recall_similarity", "rejections", "review_answers",
    "review_notes", "run_events", "sentences", "suppression", "write_attempts",
}  # fmt: skip
# Hashes, numbers, settings, ids of runs and plans: nothing of a person, or proof that has to stay.
KEPT = {
    "apply_runs", "audit_anchors", "audit_events", "autonomy_reviews", "border_measures", "erasure_key",
    "erasures", "identity_runs", "leases", "plans", "policy_autonomy", "policy_autonomy_properties",
    "policy_field_map", "policy_gates", "policy_guards", "policy_levels", "policy_loads", "policy_predicates",
    "policy_recall", "policy_recall_operations", "policy_settings", "policy_signals", "policy_tiers",
    "policy_weights", "policy_write_rules", "questions", "recall_queries", "redacted_plans", "runs",
    "schema_migrations", "schema_snapshots", "tombstones",
}  # fmt: skip


def test_every_table_of_the_ledger_is_cleaned_or_known_to_hold_nothing_of_a_person(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    migrate(path, lambda: datetime(2026, 11, 17, tzinfo=UTC))
    with connect(path, read_only=True) as con:
        tables = {str(row[0]) for row in con.execute("select table_name from duckdb_tables()").fetchall()}
    assert tables == CLEANED | KEPT
    code = Path(ledger_rows.__file__).read_text(encoding="utf-8")
    assert {table for table in CLEANED if table not in code} == set()


# Records that stay (companies, deals, our own people), what describes a source, and where files and copies lie.
OF_NOBODY = {
    "calendar.calendars", "calendar.files",
    "hubspot.companies", "hubspot.deals", "hubspot.load_watermarks", "hubspot.owners", "hubspot.pipeline_stages",
    "hubspot.pipelines", "hubspot.property_definitions",
    "mailbox.files", "mailbox.folders", "mailbox.locations",
    "salesforce.currencies", "salesforce.dated_conversion_rates", "salesforce.load_watermarks",
    "salesforce.opportunities", "salesforce.opportunity_stages", "salesforce.picklist_values",
    "salesforce.property_definitions", "salesforce.record_types", "salesforce.user_roles", "salesforce.users",
    "transcripts.files",
}  # fmt: skip


def test_every_raw_table_says_where_a_person_can_stand_or_is_known_to_hold_nobody() -> None:
    declared = {f"{dataset}.{table}" for dataset, table, _ in (*places.PEOPLE, *places.DOCUMENTS, *places.QUOTES)}
    declared |= {f"{one.dataset}.{one.table}" for one in places.POINTERS}
    tables = {f"{dataset}.{name}": table for dataset, some in datasets().items() for name, table in some.items()}
    assert set(tables) == declared | OF_NOBODY and not declared & OF_NOBODY
    # What a load holds against the tombstones by its key is what an erasure takes out as a document.
    keyed = {name for name, table in tables.items() if table.document}
    documents = {f"{dataset}.{table}" for dataset, table, _ in places.DOCUMENTS if dataset not in places.WRITTEN}
    assert keyed == documents
