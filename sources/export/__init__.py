"""Loads a CRM's export files into the raw tables of that CRM, so that its API is asked for what is newer only."""

from sources.export.run import load
from sources.export.settings import ExportSettings

__all__ = ["ExportSettings", "load"]
