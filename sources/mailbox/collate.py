"""Copies become messages: one row each, whoever holds a copy; and messages become conversations.

All copies of a load go into a scratch database on disk, so memory does not grow with the mailbox. Questions to the raw
database are asked in chunks, about these copies only.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Self

import duckdb

from sources.mailbox.rows import COLUMNS, Row
from sources.mailbox.stores import literals
from sources.mailbox.tables import MESSAGES, THREADS

_CHUNK: Final = 2_000
_PAGE: Final = 5_000
_COMMON: Final = 500
SUBJECT_DAYS: Final = 60
"""A reply without references belongs to a mail of the same subject that is at most this much older."""

Ask = Callable[[str], list[tuple[Any, ...]]]


class Copies:
    """The copies of one load.

    Args:
        folder: For the scratch database; emptied of an earlier one.
        ask: Questions to the raw database.
        full: Loaded messages give way to what is read now.
    """

    def __init__(self, folder: Path, ask: Ask, *, full: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "copies.duckdb"
        self._ask = ask
        self._full = full
        self._sql: duckdb.DuckDBPyConnection | None = None  # made for the first copy: most nights bring few, or none
        self._sequence = 0

    @property
    def sql(self) -> duckdb.DuckDBPyConnection:
        """The scratch database."""
        if self._sql is None:
            self._path.unlink(missing_ok=True)
            self._sql = duckdb.connect(str(self._path))
            columns = ", ".join(f'"{name}" varchar' for name in COLUMNS)
            self._sql.execute(
                "set timezone = 'UTC'; set memory_limit = '192MB'; set preserve_insertion_order = false; "
                f"create table copies (seq bigint, {columns})"
            )
        return self._sql

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._sql is not None:
            self._sql.close()
        self._path.unlink(missing_ok=True)

    def add(self, rows: Sequence[Row]) -> None:
        """Adds copies, in `COLUMNS` order."""
        if not rows:
            return
        pa: Any = import_module("pyarrow")  # ships no types
        columns = [pa.array(values, pa.string()) for values in zip(*rows, strict=True)]
        sequence = pa.array(range(self._sequence, self._sequence + len(rows)), pa.int64())
        self._sequence += len(rows)
        page = pa.Table.from_arrays([sequence, *columns], names=["seq", *COLUMNS])
        self.sql.register("page", page)
        self.sql.execute("insert into copies select * from page")
        self.sql.unregister("page")

    # -- one message ---------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Tells which copies are the same message, which of them is kept, and what conversation each belongs to."""
        if not self._sequence:
            return
        self.sql.execute("create table small as " + _SMALL)
        self._load_known("select distinct key from small")
        self.sql.execute(_IDENTITY)
        self._load_known("select key from identified where is_other")
        self.sql.execute(_WINNERS, {"full": self._full})
        self._thread()

    def _load_known(self, keys: str) -> None:
        """Fetches what is loaded under some keys."""
        self.sql.execute(
            "create table if not exists known (key varchar, from_email varchar, normal_subject varchar, "
            "occurred_at timestamptz, date_source varchar, is_sent boolean, thread_id varchar)"
        )
        cursor = self.sql.cursor()
        cursor.execute(keys)
        while some := cursor.fetchmany(_CHUNK):
            rows = self._ask(
                "select key, from_email, normal_subject, occurred_at, date_source, is_sent, thread_id "
                f"from mailbox.messages where key in ({literals(str(key) for (key,) in some)})"
            )
            if rows:
                self.sql.executemany("insert into known values (?, ?, ?, ?, ?, ?, ?)", rows)

    # -- one conversation ----------------------------------------------------------------------------------------------

    def _thread(self) -> None:
        self.sql.execute(_MENTIONS)
        self._subject_candidates()
        self.sql.execute(_SUBJECT_EDGES, {"days": SUBJECT_DAYS, "common": _COMMON})
        self.sql.execute(_NODES)
        self._components()
        self._known_threads()
        self.sql.execute(_THREADS)

    def _subject_candidates(self) -> None:
        """Loaded messages that a reply without references may answer, told by their subject."""
        self.sql.execute(
            "create table candidates (key varchar, normal_subject varchar, from_email varchar, people varchar[], "
            "occurred_at timestamptz, thread_id varchar)"
        )
        self.sql.execute(
            "insert into candidates select key, normal_subject, from_email, people, occurred_at, null from fresh "
            "where occurred_at is not null and normal_subject in (select normal_subject from lonely)"
        )
        cursor = self.sql.cursor()
        cursor.execute("select distinct normal_subject from lonely")
        while some := cursor.fetchmany(_CHUNK):
            rows = self._ask(
                "select key, normal_subject, from_email, list_distinct(string_split(concat_ws(';', from_email, "
                "to_email, cc_email), ';')), occurred_at, thread_id from mailbox.messages "
                f"where occurred_at is not null and normal_subject in ({literals(str(one) for (one,) in some)})"
            )
            if rows:
                self.sql.executemany("insert into candidates values (?, ?, ?, ?, ?, ?)", rows)

    def _components(self) -> None:
        """Which nodes hang together: union-find over numbers, eight bytes a node."""
        row = self.sql.execute("select coalesce(max(node), 0) from nodes").fetchone()
        parent = array("q", range((0 if row is None else int(row[0])) + 1))

        def root(node: int) -> int:
            while parent[node] != node:
                parent[node] = parent[parent[node]]
                node = parent[node]
            return node

        cursor = self.sql.cursor()
        cursor.execute(
            "select a.node, b.node from edges join nodes a on a.name = edges.a join nodes b on b.name = edges.b"
        )
        while some := cursor.fetchmany(50_000):
            for left, right in some:
                one, other = root(int(left)), root(int(right))
                if one != other:
                    parent[max(one, other)] = min(one, other)
        pa: Any = import_module("pyarrow")
        page = pa.table(
            {
                "node": pa.array(range(len(parent)), pa.int64()),
                "root": pa.array([root(n) for n in range(len(parent))], pa.int64()),
            }
        )
        self.sql.register("page", page)
        self.sql.execute("create table components as select nodes.name, page.root from nodes join page using (node)")
        self.sql.unregister("page")

    def _known_threads(self) -> None:
        """Which of the names already belong to a conversation. That never changes again."""
        self.sql.execute("create table known_threads (name varchar, thread_id varchar)")
        cursor = self.sql.cursor()
        cursor.execute("select name from nodes")
        if not self._ask("select 1 from mailbox.threads limit 1"):
            return
        while some := cursor.fetchmany(_CHUNK):
            rows = self._ask(
                "select message_id, thread_id from mailbox.threads "
                f"where message_id in ({literals(str(one) for (one,) in some)})"
            )
            if rows:
                self.sql.executemany("insert into known_threads values (?, ?)", rows)

    # -- out -----------------------------------------------------------------------------------------------------------

    def messages(self) -> Iterator[Any]:
        """The messages that are new, or whose sent copy turned up, as Arrow pages of `messages`."""
        replaced = {
            "key": "winners.key",
            "thread_id": "coalesce(winners.thread_id, threaded.thread_id)",
            "internet_message_id": "case when winners.is_other then null else copies.internet_message_id end",
        }
        columns = ", ".join(f'{replaced.get(name, "copies." + name)} as "{name}"' for name in MESSAGES.names)
        yield from self._pages(
            f"select {columns} from winners join copies using (seq) left join threaded on threaded.key = winners.key"
        )

    def locations(self) -> Iterator[Any]:
        """Where every copy lies, those left out too, as Arrow pages of `locations`."""
        yield from self._pages(
            "select container, position, identified.key as message_key, source, folder, copies.is_sent, "
            "'false' as is_gone, null::varchar as gone_at from copies join identified using (seq)"
        )

    def threads(self) -> Iterator[Any]:
        """Every name of a conversation that was not known, as Arrow pages of `threads`."""
        yield from self._pages(f"select {', '.join(THREADS.names)} from named")

    def _pages(self, sql: str) -> Iterator[Any]:
        if not self._sequence:
            return
        pa: Any = import_module("pyarrow")
        cursor: Any = self.sql.cursor()
        for batch in cursor.execute(sql).to_arrow_reader(_PAGE):
            yield pa.Table.from_batches([batch])


_SMALL: Final = """
    select
        seq, key, other_key, date_source,
        coalesce(internet_message_id, '') as message_id, coalesce(from_email, '') as from_email,
        coalesce(normal_subject, '') as normal_subject, try_cast(occurred_at as timestamptz) as occurred_at,
        is_sent = 'true' as is_sent, is_left_out = 'true' as is_left_out
    from copies
"""
# Two mails under one Message-ID: they were written more than a day apart, or neither sender nor subject agree. Copies
# of one mail agree, whatever a list or a gateway did to them.
_IDENTITY: Final = """
    create table identified as
    with firsts as (
        select key, from_email, normal_subject, occurred_at, date_source from known
        union all
        select key, from_email, normal_subject, occurred_at, date_source
        from small
        where not is_left_out and key not in (select key from known)
        qualify row_number() over (partition by key order by is_sent desc, seq) = 1
    )
    select
        small.seq,
        small.is_left_out,
        small.is_sent,
        coalesce(
            small.message_id <> '' and (
                (small.from_email <> firsts.from_email and small.normal_subject <> firsts.normal_subject)
                or (
                    small.date_source = 'date' and firsts.date_source = 'date'
                    and abs(epoch(small.occurred_at) - epoch(firsts.occurred_at)) > 86400
                )
            ),
            false
        ) as is_other,
        case when is_other then small.other_key else small.key end as key
    from small
    left join firsts using (key)
"""
# The copy among our sent mail is what we sent, whatever another copy says; else the first one counts, for good.
_WINNERS: Final = """
    create table winners as
    select identified.seq, identified.key, identified.is_other, known.thread_id
    from identified
    left join known using (key)
    where not identified.is_left_out
    and (
        known.key is null
        or (identified.is_sent and not known.is_sent)
        or ($full and identified.is_sent = known.is_sent)
    )
    qualify row_number() over (partition by identified.key order by identified.is_sent desc, identified.seq) = 1
"""
_MENTIONS: Final = """
    create table fresh as
    select
        winners.key,
        case when winners.is_other then null else copies.internet_message_id end as message_id,
        from_json(coalesce(mentions_json, '[]'), '["VARCHAR"]') as mentions,
        from_json(coalesce(participants_json, '[]'), '["VARCHAR"]') as people,
        copies.from_email, copies.normal_subject, copies.is_reply = 'true' as is_reply,
        try_cast(copies.occurred_at as timestamptz) as occurred_at
    from winners
    join copies using (seq)
    where winners.thread_id is null;

    create table lonely as
    select key, normal_subject, from_email, people, occurred_at
    from fresh
    where is_reply and len(mentions) = 0 and length(normal_subject) >= 4 and occurred_at is not null;
"""
# Answers what its sender was part of, written by or to somebody it goes to; the latest such mail. A subject that
# hundreds of mails share ("Re: invoice") tells no conversation.
_SUBJECT_EDGES: Final = """
    create table subject_edges as
    select lonely.key, candidates.key as parent_key, candidates.thread_id
    from lonely
    join (
        from candidates
        where normal_subject in (select normal_subject from candidates group by all having count(*) <= $common)
    ) as candidates
        on candidates.normal_subject = lonely.normal_subject
        and candidates.key <> lonely.key
        and candidates.occurred_at <= lonely.occurred_at
        and candidates.occurred_at >= lonely.occurred_at - to_days($days::integer)
        and list_contains(candidates.people, lonely.from_email)
        and list_contains(lonely.people, candidates.from_email)
    qualify row_number() over (partition by lonely.key order by candidates.occurred_at desc, candidates.key) = 1
"""
# Names are Message-IDs; a message without one is named by its key.
_NODES: Final = """
    create table edges as
    select coalesce(message_id, 'key:' || key) as a, unnest(mentions) as b from fresh where len(mentions) > 0
    union all
    select coalesce(one.message_id, 'key:' || one.key), coalesce(other.message_id, 'key:' || other.key)
    from subject_edges join fresh as one using (key) join fresh as other on other.key = subject_edges.parent_key;

    create table nodes as
    select name, row_number() over () as node
    from (
        select coalesce(message_id, 'key:' || key) as name from fresh
        union
        select b from edges
        union
        select a from edges
    );
"""
# A conversation that has a name keeps it: the one most of its names stand under. A new one is named after its oldest
# message, or what that message answers.
_THREADS: Final = """
    create table old as
    select root, thread_id
    from (
        select components.root, known_threads.thread_id, count(*) as names
        from known_threads join components using (name)
        group by all
        union all
        select components.root, subject_edges.thread_id, 1
        from subject_edges join fresh using (key)
        join components on components.name = coalesce(fresh.message_id, 'key:' || fresh.key)
        where subject_edges.thread_id is not null
    )
    qualify row_number() over (partition by root order by names desc, thread_id) = 1;

    create table new as
    select
        components.root,
        substr(
            sha256('thread' || chr(10) || min_by(
                coalesce(fresh.mentions[1], fresh.message_id, 'key:' || fresh.key),
                row(coalesce(fresh.occurred_at, timestamptz '9999-01-01 00:00:00+00'), fresh.key)
            )), 1, 32
        ) as thread_id
    from fresh
    join components on components.name = coalesce(fresh.message_id, 'key:' || fresh.key)
    group by components.root;

    create table threaded as
    select fresh.key, coalesce(old.thread_id, new.thread_id) as thread_id
    from fresh
    join components on components.name = coalesce(fresh.message_id, 'key:' || fresh.key)
    join new on new.root = components.root
    left join old on old.root = components.root;

    create table named as
    select components.name as message_id, coalesce(old.thread_id, new.thread_id) as thread_id
    from components
    join new on new.root = components.root
    left join old on old.root = components.root
    where components.name not in (select name from known_threads);
"""
