"""A reader that knows the truth is judged perfect on a generated company, lesser ones by what they lack."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import duckdb
import pytest

from sandbox import company
from sandbox.company import truth as truths
from sandbox.evaluation import facts, replies, results
from sandbox.evaluation.reading import opened

TEXTS = {"emails": "hs_email_text", "calls": "hs_call_body", "notes": "hs_note_body"}
Row = tuple[object, ...]


@pytest.fixture(scope="module")
def generated() -> company.GeneratedCompany:
    return company.generate(contacts=150, seed=11)


@pytest.fixture(scope="module")
def bodies(generated: company.GeneratedCompany) -> dict[str, str]:
    return {
        f"hubspot:{item.object_type[:-1]}:{item.id}": item.properties.get(TEXTS[item.object_type], "")
        for item in generated.crm.objects
        if item.object_type in TEXTS and item.archived_at is None
    }


def what_is_true(generated: company.GeneratedCompany, bodies: dict[str, str]) -> list[Row]:
    """The facts a perfect reader would leave in the ledger."""
    found: list[Row] = []
    for number, fact in enumerate(generated.truth.facts):
        document = f"hubspot:{fact.document_type}:{fact.document_id}"
        if document in bodies:
            start = bodies[document].index(fact.quote)
            found.append(
                (f"f{number}", document, fact.predicate, fact.fact_value, fact.polarity, fact.fact_date,
                 fact.author_side, start, start + len(fact.quote), fact.quote, fact.is_current)
            )  # fmt: skip
    return found


def judged(
    folder: Path, generated: company.GeneratedCompany, bodies: dict[str, str], read: Sequence[Row]
) -> tuple[results.Facts, results.Replies]:
    """Judge a reader that left these facts, and called every reply what it is."""
    truths.save(generated.truth, folder / "truth.duckdb")
    singles = ["budget", "timeline", "authority", "champion", "renewal_risk", "headcount", "opt_out", "out_of_office"]
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute("create schema staging")
        connection.execute("create table documents (document_id varchar, document_type varchar, body varchar)")
        _insert(connection, "documents", [(id_, id_.split(":")[1], body) for id_, body in bodies.items()])
        connection.execute(
            """
            create table published_extract_facts as
            select document_id, document_id as answer_id, false as is_stale from documents
            """
        )
        connection.execute(
            "create table facts (fact_id varchar, answer_id varchar, document_id varchar, is_current boolean)"
        )
        _insert(connection, "facts", [(row[0], row[1], row[1], row[10]) for row in read])
        connection.execute(
            "create table published_reply_class (document_id varchar, reply_class varchar, is_stale boolean)"
        )
        answers = [(f"hubspot:email:{reply.email_id}", reply.reply_class, False) for reply in generated.truth.replies]
        _insert(connection, "published_reply_class", answers)
        connection.execute("create table staging.stg_policy__predicates (predicate varchar, cardinality varchar)")
        _insert(connection, "staging.stg_policy__predicates", [(name, "single") for name in singles])
    with duckdb.connect(str(folder / "ledger.duckdb")) as connection:
        connection.execute(
            """
            create table facts (fact_id varchar, answer_id varchar, predicate varchar, fact_value varchar,
                polarity varchar, fact_date date, author_side varchar, span_start int, span_end int, quote varchar)
            """
        )
        _insert(connection, "facts", [row[:10] for row in read])
    with opened(folder, folder / "truth.duckdb") as connection:
        classes = tuple(sorted({reply.reply_class for reply in generated.truth.replies}))
        return facts.judge(facts.read(connection)), replies.judge(replies.read(connection), classes)


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Iterable[Row]) -> None:
    listed = list(rows)
    if listed:
        connection.executemany(f"insert into {table} values ({', '.join('?' * len(listed[0]))})", listed)


def test_a_reader_that_knows_the_truth_is_perfect(
    tmp_path: Path, generated: company.GeneratedCompany, bodies: dict[str, str]
) -> None:
    found, classes = judged(tmp_path, generated, bodies, what_is_true(generated, bodies))
    assert found.micro.planted > 300
    assert found.micro.precision == found.micro.recall == found.macro_f1 == 1
    assert found.quotes_exact.share == 1
    assert found.quotes_overlap.share == 1
    assert found.dates.total > 0
    assert found.dates.share == 1
    assert found.supersession.share == 1
    assert found.superseded.total > 0
    assert all(trap.hits == 0 for trap in found.traps)
    assert sum(trap.total for trap in found.traps) > 10
    assert not found.errors
    assert classes.accuracy == classes.macro_f1 == 1


def test_a_reader_of_every_other_remark_loses_recall_and_no_precision(
    tmp_path: Path, generated: company.GeneratedCompany, bodies: dict[str, str]
) -> None:
    everything = what_is_true(generated, bodies)
    found, _ = judged(tmp_path, generated, bodies, everything[::2])
    assert found.micro.precision == 1
    assert found.micro.recall == pytest.approx(0.5, abs=0.05)
    assert sum(line.missed for line in found.by_predicate) == found.micro.planted - found.micro.matched


def test_a_reader_that_falls_for_every_trap_and_nothing_else_is_worthless(
    tmp_path: Path, generated: company.GeneratedCompany, bodies: dict[str, str]
) -> None:
    fallen: list[Row] = []
    for number, trap in enumerate(generated.truth.traps):
        document = f"hubspot:{trap.document_type}:{trap.document_id}"
        start = bodies[document].index(trap.quote)
        fallen.append(
            (f"t{number}", document, trap.predicate, "yes", "affirmed", None, "theirs", start, start + len(trap.quote),
             trap.quote, True)
        )  # fmt: skip
    found, _ = judged(tmp_path, generated, bodies, fallen)
    assert found.micro.matched <= sum(fact.predicate == "opt_out" for fact in generated.truth.facts)
    assert all(trap.hits == trap.total for trap in found.traps)
    assert found.spurious_where.get("elsewhere", 0) == 0
