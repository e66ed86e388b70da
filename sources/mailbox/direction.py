"""Who sent a message: ours only when the mailbox proves it, for a From header proves nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal

from sources.mailbox.message import Message

Direction = Literal["EMAIL", "INCOMING_EMAIL"]

# RFC 3848: the letter A says that the sender had logged in. HTTP and MAPI are submission from a web page or Outlook.
_SUBMITTED: Final = re.compile(r"\bwith\s+(?:[A-Z0-9]*SMTPS?A|ESMTPSA|ASMTP|HTTPS?|mapi)\b", re.IGNORECASE)
_DELIVERED: Final = re.compile(r"\bwith\s+(?:[A-Z0-9]*LMTP[A-Z]*|local)\b|\(Dovecot\)", re.IGNORECASE)
_BY: Final = re.compile(r"\bby\s+([A-Za-z0-9.-]+)", re.IGNORECASE)
_PLACE: Final = re.compile(r"[/.\\]")

SENT_NAMES: Final = frozenset(
    {
        "sent",
        "sent items",
        "sent mail",
        "sent messages",
        "sent-mail",
        "gesendet",
        "gesendete elemente",
        "gesendete objekte",
        "gesendete nachrichten",
        "envoyés",
        "éléments envoyés",
        "messages envoyés",
        "courrier envoyé",
        "enviados",
        "elementos enviados",
        "mensajes enviados",
        "itens enviados",
        "posta inviata",
        "verzonden",
        "verzonden items",
        "verzonden berichten",
        "skickat",
        "sendt",
        "wysłane",
        "送信済みアイテム",
        "送信済みメール",
        "已发送",
        "已发送邮件",
    }
)
EXCLUDED_NAMES: Final = frozenset(
    {
        "drafts",
        "draft",
        "entwürfe",
        "brouillons",
        "borradores",
        "concepten",
        "bozze",
        "junk",
        "junk e-mail",
        "junk-e-mail",
        "junk email",
        "spam",
        "bulk mail",
        "courrier indésirable",
        "correo no deseado",
        "ongewenste e-mail",
        "trash",
        "deleted items",
        "deleted messages",
        "gelöschte elemente",
        "gelöschte objekte",
        "papierkorb",
        "corbeille",
        "éléments supprimés",
        "papelera",
        "elementos eliminados",
        "prullenbak",
        "verwijderde items",
        "outbox",
        "postausgang",
        "templates",
        "vorlagen",
        "sync issues",
    }
)
SENT_FLAG: Final = "\\sent"
EXCLUDED_FLAGS: Final = frozenset({"\\drafts", "\\junk", "\\trash", "\\noselect", "\\nonexistent"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where copies of messages lie.

    Attributes:
        source: The mailbox's name in the settings.
        container: Folder or file, unique among all mailboxes.
        folder: As people see it.
        owner_email: Whose mailbox it is.
        own_addresses: All addresses of the owner.
        is_sent: A folder of sent mail, by its flag or name.
        is_export: A file; its first headers may be an export's own (X-Gmail-Labels).
        is_mbox: Messages follow each other in one file, and a body may hold lines that look like a message of its own.
    """

    source: str
    container: str
    folder: str
    owner_email: str
    own_addresses: frozenset[str]
    is_sent: bool = False
    is_export: bool = False
    is_mbox: bool = False


def last_name(folder: str, delimiter: str = "") -> str:
    """The last part of a folder's name, lower case: `INBOX.Sent` is `sent`."""
    parts = folder.split(delimiter) if delimiter else _PLACE.split(folder)
    return next((one for one in reversed(parts) if one), "").strip().lower()


def is_sent_folder(name: str, flags: Sequence[str] = ()) -> bool:
    """Whether a folder holds sent mail, by its special-use flag (RFC 6154) or its name."""
    return SENT_FLAG in {one.lower() for one in flags} or name in SENT_NAMES


def is_read(folder: str, name: str, flags: Sequence[str], wanted: Sequence[str], unwanted: Sequence[str]) -> bool:
    """Whether the settings want a folder.

    Args:
        folder: Its whole name.
        name: Its last part, lower case.
        flags: Special-use flags.
        wanted: Patterns of `folders`.
        unwanted: Patterns of `exclude_folders`.
    """
    lowered = {one.lower() for one in flags}
    if lowered & {"\\noselect", "\\nonexistent"} or any(_matches(folder, one) for one in unwanted):
        return False
    if folder in wanted:
        return True
    if name in EXCLUDED_NAMES or lowered & EXCLUDED_FLAGS:
        return False
    return any(_matches(folder, one) for one in wanted)


def _matches(folder: str, pattern: str) -> bool:
    """`*` is any text. Brackets are themselves: Gmail's folders are called `[Gmail]/...`."""
    return fnmatchcase(folder, pattern.replace("[", "[[]"))


def direction(message: Message, place: Place, *, first_headers: Sequence[str] = ()) -> tuple[Direction, str]:
    """EMAIL when we are known to have sent it, else INCOMING_EMAIL; and why.

    Ours is what lies among the sent mail of this mailbox and is from its owner (or never travelled at all), what a
    Google export marks as sent, and what carries an address of the owner and either never travelled or was handed in
    by somebody who had logged in at a server of the owner's domain. All else came in, whatever its From says.

    Args:
        message: As parsed.
        place: Where this copy lies.
        first_headers: Names of the topmost headers, lower case.
    """
    is_own = message.from_email in place.own_addresses
    never_travelled = not message.received
    if place.is_sent and (is_own or never_travelled):
        return "EMAIL", "lies among the sent mail"
    if is_own and place.is_export and labels(message, first_headers) & SENT_NAMES:
        return "EMAIL", "labelled as sent by the export"
    if is_own and never_travelled and not place.is_mbox:
        return "EMAIL", "from the owner, and never received by a server"
    if is_own and _was_submitted(message, place):
        return "EMAIL", "from the owner, handed in with a login"
    if is_own:
        return "INCOMING_EMAIL", "claims to be from the owner, but came from outside"
    return "INCOMING_EMAIL", "from somebody else"


def labels(message: Message, first_headers: Sequence[str]) -> frozenset[str]:
    """What a Google export says about a message, lower case.

    Google writes its two headers above all others; further down a sender may have written them.
    """
    if len(first_headers) < 2 or set(first_headers[:2]) != {"x-gm-thrid", "x-gmail-labels"}:
        return frozenset()
    return frozenset(one.strip().lower() for one in message.headers.get("X-Gmail-Labels", "").split(","))


def _was_submitted(message: Message, place: Place) -> bool:
    """Read from the top: local deliveries of our servers, then a submission with a login at one of them.

    What stands below was there before our servers saw the message, and may be forged.
    """
    domain = place.owner_email.rpartition("@")[2].lower()
    for hop in message.received:
        by = _BY.search(hop)
        host = by[1].lower().rstrip(".") if by is not None else ""
        if host != domain and not host.endswith("." + domain):
            return False
        if _SUBMITTED.search(hop):
            return True
        if not _DELIVERED.search(hop):
            return False
    return False
