"""The ledger: what was asked, answered, decided and written; opening it and bringing it up to date."""

from __future__ import annotations

from nightdesk.ledger.connection import LEDGER_ALIAS, WAREHOUSE_ALIAS, connect
from nightdesk.ledger.migrate import AppliedMigration, Migration, migrate, migrations

__all__ = ["LEDGER_ALIAS", "WAREHOUSE_ALIAS", "AppliedMigration", "Migration", "connect", "migrate", "migrations"]
