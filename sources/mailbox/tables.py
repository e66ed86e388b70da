"""Every table of the raw dataset `mailbox`."""

from __future__ import annotations

from typing import Final

from sources.kit.tables import Table, by_name, files_table, problems_table, table

DATASET: Final = "mailbox"

MESSAGES: Final = table(
    DATASET,
    "messages",
    "key",
    ("text", "key source mailbox_owner_email thread_id internet_message_id in_reply_to"),
    ("json", "references_json"),
    ("text", "subject normal_subject from_name from_email sender_email reply_to_email to_email cc_email bcc_email"),
    ("text", "body body_source new_text quoted_text signature"),
    ("json", "headers_json attachments_json calendar_json"),
    ("text", "email_direction direction_reason message_class class_header protection"),
    ("text", "bounced_address bounce_kind bounce_status bounce_reason bounced_message_id"),
    ("text", "date_source"),
    ("bool", "is_sent is_truncated"),
    ("bigint", "size_bytes"),
    ("timestamp", "occurred_at received_at"),
    addresses=("from_email", "sender_email", "reply_to_email", "to_email", "cc_email", "bcc_email", "bounced_address"),
    texts=("body", "subject", "from_name", "headers_json", "calendar_json", "attachments_json", "bounce_reason"),
    document="emails",
    thread=("thread_id", "body"),
)
# Where copies of a message lie. `position` is `<uidvalidity>:<uid>`, a byte offset, or a file's name.
LOCATIONS: Final = table(
    DATASET,
    "locations",
    "container position",
    ("text", "container position message_key source folder"),
    ("bool", "is_sent is_gone"),
    ("timestamp", "gone_at"),
)
# One row per folder of a mailbox or file of messages: how far it was read.
FOLDERS: Final = table(
    DATASET,
    "folders",
    "container",
    ("text", "container source kind folder special_use"),
    ("bigint", "uidvalidity uidnext last_uid messages read_to"),
    ("text", "head_sha256 tail_sha256"),
    ("bool", "is_gone"),
    ("timestamp", "read_at"),
)
# Every Message-ID that was ever named, and the conversation it belongs to.
THREADS: Final = table(DATASET, "threads", "message_id", ("text", "message_id thread_id"))

TABLES: Final[dict[str, Table]] = by_name(
    MESSAGES, LOCATIONS, FOLDERS, THREADS, files_table(DATASET), problems_table(DATASET)
)
