"""The IMAP source against a real Dovecot on this machine: what it fetches, and that it leaves no trace."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import imapclient
import pytest

from nightdesk.errors import NightdeskError
from sources.kit.report import LoadReport
from sources.mailbox import MailboxSettings, load
from sources.mailbox.imap import connect, read
from sources.mailbox.parse import parse
from sources.mailbox.rows import COLUMNS
from sources.mailbox.rows import read as as_rows
from sources.mailbox.stores import Item, Ledger
from tests.mailbox_kit import mail, without_dlt

DOVECOT = shutil.which("dovecot") or shutil.which("dovecot", path="/usr/sbin:/usr/local/sbin")
pytestmark = pytest.mark.skipif(DOVECOT is None, reason="needs Dovecot (Debian: apt-get install dovecot-imapd)")

NOW = datetime(2026, 11, 17, 12, tzinfo=UTC)
PASSWORD = "open sesame"
CONFIG = """
base_dir = {base}/run
state_dir = {base}/state
log_path = {base}/dovecot.log
protocols = imap
listen = 127.0.0.1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 1
ssl = yes
ssl_cert = <{base}/cert.pem
ssl_key = <{base}/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain login xoauth2
mail_location = maildir:{base}/mail/%u
mail_max_userip_connections = 50
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
  }}
}}
service anvil {{
  chroot =
}}
service imap {{
  process_min_avail = 1
}}
passdb {{
  driver = passwd-file
  mechanisms = plain login
  args = scheme=plain {base}/users
}}
passdb {{
  driver = passwd-file
  mechanisms = xoauth2
  args = scheme=plain {base}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={base}/home/%u
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Drafts {{
    special_use = \\Drafts
    auto = create
  }}
  mailbox Postausgang-Kopien {{
    special_use = \\Sent
    auto = create
  }}
}}
"""


@dataclass
class Server:
    """A running Dovecot."""

    base: Path
    port: int
    tls_port: int
    process: subprocess.Popen[bytes]
    made: int = 0

    def account(self) -> Account:
        """A mailbox of its own, empty."""
        self.made += 1
        return Account(self, f"tom{self.made}@ours.example")

    def log(self) -> str:
        path = self.base / "dovecot.log"
        return path.read_text() if path.exists() else ""


@dataclass
class Account:
    """One mailbox, and a client that uses it the way its owner does."""

    server: Server
    user: str

    def client(self) -> Any:
        client = imapclient.IMAPClient("127.0.0.1", self.server.port, ssl=False, timeout=10)
        client.login(self.user, PASSWORD)
        return client

    def put(self, text: str | bytes, folder: str = "INBOX", flags: tuple[bytes, ...] = ()) -> None:
        raw = text if isinstance(text, bytes) else text.encode()
        with self.client() as client:
            if not client.folder_exists(folder):
                client.create_folder(folder)
            client.append(folder, raw.replace(b"\n", b"\r\n"), flags, NOW)

    def settings(self, **more: Any) -> MailboxSettings:
        given: dict[str, Any] = {
            "name": "tom",
            "kind": "imap",
            "owner_email": self.user,
            "host": "127.0.0.1",
            "port": self.server.port,
            "security": "none",
            "password_env": "MAILBOX_TEST_PASSWORD",
            "timeout_seconds": 10,
            "workers": 1,
        }
        return MailboxSettings(**{**given, **more})

    def load(self, tmp_path: Path, **more: Any) -> LoadReport:
        return load([self.settings(**more)], tmp_path / "raw.duckdb", tmp_path / "pipelines", clock=lambda: NOW)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Dovecot as an ordinary user; started by root it runs as `nobody`, in a folder that `nobody` may enter."""
    import pwd

    assert DOVECOT is not None
    base = Path(tempfile.mkdtemp(prefix="nightdesk-dovecot-"))
    person = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
    group = next(one.gr_name for one in __import__("grp").getgrall() if one.gr_gid == person.pw_gid)
    port, tls_port = _free_port(), _free_port()
    for name in ("run", "state", "mail", "home"):
        (base / name).mkdir()
    users = "".join(f"tom{number}@ours.example:{PASSWORD}\n" for number in range(1, 40))
    (base / "users").write_text(users)
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-keyout", str(base / "key.pem"), "-out", str(base / "cert.pem"), "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    config = CONFIG.format(
        base=base, user=person.pw_name, group=group, uid=person.pw_uid, gid=person.pw_gid, port=port, tls_port=tls_port
    )
    (base / "dovecot.conf").write_text(config)
    if os.getuid() == 0:
        for path in (base, *base.rglob("*")):
            os.chown(path, person.pw_uid, person.pw_gid)
    as_whom: dict[str, Any] = (
        {"user": person.pw_uid, "group": person.pw_gid, "extra_groups": []} if os.getuid() == 0 else {}
    )
    process = subprocess.Popen(
        [DOVECOT, "-F", "-c", str(base / "dovecot.conf")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **as_whom
    )
    running = Server(base, port, tls_port, process)
    try:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            except OSError:
                if process.poll() is not None:
                    output = process.stdout.read().decode() if process.stdout else ""
                    pytest.skip(f"Dovecot does not start here: {output} {running.log()}"[:400])
                time.sleep(0.05)
        else:
            pytest.skip(f"Dovecot does not listen: {running.log()}"[:400])
        yield running
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(10)
        shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def account(server: Server, monkeypatch: pytest.MonkeyPatch) -> Account:
    without_dlt(monkeypatch)
    monkeypatch.setenv("MAILBOX_TEST_PASSWORD", PASSWORD)
    return server.account()


def rows(tmp_path: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(tmp_path / "raw.duckdb"), read_only=True) as connection:
        connection.execute("set timezone = 'UTC'")
        return connection.execute(sql).fetchall()


def flags_of(account: Account, folder: str = "INBOX") -> set[bytes]:
    with account.client() as client:
        client.select_folder(folder, readonly=True)
        found = client.fetch(client.search("ALL"), ["FLAGS"])
    return {flag for one in found.values() for flag in one[b"FLAGS"]} - {b"\\Recent"}


def test_loads_what_is_new_and_nothing_twice_and_marks_nothing(account: Account, tmp_path: Path) -> None:
    for number in range(2):
        account.put(mail(number))
    account.put(mail(9), "Drafts")
    # Sent mail is ours by the flag of its folder; a sender's name is forged easily.
    account.put(mail(8, sender=account.user, to="ann@client.example", hop=""), "Postausgang-Kopien")
    account.put(mail(7, sender=account.user, subject="Please pay"))
    first = account.load(tmp_path)
    assert (first.rows_moved["messages"], first.problems) == (4, ())
    assert flags_of(account) == set(), "a message was marked, most likely as seen"
    ways = rows(tmp_path, "select subject, email_direction from mailbox.messages order by subject")
    assert ways[0] == ("Please pay", "INCOMING_EMAIL") and ways[3] == ("Question 8", "EMAIL")

    quiet = account.load(tmp_path)
    assert (quiet.rows_moved["messages"], quiet.rows_moved["locations"]) == (0, 0)

    account.put(mail(3))
    assert account.load(tmp_path).rows_moved["messages"] == 1
    assert flags_of(account) == set()
    assert rows(tmp_path, "select count(*), count(distinct internet_message_id) from mailbox.messages") == [(5, 5)]


def test_a_message_that_moves_is_one_message_and_an_expunged_one_stays(account: Account, tmp_path: Path) -> None:
    account.put(mail(1))
    account.put(mail(2))
    account.load(tmp_path)
    with account.client() as client:
        client.create_folder("Archive")
        client.select_folder("INBOX")
        uids = client.search("ALL")
        client.move([uids[0]], "Archive")
        client.add_flags([uids[1]], [b"\\Deleted"])
        client.expunge()
    report = account.load(tmp_path)
    assert report.rows_moved["messages"] == 0
    places = rows(
        tmp_path,
        "select messages.internet_message_id, folder, is_gone, gone_at is not null from mailbox.locations "
        "join mailbox.messages on messages.key = message_key order by all",
    )
    assert places == [
        ("m1@client.example", "Archive", False, False),
        ("m1@client.example", "INBOX", True, True),
        ("m2@client.example", "INBOX", True, True),
    ]


def test_a_folder_made_anew_is_read_again_and_replaces_what_was_known(account: Account, tmp_path: Path) -> None:
    account.put(mail(1), "Clients")
    account.put(mail(2), "Clients")
    account.put(mail(4), "Old")
    account.load(tmp_path)
    ((before,),) = rows(tmp_path, "select uidvalidity from mailbox.folders where folder = 'Clients'")
    with account.client() as client:
        client.delete_folder("Clients")
        client.delete_folder("Old")
    time.sleep(1.1)  # UIDVALIDITY is a time in seconds
    account.put(mail(2), "Clients")
    account.put(mail(3), "Clients")
    report = account.load(tmp_path)
    ((after,),) = rows(tmp_path, "select uidvalidity from mailbox.folders where folder = 'Clients'")
    assert before != after
    assert report.rows_moved["messages"] == 1
    positions = rows(tmp_path, "select position, is_gone from mailbox.locations where folder = 'Clients' order by 1")
    assert positions == [(f"{after}:1", False), (f"{after}:2", False)]
    # A folder that is gone for good is marked, and its messages stay.
    assert rows(tmp_path, "select is_gone from mailbox.folders where folder = 'Old'") == [(True,)]
    assert rows(tmp_path, "select is_gone from mailbox.locations where folder = 'Old'") == [(True,)]
    assert rows(tmp_path, "select count(*) from mailbox.messages") == [(4,)]


ATTACHED = "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=outer\n"
ATTACHED_BODY = (
    "--outer\nContent-Type: multipart/alternative; boundary=inner\n\n"
    "--inner\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n"
    "Der Vertrag f=C3=BCr Sie.\n--inner\nContent-Type: text/html; charset=utf-8\n\n<p>Der Vertrag</p>\n--inner--\n"
    "--outer\nContent-Type: application/pdf; name=contract.pdf\n"
    "Content-Disposition: attachment; filename=contract.pdf\n"
    "Content-Transfer-Encoding: base64\n\n" + "QUJD" * 20_000 + "\n--outer\n"
    "Content-Type: message/rfc822\n\nFrom: Joe <joe@partner.example>\nSubject: Prices\n"
    "Message-ID: <inner@partner.example>\nContent-Type: text/plain\n\nWe pay 40 EUR.\n--outer--"
)


def test_attachments_are_listed_and_their_bytes_never_asked_for(account: Account) -> None:
    account.put(mail(1, more=ATTACHED, body=ATTACHED_BODY))
    asked: list[str] = []

    def listening(settings: MailboxSettings) -> Any:
        client = connect(settings)
        plain = client.fetch

        def fetch(messages: Any, data: Any, modifiers: Any = None) -> Any:
            answer = plain(messages, data, modifiers)
            asked.extend(data)
            assert sum(len(v) for one in answer.values() for v in one.values() if isinstance(v, bytes)) < 5_000
            return answer

        client.fetch = fetch
        return client

    items = list(_read(account, listening))
    assert len(items) == 1
    assert not [one for one in asked if one.startswith("BODY[")], "only BODY.PEEK leaves a message unseen"
    message = parse(items[0].raw, now=NOW, attachments=items[0].attachments, size=items[0].size)
    assert message.body.startswith("Der Vertrag für Sie.")
    assert "From: Joe <joe@partner.example>" in message.body and "We pay 40 EUR." in message.body
    assert [(one.name, one.type) for one in message.attachments] == [
        ("contract.pdf", "application/pdf"),
        ("Prices", "message/rfc822"),
    ]
    assert 59_000 < message.attachments[0].size < 63_000
    assert message.size > 80_000 and not message.problems


def _read(account: Account, how: Callable[[MailboxSettings], Any], **more: Any) -> Iterator[Item]:
    ledger = Ledger(ask=lambda _: [], problem=lambda *_: None, read_file=lambda *_: None, now=NOW)
    return read(account.settings(**more), ledger, connect=how, sleep=lambda _: None)


def test_a_huge_message_is_read_up_to_the_limit_and_said(account: Account) -> None:
    account.put(mail(1, body="x" * 70 + "\n" + ("word " * 14 + "\n") * 3_000))
    account.put(mail(2))
    found, problems = as_rows(list(_read(account, connect, max_message_bytes=20_000)), NOW)
    told = [(row[COLUMNS.index("is_truncated")], int(str(row[COLUMNS.index("size_bytes")])) > 200_000) for row in found]
    assert told == [("true", True), ("false", False)]
    ((file, place, what),) = problems
    assert (file, place) == ("tom/INBOX", "UID 1") and "of which the first 20000 were read" in what


def test_a_dropped_connection_is_taken_up_where_it_was(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    import sources.mailbox.imap as source

    monkeypatch.setattr(source, "_DESCRIBED", 5)
    with account.client() as client:
        for number in range(12):
            client.append("INBOX", mail(number).replace("\n", "\r\n").encode(), (), NOW)
    broken = {"left": 3}
    connections = 0

    def fragile(settings: MailboxSettings) -> Any:
        nonlocal connections
        connections += 1
        client = connect(settings)
        plain = client.fetch

        def fetch(messages: Any, data: Any, modifiers: Any = None) -> Any:
            if broken["left"] and (connections % 2 or len(data) == 1):
                broken["left"] -= 1
                client.socket().shutdown(socket.SHUT_RDWR)
            return plain(messages, data, modifiers)

        client.fetch = fetch
        return client

    items = list(_read(account, fragile))
    assert broken["left"] == 0 and connections > 1
    assert len(items) == len({item.position for item in items}) == 12
    assert flags_of(account) == set()


def test_a_server_that_stays_away_is_one_clear_error(account: Account, tmp_path: Path) -> None:
    waits: list[float] = []
    ledger = Ledger(ask=lambda _: [], problem=lambda *_: None, read_file=lambda *_: None, now=NOW)
    settings = account.settings(port=_free_port(), max_attempts=3)
    with pytest.raises(NightdeskError, match="cannot be reached") as caught:
        list(read(settings, ledger, sleep=waits.append))
    assert waits == [0.5, 1.0]
    assert "tom" in caught.value.where


def test_a_wrong_password_is_said_without_the_password(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILBOX_TEST_PASSWORD", "wrong-secret")
    with pytest.raises(NightdeskError, match="refuses the login") as caught:
        connect(account.settings())
    assert "wrong-secret" not in f"{caught.value} {caught.value.todo}"


def test_a_server_that_refuses_to_go_on_is_one_clear_error(account: Account) -> None:
    def unwilling(settings: MailboxSettings) -> Any:
        client = connect(settings)
        client.logout()
        client.list_folders = lambda: client._checkok("list", "NO", [b"no rights"])
        return client

    with pytest.raises(NightdeskError, match="refuses to go on: list failed"):
        list(_read(account, unwilling))


def test_tls_and_starttls_check_the_certificate(account: Account, tmp_path: Path) -> None:
    certificate = account.server.base / "cert.pem"
    account.put(mail(1))
    for security, port in (("tls", account.server.tls_port), ("starttls", account.server.port)):
        trusting = account.settings(security=security, port=port, ca_file=certificate)
        connect(trusting).logout()
        with pytest.raises(NightdeskError, match="certificate"):
            connect(account.settings(security=security, port=port))


def test_a_token_logs_in_with_xoauth2(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dovecot holds the token against its own list, where a provider would ask its identity service."""
    monkeypatch.setenv("MAILBOX_TEST_TOKEN", PASSWORD)
    given = account.settings(password_env="", token_env="MAILBOX_TEST_TOKEN")
    client = connect(given)
    assert b"INBOX" in {name.encode() for _, _, name in client.list_folders()}
    client.logout()
    monkeypatch.setenv("MAILBOX_TEST_TOKEN", "expired")
    with pytest.raises(NightdeskError, match="refuses the login") as caught:
        connect(given)
    assert "MAILBOX_TEST_TOKEN" in caught.value.todo and "expired" not in caught.value.todo


def test_folders_are_chosen_by_pattern_and_old_mail_is_left_alone(account: Account, tmp_path: Path) -> None:
    account.put(mail(1), "Clients/North")
    account.put(mail(2), "Clients/South")
    account.put(mail(3), "Private")
    account.put(mail(4).replace("16 Nov 2026", "16 Nov 2024"), "Clients/South")
    more: dict[str, Any] = {"folders": ("Clients/*",), "exclude_folders": ("*/North",), "since": "2026-01-01"}
    account.load(tmp_path, **more)
    assert rows(tmp_path, "select internet_message_id from mailbox.messages") == [("m2@client.example",)]
    assert rows(tmp_path, "select count(*) from mailbox.locations") == [(2,)]
