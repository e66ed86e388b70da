"""Loads transcripts of calls from files, in the formats recorders export, into dataset `transcripts` of raw.duckdb."""

from sources.transcripts.run import load
from sources.transcripts.settings import TranscriptSettings
from sources.transcripts.tables import DATASET, TABLES

__all__ = ["DATASET", "TABLES", "TranscriptSettings", "load"]
