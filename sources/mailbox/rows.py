"""Parsed copies as rows of text, made in this process or in others: parsing is all the work there is."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime
from itertools import islice
from multiprocessing import get_context
from typing import Final

from nightdesk.errors import NightdeskError
from sources.mailbox.direction import EXCLUDED_NAMES, Place, direction, labels
from sources.mailbox.message import Message
from sources.mailbox.parse import Headers, content_key, parse
from sources.mailbox.stores import Item
from sources.mailbox.tables import MESSAGES
from sources.mailbox.words import clean

BATCH: Final = 200
_ALONE: Final = 4_000  # messages that are parsed before other processes are worth their start
_MOST_BYTES: Final = 8_000_000  # of one batch

# Columns of the scratch table beside those of `messages`: what tells copies and conversations apart.
EXTRA: Final = (
    "container",
    "position",
    "folder",
    "is_left_out",
    "other_key",
    "participants_json",
    "is_reply",
    "mentions_json",
)
COLUMNS: Final = (*MESSAGES.names, *EXTRA)

Row = tuple[str | None, ...]
Said = tuple[str, str, str]  # file, place, what is wrong


def read(items: Sequence[Item], now: datetime) -> tuple[list[Row], list[Said]]:
    """The rows of some copies, in `COLUMNS` order, and what is wrong with them."""
    rows: list[Row] = []
    problems: list[Said] = []
    for item in items:
        message = parse(
            item.raw,
            now=now,
            internal=item.internal,
            size=item.size,
            attachments=item.attachments,
            cut=item.cut,
        )
        problems += [(*item.said_at, one) for one in message.problems if not one.startswith("the Date header")]
        rows.append(_row(message, item))
    return rows, problems


def _row(message: Message, item: Item) -> Row:
    place: Place = item.place
    first = _first_headers(item.raw) if place.is_export and "X-Gmail-Labels" in message.headers else ()
    way, reason = direction(message, place, first_headers=first)
    is_left_out = message.is_draft or item.is_draft or bool(labels(message, first) & EXCLUDED_NAMES)
    bounce = message.bounce
    values: dict[str, str | None] = {
        "key": message.key,
        "source": place.source,
        "mailbox_owner_email": place.owner_email,
        "thread_id": None,
        "internet_message_id": message.message_id or None,
        "in_reply_to": message.in_reply_to or None,
        "references_json": _json(message.references),
        "subject": message.subject,
        "normal_subject": message.normal_subject,
        "from_name": message.from_name or None,
        "from_email": message.from_email or None,
        "sender_email": message.sender_email or None,
        "reply_to_email": _joined(message.reply_to),
        "to_email": _joined(message.to),
        "cc_email": _joined(message.cc),
        "bcc_email": _joined(message.bcc),
        "body": message.body,
        "body_source": message.body_source,
        "new_text": message.new_text,
        "quoted_text": message.quoted_text or None,
        "signature": message.signature or None,
        "headers_json": json.dumps({"headers": message.headers}, ensure_ascii=False),
        "attachments_json": _json([asdict(one) for one in message.attachments]),
        "calendar_json": _json([asdict(one) for one in message.invitations]),
        "email_direction": way,
        "direction_reason": reason,
        "message_class": message.message_class,
        "class_header": message.class_header or None,
        "protection": message.protection or None,
        "bounced_address": None if bounce is None else bounce.address or None,
        "bounce_kind": None if bounce is None else bounce.kind,
        "bounce_status": None if bounce is None else bounce.status or None,
        "bounce_reason": None if bounce is None else bounce.reason,
        "bounced_message_id": None if bounce is None else bounce.message_id or None,
        "date_source": message.date_source,
        "is_sent": "true" if way == "EMAIL" else "false",
        "is_truncated": "true" if item.cut else "false",
        "size_bytes": str(message.size),
        "occurred_at": _time(message.occurred_at),
        "received_at": _time(message.received_at or item.internal),
        # --
        "container": place.container,
        "position": item.position,
        "folder": place.folder,
        "is_left_out": "true" if is_left_out else "false",
        "other_key": content_key(
            "other", message.message_id, message.from_email, message.normal_subject, message.body[:2_000]
        ),
        "participants_json": _json(sorted({message.from_email, *message.to, *message.cc} - {""})),
        "is_reply": "true" if message.is_reply else "false",
        "mentions_json": _json(_mentions(message)),
    }
    # Whatever bytes came in, what goes out is text that can be stored.
    return tuple(None if (value := values[name]) is None else clean(value) for name in COLUMNS)


def _mentions(message: Message) -> list[str]:
    """Every name of the conversation that the message gives, the one it began with first."""
    names = list(message.references)
    index = message.headers.get("Thread-Index", "").strip()
    if len(index) >= 30 and (message.is_reply or message.references):
        names.append(f"thread-index:{index[:28]}")  # the first 22 bytes are the conversation's, in base64
    return names


def _first_headers(raw: bytes) -> tuple[str, ...]:
    from email.parser import BytesHeaderParser

    return tuple(Headers(BytesHeaderParser().parsebytes(raw[:4_000])).order[:3])


def _json(value: object) -> str | None:
    return json.dumps(value, ensure_ascii=False) if value else None


def _joined(values: Sequence[str]) -> str | None:
    return ";".join(values) or None


def _time(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()


# -- in one process or several ---------------------------------------------------------------------------------------


def batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Items in batches that are neither many nor large."""
    batch: list[Item] = []
    size = 0
    for item in items:
        batch.append(item)
        size += len(item.raw)
        if len(batch) >= BATCH or size >= _MOST_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def read_all(items: Iterable[Item], now: datetime, workers: int = 0) -> Iterator[tuple[list[Row], list[Said]]]:
    """`read` of all items, in order, batch by batch.

    Args:
        items: Consumed as they are needed, so that a store is read no faster than it is parsed.
        now: The clock of the load.
        workers: 1 reads in this process; more start as many others; 0 starts others, one per processor (at most four),
            once there turn out to be thousands of messages.
    """
    waiting = batches(items)
    if workers <= 1:
        alone = waiting if workers == 1 else islice(waiting, _ALONE // BATCH)
        for batch in alone:
            yield read(batch, now)
        if workers == 1:
            return
        workers = min(os.cpu_count() or 1, 4)
    first = next(waiting, None)
    if first is None:
        return
    with ExitStack() as stack:
        # Spawned: a forked copy of a process with DuckDB's threads may hang.
        pool = stack.enter_context(ProcessPoolExecutor(workers, mp_context=get_context("spawn")))
        stack.callback(pool.shutdown, wait=True, cancel_futures=True)
        under_way: deque[Future[tuple[list[Row], list[Said]]]] = deque([pool.submit(read, first, now)])
        try:
            for batch in waiting:
                under_way.append(pool.submit(read, batch, now))
                if len(under_way) > 2 * workers:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        except BrokenProcessPool as error:
            raise NightdeskError(
                "A process that parses mail was ended from outside, most likely for want of memory",
                where="mailboxes",
                todo="Load again with `workers: 1` for the mailbox; nothing was written, and nothing is lost.",
            ) from error
