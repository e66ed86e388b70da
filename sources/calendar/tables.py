"""Every table of the raw dataset `calendar`, defined once."""

from __future__ import annotations

from typing import Final

from sources.kit.tables import Table, by_name, files_table, problems_table, table

DATASET: Final = "calendar"

# One row per instance of an event: what repeats is written out within the horizon.
EVENTS: Final = table(
    DATASET,
    "events",
    "id",
    ("text", "id calendar uid recurrence_id series_id file"),
    ("text", "title description location conference_url event_status organizer_email organizer_name"),
    ("text", "owner_participation time_zone"),
    ("bigint", "sequence attendee_count ignored_attendee_count"),
    ("bool", "is_all_day is_cancelled is_private is_free is_recurring is_override"),
    ("timestamp", "started_at ended_at"),
    ("date", "start_date end_date"),
    ("timestamp", "created_at updated_at"),
    ("json", "attendees"),
    addresses=("organizer_email", "attendees"),
    texts=("title", "description", "location", "organizer_name"),
    document="meetings",
)
# One row per event as its files state it: what a later load compares with, so that only what moved is read closely.
SERIES: Final = table(
    DATASET,
    "series",
    "id",
    ("text", "id calendar uid files digest"),
    ("bool", "is_open"),
    ("date", "expanded_from expanded_to"),
)
CALENDARS: Final = table(
    DATASET,
    "calendars",
    "name",
    ("text", "name title owner_email time_zone place reading"),
    ("date", "as_of"),
)
TABLES: Final[dict[str, Table]] = by_name(EVENTS, SERIES, CALENDARS, files_table(DATASET), problems_table(DATASET))
