"""Bytes to `Message`: pure, and never raising: of a broken one, what can be read is kept and the rest named."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from email import message_from_bytes
from email.message import Message as Mail
from typing import Any, Final

from sources.mailbox.classify import Class, Shape, classify
from sources.mailbox.dates import received_at, written_at
from sources.mailbox.message import Attachment, Message
from sources.mailbox.parts import Content, children, parameter, read_parts
from sources.mailbox.people import addresses
from sources.mailbox.subjects import message_id, message_ids, taken_apart
from sources.mailbox.text import taken_apart as zones_of
from sources.mailbox.text import tidy
from sources.mailbox.words import decoded, header_text, unfolded

_KEPT: Final = """
    Auto-Submitted Precedence X-Autoreply X-Autorespond X-Auto-Response-Suppress List-Id List-Unsubscribe
    List-Unsubscribe-Post Return-Path Reply-To Sender In-Reply-To References Message-ID Date Delivered-To
    X-Failed-Recipients X-Mailer User-Agent Content-Type Content-Language Feedback-ID Authentication-Results
    X-Gmail-Labels X-GM-THRID Thread-Index Thread-Topic Importance Disposition-Notification-To X-Original-To
"""
KEPT_HEADERS: Final = {name.lower(): name for name in _KEPT.split()}
# What else the classes, dates and the subject are told by.
_ASKED_FOR: Final = KEPT_HEADERS.keys() | {
    *("subject", "date", "resent-date", "x-unsent", "x-mozilla-draft-info", "x-read-receipt"),
    *("x-autoreply-from", "x-vacation", "x-fc-machinegenerated", "x-post-messageclass", "list-post", "mailing-list"),
    *("x-mailing-list", "x-ms-exchange-message-is-ndr"),
}
_LONGEST_KEPT: Final = 4_000
_MOST_HEADERS: Final = 2_000


class Headers:
    """The header fields of a message, by lower-case name, values as they stand."""

    def __init__(self, mail: Mail) -> None:
        raw: Any = mail
        self._values: dict[str, list[str]] = {}
        self.order: list[str] = []
        for name, value in list(raw.raw_items())[:_MOST_HEADERS]:
            lowered = str(name).strip().lower()
            self.order.append(lowered)
            self._values.setdefault(lowered, []).append(str(value))

    @property
    def are_ascii(self) -> bool:
        """Whether no value holds bare 8-bit characters."""
        return all(value.isascii() for values in self._values.values() for value in values)

    def all(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        return self._values.get(name, [])

    def first(self, name: str) -> str:
        """The first value of a header; empty when there is none."""
        values = self._values.get(name)
        return values[0] if values else ""

    def decoded(self, hint: str) -> dict[str, str]:
        """The first value of each header as text, for the headers somebody asks for."""
        return {
            name: header_text(values[0], hint, most=_LONGEST_KEPT)
            for name, values in self._values.items()
            if name in _ASKED_FOR
        }


def parse(
    raw: bytes,
    *,
    now: datetime,
    internal: datetime | None = None,
    size: int | None = None,
    attachments: Sequence[Attachment] | None = None,
    cut: str = "",
) -> Message:
    """Reads a message.

    Args:
        raw: The message, or the part of it that was fetched.
        now: The clock of the load: no message is from the future.
        internal: When the mail store says that it arrived.
        size: Bytes of the whole message, when `raw` is less.
        attachments: As the server lists them, when they were not fetched.
        cut: Why `raw` is not the whole message, in words; empty when it is.
    """
    problems: list[str] = []
    try:
        mail = message_from_bytes(raw)
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError, IndexError, AssertionError) as error:
        # Parts nested without end. The headers and the text that follows them can still be read.
        problems.append(f"the parts cannot be taken apart ({type(error).__name__})")
        mail = _flat(raw)
    headers = Headers(mail)
    hint = "" if headers.are_ascii else _hint(mail)
    if cut:
        problems.append(cut)
    if not headers.order:
        problems.append("there are no headers" if raw.strip() else "it is empty")
    try:
        content = read_parts(mail)
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError, IndexError, AssertionError) as error:
        problems.append(f"its text cannot be read ({type(error).__name__})")
        content = Content()
    problems += [one for one in content.problems if not (cut and "cut short" in one)]
    return _message(headers, hint, content, problems, raw, now, internal, size, attachments)


def _flat(raw: bytes) -> Mail:
    head, _, body = raw.replace(b"\r\n", b"\n").partition(b"\n\n")
    lines = [line for line in head.split(b"\n") if not line.lower().startswith(b"content-")]
    mail = message_from_bytes(b"\n".join(lines[:_MOST_HEADERS]) + b"\n\n")
    mail.set_payload(decoded(body[:100_000])[0].encode("utf-8"), "utf-8")
    return mail


def _hint(mail: Mail) -> str:
    """The charset of the message's text, for header values in bare 8 bits."""
    stack, seen = [mail], 0
    while stack and seen < 20:
        part = stack.pop()
        seen += 1
        stack += reversed(children(part))
        charset = parameter(part, "charset")
        if charset:
            return charset
    return ""


def _message(
    headers: Headers,
    hint: str,
    content: Content,
    problems: list[str],
    raw: bytes,
    now: datetime,
    internal: datetime | None,
    size: int | None,
    attachments: Sequence[Attachment] | None,
) -> Message:
    texts = headers.decoded(hint)
    subject = texts.get("subject", "")
    normal, is_reply, is_forward = taken_apart(subject)
    people = {name: addresses(headers.all(name), hint) for name in ("from", "sender", "reply-to", "to", "cc", "bcc")}
    senders = people["from"] or people["sender"]
    from_name, from_email = senders[0] if senders else ("", "")
    own_id = message_id(headers.first("message-id"))
    references = message_ids(" ".join(headers.all("references")))
    answered = message_ids(headers.first("in-reply-to"))
    if not references:
        references = answered[:1]
    elif answered and answered[0] not in references:
        references = (*references, answered[0])
    references = tuple(one for one in references if one != own_id)
    arrived = received_at([unfolded(one) for one in headers.all("received")[:5]])
    date_header = texts.get("date", "") or texts.get("resent-date", "")
    occurred_at, date_source = written_at(date_header, arrived, internal, now)
    if date_source != "date" and headers.order:
        problems.append("the Date header " + (f"cannot be true: {date_header[:60]!r}" if date_header else "is missing"))
    body = content.text
    # Only what a server wrote is searched for the address it could not reach.
    shape = Shape(
        content_type=content.content_type,
        report_type=content.report_type,
        reports=content.reports,
        returned=content.returned,
        calendar_method=content.calendar_method,
        text=body[:4_000],
    )
    kind: Class = classify(texts, from_email, shape)
    zones = zones_of(body, is_forward=is_forward)
    return Message(
        key=_key(own_id, from_email, texts, normal, people["to"], body),
        message_id=own_id,
        in_reply_to=answered[0] if answered else "",
        references=references,
        subject=subject,
        normal_subject=normal,
        is_reply=is_reply,
        is_forward=is_forward,
        from_name=from_name,
        from_email=from_email,
        sender_email=people["sender"][0][1] if people["sender"] else "",
        reply_to=tuple(address for _, address in people["reply-to"]),
        to=tuple(address for _, address in people["to"]),
        cc=tuple(address for _, address in people["cc"]),
        bcc=tuple(address for _, address in people["bcc"]),
        headers={shown: texts[name] for name, shown in KEPT_HEADERS.items() if texts.get(name)},
        received=tuple(unfolded(one)[:1_000] for one in headers.all("received")[:20]),
        occurred_at=occurred_at,
        date_source=date_source,
        received_at=arrived,
        body=tidy(body),
        body_source=content.source,
        new_text=zones.new,
        quoted_text=zones.quoted,
        signature=zones.signature,
        attachments=tuple(attachments) if attachments is not None else tuple(content.attachments),
        invitations=tuple(content.invitations),
        protection=content.protection,
        message_class=kind.name,
        class_header=kind.decided_by,
        bounce=kind.bounce,
        is_draft=texts.get("x-unsent", "").strip() == "1" or "x-mozilla-draft-info" in texts,
        size=len(raw) if size is None else size,
        problems=tuple(problems),
    )


def _key(
    own_id: str,
    from_email: str,
    texts: Mapping[str, str],
    normal_subject: str,
    to: Sequence[tuple[str, str]],
    body: str,
) -> str:
    """The Message-ID names a message. Without one, what it says does, in any folder and file alike."""
    if own_id:
        return content_key("id", own_id)
    return content_key(
        "text",
        from_email,
        texts.get("date", ""),
        normal_subject,
        ";".join(address for _, address in to),
        re.sub(r"\s+", " ", body[:20_000]).strip(),
    )


def content_key(*pieces: str) -> str:
    """The key of some texts: 32 hex characters of SHA-256."""
    return hashlib.sha256("\0".join(pieces).encode("utf-8", "replace")).hexdigest()[:32]
