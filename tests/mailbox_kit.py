"""What the tests of mailboxes share: mails of one line, and a stand-in for dlt's merge, which costs a second a load."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest

from sources.kit.tables import LOAD_ID, REMOVED, Table

OWNER = "tom@ours.example"


class Merge:
    """Writes moved rows as dlt's merge does: by primary key, removed ones deleted; stands in for the kit's Loader."""

    def __init__(self, raw_path: Path, pipelines_dir: Path, dataset: str, tables: Mapping[str, Table]) -> None:
        self._raw_path = raw_path
        self._dataset = dataset
        self._tables = tables

    def finish_pending(self) -> bool:
        return False

    def run(
        self,
        counts: Mapping[str, int],
        batches: Callable[[str], Iterator[Any]],
        release: Callable[[], None],
        *,
        distinct: bool,
    ) -> None:
        assert distinct  # a settlement gives every key once
        moved = {name: list(batches(name)) for name, count in counts.items() if count}
        release()
        with duckdb.connect(str(self._raw_path)) as connection:
            for name, pages in moved.items():
                target, key = f'{self._dataset}."{name}"', ", ".join(self._tables[name].key)
                for page in pages:
                    connection.register("page", page)
                    connection.execute(f"delete from {target} where ({key}) in (select ({key}) from page)")
                    connection.execute(
                        f"insert into {target} by name select *, 'test' as {LOAD_ID} from page where {REMOVED} is null"
                    )
                    connection.unregister("page")


def without_dlt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loads of this test are written by `Merge`."""
    monkeypatch.setattr("sources.kit.pipeline.Loader", Merge)


def mail(
    number: int,
    *,
    sender: str = "Ann <ann@client.example>",
    to: str = OWNER,
    subject: str = "",
    references: str = "",
    day: int = 16,
    own_id: str | None = None,
    body: str = "",
    hop: str = "from mx.client.example by mx.ours.example with ESMTPS",
    more: str = "",
) -> str:
    """A plain mail: the `number` sets its minute, its Message-ID and, unless given, subject and text."""
    received = f"Received: {hop}; {day} Nov 2026 10:{number:02}:05 +0000\n" if hop else ""
    name = f"m{number}@client.example" if own_id is None else own_id
    return (
        f"{received}From: {sender}\nTo: {to}\nSubject: {subject or f'Question {number}'}\n"
        + (f"Message-ID: <{name}>\n" if name else "")
        + (f"References: {references}\n" if references else "")
        + f"Date: {day} Nov 2026 10:{number:02}:00 +0000\n{more}\n{body or f'What about point {number}?'}\n"
    )


def as_mbox(*messages: str) -> str:
    """Messages in the format of an mbox file."""
    return "".join(f"From x@y.example Mon Nov 16 10:00:00 2026\n{one}\n" for one in messages)
