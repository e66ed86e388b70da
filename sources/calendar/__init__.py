"""Loads calendars (ICS files, folders of them, published feeds) into raw.duckdb: one row per instance of an event."""

from sources.calendar.load import load
from sources.calendar.settings import CalendarSettings
from sources.calendar.tables import DATASET, TABLES

__all__ = ["DATASET", "TABLES", "CalendarSettings", "load"]
