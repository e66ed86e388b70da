"""Conversations, however their mails arrive: ids never change, and in one go they are what the references say."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.mailbox.collate import Copies
from sources.mailbox.direction import Place
from sources.mailbox.rows import read, read_all
from sources.mailbox.stores import Item
from sources.mailbox.tables import TABLES
from tests.mailbox_kit import OWNER, mail

NOW = datetime(2026, 11, 17, 12, tzinfo=UTC)
PLACE = Place("tom", "tom/INBOX", "INBOX", OWNER, frozenset({OWNER}))

pytestmark = pytest.mark.soak


def items(references: list[list[int]], numbers: list[int]) -> list[Item]:
    """Mails by number; each names others, which need not exist."""
    return [
        Item(
            PLACE,
            str(number),
            mail(
                number % 60,
                own_id=f"{number}@x",
                subject=f"Subject {number}",
                references=" ".join(f"<{one}@x>" for one in references[number]),
            ).encode(),
            None,
            ("file", ""),
        )
        for number in numbers
    ]


class Raw:
    """The raw tables, and loads into them without the kit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.con = duckdb.connect()
        self.con.execute("create schema mailbox")
        for name in ("messages", "threads"):
            self.con.execute(TABLES[name].ddl().replace('"_dlt_load_id" varchar not null', '"_dlt_load_id" varchar'))

    def load(self, some: list[Item]) -> None:
        with Copies(self.folder, lambda sql: self.con.execute(sql).fetchall()) as copies:
            copies.add(read(some, NOW)[0])
            copies.settle()
            for name, pages in (("messages", copies.messages()), ("threads", copies.threads())):
                for page in pages:
                    self.con.register("page", page)
                    self.con.execute(f"insert into mailbox.{name} by name select * from page")

    def threads(self) -> dict[str, str]:
        return dict(self.con.execute("select internet_message_id, thread_id from mailbox.messages").fetchall())


def components(references: list[list[int]], numbers: list[int]) -> set[frozenset[str]]:
    """What hangs together, told in the plainest way: spread until nothing moves."""
    group: dict[int, set[int]] = {}
    for number in numbers:
        joined = {number, *references[number]}
        for one in list(joined):
            joined |= group.get(one, set())
        for one in joined:
            group[one] = joined
    return {frozenset(f"{one}@x" for one in some if one in numbers) for some in group.values()}


GRAPH = st.integers(2, 14).flatmap(
    lambda n: st.tuples(
        st.lists(st.lists(st.integers(0, n + 2), max_size=3), min_size=n, max_size=n), st.integers(1, n)
    )
)


@settings(max_examples=40, deadline=None)
@given(GRAPH, st.randoms(use_true_random=False))
def test_ids_never_change_and_one_load_follows_the_references(graph: tuple[list[list[int]], int], random: Any) -> None:
    references, cut = graph
    order = list(range(len(references)))
    random.shuffle(order)
    with tempfile.TemporaryDirectory() as folder:
        whole = Raw(Path(folder))
        whole.load(items(references, order))
        found = whole.threads()
        groups = {frozenset(one for one in found if found[one] == thread) for thread in found.values()}
        assert groups == components(references, order)

        parts = Raw(Path(folder))
        parts.load(items(references, order[:cut]))
        before = parts.threads()
        parts.load(items(references, order[cut:]) or items(references, order[:1]))
        after = parts.threads()
        assert {name: after[name] for name in before} == before
        assert after.keys() == found.keys()
        # What names a known mail joins a conversation that one of its names stands in.
        named = dict(parts.con.execute("select message_id, thread_id from mailbox.threads").fetchall())
        assert all(named[name] == thread for name, thread in after.items())


def test_more_processes_read_the_same_in_the_same_order() -> None:
    some = items([[max(0, number - 1)] for number in range(900)], list(range(900)))
    alone = [row for rows, _ in read_all(some, NOW, 1) for row in rows]
    assert [row for rows, _ in read_all(some, NOW, 2) for row in rows] == alone
