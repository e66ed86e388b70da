"""The audit trail: a hash chain in the ledger, checked by one query, anchored in a file outside the database.

hash = sha256(prev_hash || encoded sequence, time, actor, action, subject, body). Editing, deleting, inserting or
reordering any event breaks the chain at that event; cutting off the end is found through the anchors, which hold the
last hash seen and lie beside the ledger (and can be committed to git or sent elsewhere).

Events hold hashes of written values, not the values: those are in `plan_ops`, so that a person can be erased without
breaking the proof of what was written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightdesk.errors import NightdeskError
from reverse_etl.digest import encode, sha256
from reverse_etl.store import Clock, anchor_path, opened, utc

if TYPE_CHECKING:
    import duckdb

GENESIS = "0" * 64
CHAIN_BROKEN = 8

_EVENT_SQL = " || ".join(
    f"coalesce(strlen({column})::varchar || ':' || {column}, '~')"
    for column in ("sequence::varchar", "epoch_us(occurred_at)::varchar", "actor", "action", "subject", "body::varchar")
)


def event_hash(
    prev_hash: str, sequence: int, occurred_at: datetime, actor: str, action: str, subject: str, body: str
) -> str:
    """Hash of one event; the SQL in `verify` computes the same."""
    since_epoch = utc(occurred_at) - datetime(1970, 1, 1, tzinfo=UTC)
    micros = (since_epoch.days * 86_400 + since_epoch.seconds) * 1_000_000 + since_epoch.microseconds
    return sha256(prev_hash + "".join(encode(value) for value in (sequence, micros, actor, action, subject, body)))


def append(
    con: duckdb.DuckDBPyConnection, clock: Clock, actor: str, action: str, subject: str, body: Mapping[str, Any]
) -> int:
    """Append one event inside the caller's transaction; returns its sequence number."""
    last = con.execute("select sequence, hash from audit_events order by sequence desc limit 1").fetchone()
    sequence, prev_hash = (int(last[0]) + 1, str(last[1])) if last else (1, GENESIS)
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    now = utc(clock())
    digest = event_hash(prev_hash, sequence, now, actor, action, subject, text)
    con.execute(
        "insert into audit_events values (?, ?, ?, ?, ?, ?, ?, ?)",
        [sequence, now, actor, action, subject, text, prev_hash, digest],
    )
    return sequence


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What a verification found. `problem` is empty when the chain is whole."""

    events: int
    anchors: int
    first_bad: int | None
    problem: str
    last_hash: str

    @property
    def ok(self) -> bool:
        """Whether chain and anchors agree."""
        return not self.problem

    @property
    def exit_code(self) -> int:
        """0, or 8 when the chain is broken."""
        return 0 if self.ok else CHAIN_BROKEN


def verify(ledger: Path | duckdb.DuckDBPyConnection, anchor_file: Path | None = None) -> AuditReport:
    """Check every event in one query, then the anchors in the ledger and in the file beside it.

    Args:
        ledger: The ledger.
        anchor_file: Another anchor file, e.g. a copy from a backup or from git.
    """
    with opened(ledger) as con:
        count, first_bad, last_sequence, last_hash = con.execute(
            f"""
            with chained as (
                select
                    sequence, hash, prev_hash,
                    sha256(prev_hash || {_EVENT_SQL}) as computed,
                    lag(hash, 1, '{GENESIS}') over (order by sequence) as expected_prev,
                    lag(sequence, 1, 0) over (order by sequence) + 1 as expected_sequence
                from audit_events
            )
            select
                count(*),
                min(case
                    when sequence <> expected_sequence then expected_sequence
                    when hash is distinct from computed or prev_hash is distinct from expected_prev then sequence
                end),
                max(sequence), arg_max(hash, sequence)
            from chained
            """
        ).fetchone() or (0, None, None, None)
        stored = [
            (int(s), str(h), str(loc))
            for s, h, loc in con.execute(
                "select sequence, hash, location from audit_anchors order by sequence"
            ).fetchall()
        ]
        path = anchor_file or anchor_path(con)
        anchors = stored + (_read_anchors(path) if path else [])
        missing_file = (
            path is not None and not path.exists() and any(loc == str(path) or loc == path.name for *_, loc in stored)
        )
        wanted = sorted({sequence for sequence, *_ in anchors})
        hashes = dict(
            con.execute(
                "select sequence, hash from audit_events where list_contains(?::bigint[], sequence)", [wanted]
            ).fetchall()
        )
    last = int(last_sequence or 0)
    report = (int(count), len(anchors))
    if first_bad is not None:
        return AuditReport(*report, int(first_bad), f"event {first_bad} is not what was written", last_hash or GENESIS)
    for sequence, anchored, location in sorted(anchors):
        if sequence > last:
            return AuditReport(
                *report,
                last + 1,
                f"events {last + 1} to {sequence} are gone (anchored in {location})",
                last_hash or GENESIS,
            )
        if hashes.get(sequence) != anchored:
            return AuditReport(
                *report, sequence, f"event {sequence} differs from its anchor in {location}", last_hash or GENESIS
            )
    if missing_file:
        return AuditReport(*report, None, f"the anchor file {path} is gone", last_hash or GENESIS)
    return AuditReport(*report, None, "", last_hash or GENESIS)


def require_whole(con: duckdb.DuckDBPyConnection) -> None:
    """Refuse to go on over a broken chain: what it says about plans and approvals cannot be trusted any more.

    A missing anchor file alone stops nothing: it breaks no event, and the next anchor makes it anew.

    Raises:
        NightdeskError: Exit code 8.
    """
    report = verify(con)
    if report.first_bad is not None:
        raise NightdeskError(
            f"The audit chain is broken: {report.problem}",
            where="ledger",
            todo="Compare the ledger with its backup (`nightdesk audit verify`); nothing is written until then.",
            exit_code=CHAIN_BROKEN,
        )


def _read_anchors(path: Path) -> list[tuple[int, str, str]]:
    if not path.exists():
        return []
    found: list[tuple[int, str, str]] = []
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            found.append((int(entry["sequence"]), str(entry["hash"]), path.name))
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                break  # a crash while appending leaves half a last line; the ledger's own anchor row still counts
            raise NightdeskError(
                "The anchor file is damaged",
                where=f"{path}:{number}",
                todo="Compare it with its backup.",
                exit_code=CHAIN_BROKEN,
            ) from error
    return found


def anchor(ledger: Path | duckdb.DuckDBPyConnection, clock: Clock, path: Path | None = None) -> tuple[int, str] | None:
    """Write the chain's last hash outside the database (fsynced) and note it inside; None when there is nothing new.

    Call it outside a transaction.
    """
    with opened(ledger) as con:
        last = con.execute("select sequence, hash from audit_events order by sequence desc limit 1").fetchone()
        target = path or anchor_path(con)
        if last is None or target is None:
            return None
        sequence, digest = int(last[0]), str(last[1])
        known = con.execute(
            "select 1 from audit_anchors where sequence = ? and location = ?", [sequence, target.name]
        ).fetchone()
        if known:
            return None
        now = utc(clock())
        line = json.dumps({"sequence": sequence, "hash": digest, "anchored_at": now.isoformat()})
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            broken_end = target.exists() and target.stat().st_size > 0 and not target.read_bytes().endswith(b"\n")
            with target.open("a", encoding="utf-8") as file:
                if broken_end:
                    file.write("\n")
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise NightdeskError(
                f"The audit anchor could not be written: {error.strerror}",
                where=str(target),
                todo="Free space or fix the rights.",
            ) from error
        con.execute("insert into audit_anchors values (?, ?, ?, ?)", [sequence, digest, now, target.name])
        return sequence, digest


def last_event(ledger: Path | duckdb.DuckDBPyConnection) -> tuple[int, str]:
    """Sequence and hash of the newest event; `(0, GENESIS)` when there is none."""
    with opened(ledger) as con:
        last = con.execute("select sequence, hash from audit_events order by sequence desc limit 1").fetchone()
        return (int(last[0]), str(last[1])) if last else (0, GENESIS)


def export(ledger: Path | duckdb.DuckDBPyConnection, target: Path) -> int:
    """Write every event as one JSON line (with its hashes, so that others can check it); returns how many."""
    with opened(ledger) as con, target.open("w", encoding="utf-8") as file:
        cursor = con.execute(
            "select sequence, occurred_at, actor, action, subject, body::varchar, prev_hash, hash from "
            "audit_events order by sequence"
        )
        written = 0
        while batch := cursor.fetchmany(1000):
            for sequence, occurred_at, actor, action, subject, body, prev_hash, digest in batch:
                file.write(
                    json.dumps(
                        {
                            "sequence": sequence,
                            "occurred_at": utc(occurred_at).isoformat(),
                            "actor": actor,
                            "action": action,
                            "subject": subject,
                            "body": json.loads(body),
                            "body_text": body,
                            "prev_hash": prev_hash,
                            "hash": digest,
                        },
                        ensure_ascii=False,
                    )
                    + "\n"
                )
                written += 1
    return written
