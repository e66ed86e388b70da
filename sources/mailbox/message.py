"""A message as it is read from its bytes: what `parse` returns, and what one row of `mailbox.messages` is made of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sources.mailbox.classify import Bounce, MessageClass
from sources.mailbox.dates import DateSource


@dataclass(frozen=True, slots=True)
class Attachment:
    """An attachment, listed and not read.

    Attributes:
        name: File name, or the subject of an attached message; empty when it has none.
        type: MIME type as declared.
        size: Bytes when decoded, estimated from the encoded length.
        is_inline: Shown inside the text, as logos of signatures are.
        content_id: Without angles; empty when it has none.
    """

    name: str
    type: str
    size: int
    is_inline: bool
    content_id: str


@dataclass(frozen=True, slots=True)
class Invitation:
    """A calendar part of a mail.

    Attributes:
        method: REQUEST, REPLY, CANCEL, PUBLISH, ...; empty when it has none.
        uid: UID of its first event.
        sequence: Revision of the event, as it stands.
        recurrence_id: Which occurrence it is about; empty for the whole event.
        ics: The calendar's own text, for the calendar's models.
    """

    method: str
    uid: str
    sequence: str
    recurrence_id: str
    ics: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message.

    Attributes:
        key: Identity: of the Message-ID, else of what it says; 32 hex characters.
        message_id: Without angles; empty when it has none.
        in_reply_to: Message-ID this one answers; empty when unknown.
        references: Message-IDs of the conversation so far, oldest first, without repetition and without its own.
        subject: As people read it.
        normal_subject: Lower case, without "Re:", "AW:", "[list]" and the like.
        is_reply: The subject begins with "Re:" or its like in another language.
        is_forward: The subject begins with "Fwd:" or its like.
        from_name: The sender's name.
        from_email: The sender's address, lower case; empty when there is none.
        sender_email: Of the Sender header.
        reply_to: Addresses answers are asked to.
        to, cc, bcc: Recipients' addresses.
        headers: Those that models ask for, by their usual spelling.
        received: Received headers, newest first, unfolded.
        occurred_at: When it was written, UTC; None when nothing says.
        date_source: What said so.
        received_at: When it arrived, by the topmost Received header.
        body: The whole text, quotes and signature included.
        body_source: Where it came from: plain, html, calendar, none.
        new_text, quoted_text, signature: The body taken apart.
        attachments: Listed, not read.
        invitations: Calendar parts.
        protection: smime-encrypted, smime-signed, pgp-encrypted, pgp-signed, tnef; empty for none.
        message_class: Kind, told by header.
        class_header: The header that decided; empty for `person`.
        bounce: What could not be delivered, when it is a bounce.
        is_draft: Never sent.
        size: Bytes of the whole message, also when only part of it was read.
        problems: What is wrong with it, for people.
    """

    key: str
    message_id: str
    in_reply_to: str
    references: tuple[str, ...]
    subject: str
    normal_subject: str
    is_reply: bool
    is_forward: bool
    from_name: str
    from_email: str
    sender_email: str
    reply_to: tuple[str, ...]
    to: tuple[str, ...]
    cc: tuple[str, ...]
    bcc: tuple[str, ...]
    headers: dict[str, str]
    received: tuple[str, ...]
    occurred_at: datetime | None
    date_source: DateSource
    received_at: datetime | None
    body: str
    body_source: str
    new_text: str
    quoted_text: str
    signature: str
    attachments: tuple[Attachment, ...]
    invitations: tuple[Invitation, ...]
    protection: str
    message_class: MessageClass
    class_header: str
    bounce: Bounce | None
    is_draft: bool
    size: int
    problems: tuple[str, ...]
