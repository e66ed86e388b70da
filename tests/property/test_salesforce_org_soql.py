"""Whatever is asked of the sandbox org by SOQL, the answer is what the condition says of each record by itself."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.salesforce.app import Options
from sandbox.salesforce.values import stamp
from tests.salesforce_kit import NOW
from tests.salesforce_org_kit import Loader, empty_org


def literal(seconds: int) -> str:
    return stamp(NOW + timedelta(seconds=seconds)).replace(".000+0000", "Z")


@pytest.fixture(scope="module")
def org(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loader]:
    path = tmp_path_factory.mktemp("org") / "org.sqlite"
    with empty_org(path, Options(page_size=7, bulk_polls=0)) as loader:
        draw = random.Random(3)
        for _ in range(6):
            people = [
                {"LastName": draw.choice("abc"), "Title": draw.choice((None, "x", "Y")),
                 "HasOptedOutOfEmail": draw.random() < 0.3}
                for _ in range(draw.randrange(1, 9))
            ]  # fmt: skip
            loader.store.seed("Contact", people)
            loader.clock.advance(1)
        rows = loader.store.all("Contact")
        for row in draw.sample(rows, len(rows) // 4):
            row.is_deleted = True
            loader.store.put(row)
        yield loader


# A condition as text, and as what it says of one record.
Says = tuple[str, Any]
OPERATORS = {"=": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b, "<=": lambda a, b: a <= b,
             ">": lambda a, b: a > b, ">=": lambda a, b: a >= b}  # fmt: skip


@st.composite
def simple(draw: st.DrawFn) -> Says:
    kind = draw(st.sampled_from(("stamp", "stamp", "id", "name", "title", "flag", "deleted", "in")))
    operator = draw(st.sampled_from(sorted(OPERATORS)))
    compare = OPERATORS[operator]
    if kind == "stamp":
        field, seconds = draw(st.sampled_from(("SystemModstamp", "CreatedDate"))), draw(st.integers(-1, 7))
        value = stamp(NOW + timedelta(seconds=seconds))
        return f"{field} {operator} {literal(seconds)}", lambda row: compare(row[field], value)
    if kind == "id":
        number = draw(st.integers(0, 40))
        return f"Id {operator} '{{id{number}}}'", lambda row, ids: compare(row["Id"], ids[number % len(ids)])
    if kind == "name":
        letter = draw(st.sampled_from("aAbz"))
        return f"LastName {operator} '{letter}'", lambda row: compare(row["LastName"].lower(), letter.lower())
    if kind == "title":
        return "Title = null", lambda row: row["Title"] is None
    if kind == "flag":
        value = draw(st.booleans())
        return f"HasOptedOutOfEmail = {str(value).lower()}", lambda row: row["HasOptedOutOfEmail"] == value
    if kind == "deleted":
        value = draw(st.booleans())
        return f"IsDeleted = {str(value).lower()}", lambda row: row["IsDeleted"] == value
    letters = draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=3))
    negated = draw(st.booleans())
    text = f"LastName {'NOT IN' if negated else 'IN'} ({', '.join(repr(one) for one in letters)})"
    return text, lambda row: (row["LastName"] in letters) != negated


def combined(parts: st.SearchStrategy[Says]) -> st.SearchStrategy[Says]:
    def join(word: str, listed: list[Says]) -> Says:
        some = all if word == "AND" else any
        text = f" {word} ".join(f"({one})" for one, _ in listed)
        return text, lambda row, ids: some(_says(one, row, ids) for _, one in listed)

    def deny(one: Says) -> Says:
        return f"NOT ({one[0]})", lambda row, ids: not _says(one[1], row, ids)

    many = st.lists(parts, min_size=2, max_size=3)
    return st.one_of(
        many.map(lambda listed: join("AND", listed)), many.map(lambda listed: join("OR", listed)), parts.map(deny)
    )


def _says(one: Any, row: dict[str, Any], ids: list[str]) -> bool:
    return one(row, ids) if one.__code__.co_argcount == 2 else one(row)


CONDITIONS = st.recursive(simple(), combined, max_leaves=5)
FIELDS = "Id, LastName, Title, HasOptedOutOfEmail, IsDeleted, CreatedDate, SystemModstamp"


@settings(deadline=None, max_examples=120)
@given(CONDITIONS, st.booleans(), st.sampled_from(("", "SystemModstamp, Id", "LastName DESC, Id", "Id DESC")))
def test_a_condition_finds_the_records_it_is_true_of(org: Loader, says: Says, deleted: bool, order: str) -> None:
    everything = org.rows(f"SELECT {FIELDS} FROM Contact", deleted=True)
    ids = sorted(row["Id"] for row in everything)
    text = says[0].format(**{f"id{n}": ids[n % len(ids)] for n in range(41)})
    wanted = [row for row in everything if (deleted or not row["IsDeleted"]) and _says(says[1], row, ids)]
    soql = f"SELECT {FIELDS} FROM Contact WHERE {text}{f' ORDER BY {order}' if order else ''}"
    found = org.rows(soql, deleted=deleted)
    assert sorted(row["Id"] for row in found) == sorted(row["Id"] for row in wanted)
    if order == "SystemModstamp, Id":
        assert found == sorted(found, key=lambda row: (row["SystemModstamp"], row["Id"]))
    if order == "Id DESC":
        assert [row["Id"] for row in found] == sorted((row["Id"] for row in found), reverse=True)
    assert org.count("Contact", text, deleted=deleted) == len(wanted)
    limited = org.rows(f"{soql} LIMIT 5 OFFSET 2", deleted=deleted)
    assert limited == found[2:7]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=30), max_size=6))
def test_any_text_survives_a_bulk_file(tmp_path_factory: pytest.TempPathFactory, org: Loader, texts: list[str]) -> None:
    with org.store.transaction():
        for row in org.store.all("Note"):
            org.store.purge("Note", [row.id])
    org.store.seed("Note", [{"Title": "t", "Body": text or None} for text in texts])
    job = org.job("SELECT Body FROM Note ORDER BY Id").json()["id"]
    org.get(f"jobs/query/{job}")
    answer = org.get(f"jobs/query/{job}/results")
    rows = list(csv.reader(io.StringIO(answer.text, newline="")))
    assert rows == [["Body"], *([text] for text in texts)]
