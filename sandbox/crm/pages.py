"""The record pages: what a seller sees."""

from __future__ import annotations

from starlette.routing import BaseRoute

from sandbox.crm.store import Store


def page_routes(store: Store) -> list[BaseRoute]:
    """Routes of the record pages."""
    return []
