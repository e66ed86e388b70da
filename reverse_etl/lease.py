"""One applier at a time: a lease in the ledger with a fencing token that every later write of the journal checks."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from nightdesk.errors import NightdeskError
from reverse_etl.store import Clock, iso, transaction, utc

if TYPE_CHECKING:
    import duckdb

LEASE_SECONDS = 120
_RENEW_SECONDS = 30


def this_holder() -> str:
    """`host:pid` of this process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _is_dead(holder: str) -> bool:
    """Whether a holder on this host has certainly ended; of another host nothing is known."""
    host, _, pid = holder.rpartition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


@dataclass(slots=True)
class Lease:
    """A held lease. `check` belongs into every transaction of the journal."""

    con: duckdb.DuckDBPyConnection
    name: str
    token: int
    holder: str
    clock: Clock
    renewed_at: datetime

    def check(self) -> None:
        """Refuse to go on when somebody else has taken the lease since; renew it when it is getting old.

        Raises:
            NightdeskError: A newer fencing token exists.
        """
        newest = self.con.execute("select max(fencing_token) from leases where lease_name = ?", [self.name]).fetchone()
        if newest is None or newest[0] != self.token:
            raise NightdeskError(
                "Another apply has taken over; this one stops before its next write",
                where=f"lease {self.name}, token {self.token}, now {newest[0] if newest else None}",
                todo="Let the other one finish, then run `nightdesk apply` again.",
            )
        now = utc(self.clock())
        if now - self.renewed_at >= timedelta(seconds=_RENEW_SECONDS):
            self.con.execute(
                "update leases set expires_at = ? where lease_name = ? and fencing_token = ?",
                [now + timedelta(seconds=LEASE_SECONDS), self.name, self.token],
            )
            self.renewed_at = now

    def release(self) -> None:
        """Give the lease back; harmless when it was taken over."""
        self.con.execute(
            "update leases set released_at = ? where lease_name = ? and fencing_token = ? and released_at is null",
            [utc(self.clock()), self.name, self.token],
        )


def acquire(con: duckdb.DuckDBPyConnection, name: str, clock: Clock, holder: str | None = None) -> Lease:
    """Take the lease, with a fencing token one higher than any before.

    A lease of a process that has died on this host, or that has expired, is taken over.

    Raises:
        NightdeskError: Somebody else holds it.
    """
    holder = holder or this_holder()
    now = utc(clock())
    with transaction(con):
        newest = con.execute(
            "select fencing_token, holder, expires_at, released_at from leases where lease_name = ? order by "
            "fencing_token desc limit 1",
            [name],
        ).fetchone()
        if newest and newest[3] is None and newest[2] > now and not _is_dead(newest[1]):
            raise NightdeskError(
                "Another apply is running",
                where=f"lease {name} held by {newest[1]} until {iso(newest[2])}",
                todo="Wait for it to finish; a crashed one is taken over when its lease ends.",
            )
        token = int(newest[0]) + 1 if newest else 1
        con.execute(
            "insert into leases values (?, ?, ?, ?, ?, null)",
            [name, token, holder, now, now + timedelta(seconds=LEASE_SECONDS)],
        )
    return Lease(con, name, token, holder, clock, now)
