"""Tryton: a client of its JSON-RPC, and the adapter over it. Nothing here imports Tryton's own code."""

from __future__ import annotations

from reverse_etl.crms.tryton.adapter import TrytonAdapter
from reverse_etl.crms.tryton.client import TrytonClient

__all__ = ["TrytonAdapter", "TrytonClient"]
