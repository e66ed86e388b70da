"""A real Tryton for the tests: created once, started in a process of its own, and a seller who works in it.

The database (SQLite, modules party and nightdesk, users with and without rights) takes seconds to create, so it is kept
in the temporary folder under a name made from everything it depends on, and every process of tests starts its own
server over its own copy. Tests never share parties: each creates those it needs.
"""

from __future__ import annotations

import atexit
import base64
import hashlib
import inspect
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import httpx2
import pyarrow as pa
from filelock import FileLock

from nightdesk.ledger import connect, migrate
from nightdesk.policy import Policy
from reverse_etl.apply import ApplyReport, apply
from reverse_etl.approve import approve
from reverse_etl.crms.tryton import TrytonAdapter
from reverse_etl.plan import PlanSummary, make
from reverse_etl.select import Selection
from tests.reverse_kit import AS_OF, ManualTime, project_policy, row, warehouse

MODULE = Path(__file__).parent.parent / "contrib" / "trytond-nightdesk"
DATABASE = "crm"
PARTY = "party.party"
# Nobody's secret: the server listens on this machine only and is gone after the tests.
PASSWORD = "only-for-tests-1"
US, SAM, READER, PARTIAL, ADMIN = "nightdesk", "sam", "reader", "partial", "admin"
PERM = ("perm_read", "perm_write", "perm_create", "perm_delete")

# A second module, for what party.party of Tryton and ours do not have: one field of every other kind.
KINDS = {
    "tryton.cfg": "[tryton]\nversion=8.2.0\ndepends:\n    ir\n    nightdesk\n\n[register]\nmodel:\n    party.Party\n",
    "__init__.py": "",
    "party.py": """
from trytond.model import fields
from trytond.pool import PoolMeta


class Party(metaclass=PoolMeta):
    __name__ = "party.party"

    nightdesk_test_float = fields.Float("Test float")
    nightdesk_test_numeric = fields.Numeric("Test numeric")
    nightdesk_test_short = fields.Char("Test short", size=20)
    nightdesk_test_moment = fields.DateTime("Test moment")
    nightdesk_test_stamp = fields.Timestamp("Test stamp")
    nightdesk_test_boolean = fields.Boolean("Test boolean")
    nightdesk_test_list = fields.MultiSelection([("a", "A"), ("b", "B")], "Test list")
""",
}


@dataclass
class Session:
    """One user's JSON-RPC session: a client of Tryton that shares nothing with the adapter."""

    url: str
    user: str
    http: httpx2.Client = field(default_factory=lambda: httpx2.Client(trust_env=False, timeout=60))

    def __post_init__(self) -> None:
        user_id, token, *_ = self.post("common.db.login", self.user, {"password": PASSWORD}, "en")
        secret = base64.b64encode(f"{self.user}:{user_id}:{token}".encode()).decode()
        self.http.headers["Authorization"] = f"Session {secret}"

    def post(self, method: str, *params: Any) -> Any:
        answer = self.http.post(f"{self.url}/{DATABASE}/rpc/", json={"id": 1, "method": method, "params": params})
        assert answer.status_code == 200, (method, answer.status_code, answer.text)
        body = answer.json()
        assert not body.get("error"), (method, body["error"])
        return body["result"]

    def __call__(self, model: str, method: str, *params: Any, **context: Any) -> Any:
        return self.post(f"model.{model}.{method}", *params, context)


@dataclass
class Tryton:
    """A running server."""

    url: str
    file: Path
    process: subprocess.Popen[bytes]
    log: Path
    _sessions: dict[str, Session] = field(default_factory=dict)
    _logins: dict[str, tuple[int | None, str | None]] = field(default_factory=dict)

    def as_(self, user: str) -> Session:
        """A session of a user, logged in once."""
        if user not in self._sessions:
            self._sessions[user] = Session(self.url, user)
        return self._sessions[user]

    def adapter(self, user: str = US, policy: Policy | None = None, **options: Any) -> TrytonAdapter:
        """An adapter; a user's session is kept for the next one, because a login costs Tryton half a second."""
        made = TrytonAdapter.connect(
            self.url,
            DATABASE,
            user,
            PASSWORD,
            policy or project_policy(),
            AS_OF,
            **{"sleep": lambda _: None, **options},
        )
        if user in self._logins:
            made.client._user_id, made.client._authorization = self._logins[user]
        elif "transport" not in options or isinstance(options["transport"], Wire):
            self._logins[user] = (made.client.user_id, made.client._authorization)
        return made

    def create(self, *names: str, **values: Any) -> list[str]:
        """Create parties, one per name, as the administrator."""
        made = self.as_(ADMIN)(PARTY, "create", [{"name": name, **values} for name in names])
        return [str(number) for number in made]

    def edit(self, party: str, user: str = SAM, **values: Any) -> None:
        """A person changes fields in the client."""
        self.as_(user)(PARTY, "write", [int(party)], values)

    def delete(self, party: str) -> None:
        self.as_(ADMIN)(PARTY, "delete", [int(party)])

    def replace(self, party: str, by: str) -> None:
        """Somebody merges a party into another of the same name, with Tryton's own wizard."""
        admin = self.as_(ADMIN)
        session, *_ = admin.post("wizard.party.replace.create", {})
        asked = {"ask": {"source": int(party), "destination": int(by)}}
        admin.post("wizard.party.replace.execute", session, asked, "replace", {})

    def rows(self) -> dict[str, dict[str, Any]]:
        """Every column of every party, as they lie in the database file."""
        return {str(row["id"]): row for row in self.table("party_party")}

    def table(self, name: str) -> list[dict[str, Any]]:
        """All rows of a table of the database file, in order."""
        with sqlite3.connect(f"file:{self.file}?mode=ro", uri=True) as con:
            con.row_factory = sqlite3.Row
            found = [dict(row) for row in con.execute(f'select * from "{name}" order by id')]
        con.close()
        return found

    def close_field(self, name: str, right: str = "perm_write") -> int:
        """Take a right on a field from everybody; returns the entry to give it back with."""
        entry = {"model": PARTY, "field": name, **dict.fromkeys(PERM, True), right: False}
        return self.as_(ADMIN)("ir.model.field.access", "create", [entry])[0]

    def open_field(self, entry: int) -> None:
        self.as_(ADMIN)("ir.model.field.access", "delete", [entry])

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@cache
def tryton() -> Tryton:
    """The server of this process of tests; stopped when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="nightdesk-tryton-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "db").mkdir()
    shutil.copyfile(_template(), folder / "db" / f"{DATABASE}.sqlite")
    site = _site(folder / "site")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = _start(folder, site, port)
    atexit.register(running.stop)
    return running


def _start(folder: Path, site: Path, port: int) -> Tryton:
    conf = _configuration(folder, f"127.0.0.1:{port}")
    log = folder / "server.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "trytond.cli", "-c", conf, "-d", DATABASE],
            env=_environment(site),
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
        )
    running = Tryton(f"http://127.0.0.1:{port}", folder / "db" / f"{DATABASE}.sqlite", process, log)
    deadline = time.monotonic() + 60
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return running
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise AssertionError(f"Tryton does not start: {log.read_text()[-2000:]}") from None
            time.sleep(0.05)


def _template() -> Path:
    """The prepared database, created by the first process that needs it."""
    source = "".join(inspect.getsource(part) for part in (_create, _people, _start, _site, _configuration))
    parts = [version("trytond"), version("trytond-party"), sys.version, source, repr(KINDS), PASSWORD]
    parts += [path.read_text() for path in sorted(MODULE.rglob("*")) if path.suffix in (".py", ".xml", ".cfg", ".toml")]
    name = f"nightdesk-tryton-{os.getuid()}-{hashlib.sha256(''.join(parts).encode()).hexdigest()[:16]}.sqlite"
    template = Path(tempfile.gettempdir()) / name
    with FileLock(f"{template}.lock"):
        if not template.exists():
            with tempfile.TemporaryDirectory() as made:
                shutil.move(_create(Path(made)), f"{template}.new")
            os.replace(f"{template}.new", template)
    return template


def _create(folder: Path) -> Path:
    file = folder / "db" / f"{DATABASE}.sqlite"
    file.parent.mkdir()
    file.touch()
    (folder / "password").write_text(PASSWORD)
    site = _site(folder / "site")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "trytond.cli.admin", "-c", _configuration(folder, "127.0.0.1:0"), "-d", DATABASE),
            *("-u", "nightdesk", "nightdesk_kinds", "--activate-dependencies", "--email", "admin@example.com"),
        ],
        env={**_environment(site), "TRYTONPASSFILE": str(folder / "password")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = _start(folder, site, port)
    try:
        _people(running.as_(ADMIN))
    finally:
        running.stop()
    # Tryton leaves its newest transactions in the write-ahead log beside the file.
    con = sqlite3.connect(file)
    con.execute("pragma wal_checkpoint(truncate)")
    con.close()
    return file


def _people(admin: Session) -> None:
    """Who works here: sellers write parties, readers read them, `partial` may not set the last reply."""
    writers, full = admin("res.group", "create", [{"name": "Writers"}, {"name": "Full"}])
    everything, reading = dict.fromkeys(PERM, True), {**dict.fromkeys(PERM, False), "perm_read": True}
    admin(
        "ir.model.access",
        "create",
        [{"model": PARTY, **reading}, {"model": PARTY, "group": writers, **everything}],
    )
    reply = {"model": PARTY, "field": "nightdesk_last_reply"}
    admin(
        "ir.model.field.access",
        "create",
        [{**reply, **everything, "perm_write": False}, {**reply, "group": full, **everything}],
    )
    # A rule on records: nobody writes what belongs to the board.
    admin(
        "ir.rule.group",
        "create",
        [
            {
                "name": "Board",
                "model": PARTY,
                "global_p": True,
                **{**dict.fromkeys(PERM, False), "perm_write": True},
                "rules": [["create", [{"domain": '[["name", "not like", "Board %"]]'}]]],
            }
        ],
    )
    people = [(US, "Nightdesk", [writers, full]), (SAM, "Sam Seller", [writers, full])]
    people += [(READER, "Rita Reader", []), (PARTIAL, "Paul Partial", [writers])]
    for login, name, groups in people:
        user = {"login": login, "name": name, "password": PASSWORD}
        admin("res.user", "create", [{**user, "groups": [["add", groups]]} if groups else user])


def _site(folder: Path) -> Path:
    """The modules as an installation would leave them: entry points of the module's own `pyproject.toml`."""
    entry_points = tomllib.loads((MODULE / "pyproject.toml").read_text())["project"]["entry-points"]["trytond.modules"]
    kinds = folder / "nightdesk_kinds_module"
    kinds.mkdir(parents=True)
    for name, text in KINDS.items():
        (kinds / name).write_text(text)
    for name, points in {
        "trytond_nightdesk": entry_points,
        "nightdesk_kinds_module": {"nightdesk_kinds": "nightdesk_kinds_module"},
    }.items():
        info = folder / f"{name}-8.2.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 8.2.0\n")
        lines = [f"{key} = {value}\n" for key, value in points.items()]
        (info / "entry_points.txt").write_text("[trytond.modules]\n" + "".join(lines))
    return folder


def _configuration(folder: Path, listen: str) -> str:
    path = folder / "trytond.conf"
    path.write_text(f"[database]\nuri = sqlite://\npath = {folder / 'db'}\n[web]\nlisten = {listen}\n")
    return str(path)


def _environment(site: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRYTON", "PYTHONPATH"))}
    return {**kept, "PYTHONPATH": os.pathsep.join((str(site), str(MODULE))), "PYTHONDONTWRITEBYTECODE": "1"}


# a desk that writes to it ---------------------------------------------------------------------------------------------

SCORE, TIER, REASON = "nightdesk_lead_score", "nightdesk_lead_tier", "nightdesk_lead_reason"


@dataclass
class TrytonDesk:
    """Everything a write-back needs, against the real Tryton."""

    folder: Path
    server: Tryton
    adapter: TrytonAdapter
    policy: Policy
    clock: ManualTime
    ledger: duckdb.DuckDBPyConnection

    def plan(self, rows: Sequence[dict[str, Any]]) -> PlanSummary:
        self.clock.now += timedelta(seconds=1)
        path = party_warehouse(self.folder / "warehouse.duckdb", rows)
        return make(path, self.ledger, self.adapter, self.policy, "run-1", AS_OF, "nightdesk", self.clock)

    def approve(self) -> None:
        approve(self.ledger, None, Selection.parse(()), "Dana", "revops", self.policy, self.clock)

    def apply(self, adapter: Any = None, **more: Any) -> ApplyReport:
        with_ = adapter or self.adapter
        sleep = self.clock.sleep
        return apply(self.ledger, None, with_, self.policy, "Dana", False, self.clock, sleep=sleep, **more)

    def write(self, rows: Sequence[dict[str, Any]]) -> ApplyReport:
        self.plan(rows)
        self.approve()
        return self.apply()

    def results(self) -> dict[tuple[str, str], tuple[str, str | None, str]]:
        """(record, field) -> (result, refusal, message) of the newest apply run."""
        found = self.ledger.execute(
            """
            select record_id, property, result, refusal, coalesce(message, '')
            from op_results inner join apply_runs using (apply_run_id) inner join plan_ops using (plan_id, op_id)
            where apply_run_id = (select arg_max(apply_run_id, started_at) from apply_runs)
            """
        ).fetchall()
        return {(record, name): (result, refusal, message) for record, name, result, refusal, message in found}


def party_row(record: str, name: str, desired: str, **more: Any) -> dict[str, Any]:
    """One row of the sync model of parties."""
    return row(record, name, desired, object_type=PARTY, **more)


def party_warehouse(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """A warehouse whose only proposals are for parties."""
    warehouse(path, [])
    names = list(row(1, "x", None))
    kinds = {"confidence": pa.float64(), "evidence_count": pa.int64()} | dict.fromkeys(
        ("is_stale", "is_suppressed"), pa.bool_()
    )
    con = duckdb.connect(str(path))
    con.register("incoming", pa.table({n: pa.array([r[n] for r in rows], kinds.get(n, pa.string())) for n in names}))
    con.execute("create table marts.sync_tryton__party_party as select * from incoming")
    con.close()
    return path


@cache
def _empty_ledger() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="nightdesk-ledger-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    migrate(folder / "ledger.duckdb", ManualTime())
    return folder / "ledger.duckdb"


@contextmanager
def tryton_desk(folder: Path, **options: Any) -> Iterator[TrytonDesk]:
    """A ledger, a clock and an adapter; `options` go to the adapter's client (`user` names who writes)."""
    clock = ManualTime()
    shutil.copyfile(_empty_ledger(), folder / "ledger.duckdb")
    server = tryton()
    adapter = server.adapter(**{"sleep": clock.sleep, **options})
    ledger = connect(folder / "ledger.duckdb")
    ledger.execute("set threads to 1")  # a story is small: threads only get in each other's way
    ledger.execute("pragma disable_checkpoint_on_shutdown")
    try:
        yield TrytonDesk(folder, server, adapter, options.get("policy") or project_policy(), clock, ledger)
    finally:
        ledger.close()
        adapter.close()


def changed(before: Mapping[str, dict[str, Any]], after: Mapping[str, dict[str, Any]]) -> set[tuple[str, str]]:
    """(party, column) of everything in the database that is not as it was; `gone` and `new` count as columns."""
    found = {(party, "gone") for party in before.keys() - after.keys()}
    found |= {(party, "new") for party in after.keys() - before.keys()}
    for party in before.keys() & after.keys():
        found |= {(party, name) for name, value in after[party].items() if value != before[party][name]}
    return found


STAMPS = {"write_uid", "write_date"}


class Wire(httpx2.HTTPTransport):
    """The network to Tryton: counts writes, and can lose answers or do something at a certain moment.

    Attributes:
        writes: Writes that were sent.
        loses: Lose the answers of writes, after Tryton did them (True) or before it saw them (False).
        before_write: Called once, just before the next write arrives: after everything was read and decided.
        after_write: Called once, just after Tryton did the next write and before anybody knows.
    """

    writes = 0
    loses: bool | None = None
    before_write: Callable[[], None] | None = None
    after_write: Callable[[], None] | None = None

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if f'"model.{PARTY}.write"'.encode() not in request.content[:200]:
            return super().handle_request(request)
        self.writes += 1
        act, self.before_write = self.before_write, None
        if act is not None:
            act()
        if self.loses is False:
            raise httpx2.ReadError("the connection is gone")
        answer = super().handle_request(request)
        answer.read()
        act, self.after_write = self.after_write, None
        if act is not None:
            act()
        if self.loses:
            raise httpx2.ReadError("the connection is gone")
        return answer
