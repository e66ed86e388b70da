"""Whose a message is: ours only when the mailbox proves it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from nightdesk.errors import NightdeskError
from sources.mailbox import MailboxSettings
from sources.mailbox.direction import Place, direction, is_read, is_sent_folder, last_name
from sources.mailbox.parse import parse
from sources.mailbox.rows import COLUMNS, read
from sources.mailbox.stores import Item
from tests.mailbox_kit import OWNER, mail

NOW = datetime(2026, 11, 17, 12, tzinfo=UTC)
OWN = "Tom <tom@ours.example>"
LOGGED_IN = "from [10.0.0.9] (unknown [203.0.113.5]) by smtp.ours.example with ESMTPSA id 1"
DELIVERED = "from mx.ours.example by store.ours.example with LMTP id 2"
FORGED = "from smtp.ours.example (mail.evil.example [203.0.113.66]) by mx.ours.example with ESMTPS id 3"


def way(raw: str, **where: Any) -> str:
    place = Place("tom", "tom/INBOX", "INBOX", OWNER, frozenset({OWNER, "tom@alias.example"}), **where)
    return direction(parse(raw.encode(), now=NOW), place)[0]


@pytest.mark.parametrize(
    ("raw", "where", "expected"),
    [
        # Among the sent mail: ours, unless it is plainly somebody else's that was dropped there.
        (mail(1, sender=OWN), {"is_sent": True}, "EMAIL"),
        (mail(1, sender="Tom <tom@alias.example>"), {"is_sent": True}, "EMAIL"),
        (mail(1, sender="Team <team@ours.example>", hop=""), {"is_sent": True}, "EMAIL"),
        (mail(1), {"is_sent": True}, "INCOMING_EMAIL"),
        # A name proves nothing, nor does a server of ours that took it from outside.
        (mail(1, sender=OWN), {}, "INCOMING_EMAIL"),
        (mail(1, sender=OWN, hop=FORGED), {}, "INCOMING_EMAIL"),
        (mail(1, sender="tom@ours.example <eve@evil.example>", hop=""), {}, "INCOMING_EMAIL"),
        # It never travelled, or came from somebody who had logged in.
        (mail(1, sender=OWN, hop=""), {}, "EMAIL"),
        (mail(1, sender=OWN, hop=LOGGED_IN), {}, "EMAIL"),
        (mail(1, sender="Jane <jane@ours.example>", hop=LOGGED_IN), {}, "INCOMING_EMAIL"),
        # In an mbox a body may look like a message of its own.
        (mail(1, sender=OWN, hop=""), {"is_mbox": True}, "INCOMING_EMAIL"),
    ],
)
def test_a_message_is_ours_only_when_that_is_certain(raw: str, where: dict[str, Any], expected: str) -> None:
    assert way(raw, **where) == expected


def test_hops_are_read_from_the_top_because_the_lower_ones_may_be_forged() -> None:
    def received(*hops: str) -> str:
        lines = "".join(f"Received: {hop}; 16 Nov 2026 10:00:00 +0000\n" for hop in hops)
        return lines + mail(1, sender=OWN, hop="")

    assert way(received(DELIVERED, LOGGED_IN)) == "EMAIL"
    assert way(received(FORGED, LOGGED_IN)) == "INCOMING_EMAIL"
    assert way(received(LOGGED_IN.replace("smtp.ours", "smtp.evil"))) == "INCOMING_EMAIL"
    assert way(received(LOGGED_IN.replace("smtp.ours.example", "smtp.notours.example"))) == "INCOMING_EMAIL"


def test_an_exports_label_counts_only_where_the_export_writes_it() -> None:
    labels = "X-GM-THRID: 1\nX-Gmail-Labels: Archived,Sent\n"
    place = Place("tom", "c", "All", OWNER, frozenset({OWNER}), is_export=True, is_mbox=True)
    column = COLUMNS.index("email_direction")

    def exported(raw: str) -> str | None:
        return read([Item(place, "1", raw.encode(), None, ("f", ""))], NOW)[0][0][column]

    assert exported(labels + mail(1, sender=OWN)) == "EMAIL"
    assert exported(labels.replace("Sent", "Inbox") + mail(1, sender=OWN)) == "INCOMING_EMAIL"
    assert exported(labels + mail(1)) == "INCOMING_EMAIL"
    # What the account's owner threw away, never sent or was warned of is no mail.
    left_out = COLUMNS.index("is_left_out")
    for label, expected in (("Drafts", "true"), ("Spam", "true"), ("Important", "false")):
        raw = labels.replace("Sent", label) + mail(1)
        assert read([Item(place, "1", raw.encode(), None, ("f", ""))], NOW)[0][0][left_out] == expected
    # A sender wrote them below the first Received header.
    assert exported(mail(1, sender=OWN, more=labels)) == "INCOMING_EMAIL"


def test_folders_are_known_by_flag_and_by_name_in_many_languages() -> None:
    assert last_name("INBOX.Gesendete Objekte") == last_name("Konto/Gesendete Objekte", "/") == "gesendete objekte"
    assert is_sent_folder("gesendete objekte") and is_sent_folder("x", ("\\HasNoChildren", "\\Sent"))
    assert not is_sent_folder("inbox")

    def wanted(folder: str, *flags: str, folders: tuple[str, ...] = ("*",), but: tuple[str, ...] = ()) -> bool:
        return is_read(folder, last_name(folder), flags, folders, but)

    assert wanted("INBOX") and wanted("Archive/2026")
    assert not wanted("Papierkorb") and not wanted("x", "\\Junk") and not wanted("[Gmail]", "\\Noselect")
    assert wanted("Papierkorb", folders=("*", "Papierkorb"))
    assert wanted("[Gmail]/All Mail", folders=("[Gmail]/*",))
    assert not wanted("Private", but=("Priv*",)) and not wanted("INBOX", folders=("Sales/*",))


def test_settings_say_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {"name": "tom", "kind": "imap", "owner_email": OWNER, "host": "imap.example.com"}
    for more, said in (
        ({}, "password_env"),
        ({"password_env": "A", "token_env": "B"}, "password_env"),
        ({"password_env": "A", "host": ""}, "host"),
        ({"password_env": "A", "security": "none"}, "readable over the network"),
        ({"kind": "mbox"}, "path"),
        ({"password_env": "A", "colour": "red"}, "colour"),
    ):
        with pytest.raises(ValidationError, match=said):
            MailboxSettings(**{**given, **more})
    tom = MailboxSettings(**given, password_env="MAILBOX_TEST_NOWHERE")
    assert (tom.at_port, tom.login) == (993, OWNER)
    monkeypatch.delenv("MAILBOX_TEST_NOWHERE", raising=False)
    with pytest.raises(NightdeskError, match="MAILBOX_TEST_NOWHERE is empty"):
        tom.secret()
