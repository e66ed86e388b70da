"""Opens a finished data folder and the truth beside it, read-only, in one DuckDB connection."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightdesk.errors import NightdeskError

if TYPE_CHECKING:
    import duckdb

_TODO = "Run a whole night on the sample company first: `nightdesk eval` does, and so does `nightdesk demo`."


@contextmanager
def opened(data_dir: Path, truth_path: Path) -> Generator[duckdb.DuckDBPyConnection]:
    """Attach `warehouse`, `ledger`, `truth` and, where it is, `raw`; nothing can be written through the connection.

    Raises:
        NightdeskError: A file is missing, or another process holds one.
    """
    import duckdb

    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        for alias, path in (
            ("warehouse", data_dir / "warehouse.duckdb"),
            ("ledger", data_dir / "ledger.duckdb"),
            ("truth", truth_path),
            ("raw", data_dir / "raw.duckdb"),
        ):
            if not path.is_file():
                if alias == "raw":
                    continue
                raise NightdeskError(f"There is no {alias} to evaluate", where=str(path), todo=_TODO)
            try:
                connection.execute(f"attach '{str(path).replace(chr(39), chr(39) * 2)}' as {alias} (read_only)")
            except duckdb.IOException as error:
                raise NightdeskError(
                    f"The {alias} is in use by another process",
                    where=str(path),
                    todo="Wait until the night (or whoever reads it) is done, then evaluate again.",
                ) from error
        yield connection


def rows(connection: duckdb.DuckDBPyConnection, sql: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
    """All rows of a query over the attached files.

    Raises:
        NightdeskError: A table or column is missing: the night was not finished or is of another version.
    """
    import duckdb

    try:
        return connection.execute(sql, parameters or []).fetchall()
    except duckdb.CatalogException as error:
        raise NightdeskError(
            f"The data folder has not what the evaluation reads: {str(error).splitlines()[0]}", todo=_TODO
        ) from error
    except duckdb.BinderException as error:
        raise NightdeskError(
            f"The data folder has another shape than the evaluation reads: {str(error).splitlines()[0]}", todo=_TODO
        ) from error
