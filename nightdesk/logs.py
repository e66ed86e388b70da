"""The log file: one JSON object a line, for the person who looks in the morning and for whatever collects logs."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

LOGGER = logging.getLogger("nightdesk")


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            line |= fields
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def to_file(folder: Path) -> Path | None:
    """Send Nightdesk's log to `<folder>/nightdesk.jsonl`.

    Returns:
        The file, or None where it cannot be written: a full disk must not hide the error that names it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(folder / "nightdesk.jsonl", encoding="utf-8")
    except OSError:
        return None
    handler.setFormatter(_JsonLines())
    LOGGER.handlers = [handler]
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    return folder / "nightdesk.jsonl"


def log(message: str, **fields: object) -> None:
    """Write one line with these fields."""
    LOGGER.info(message, extra={"fields": fields})
