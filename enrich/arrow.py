"""Python values to DuckDB in bulk, through Arrow. The one file that touches pyarrow, which has no types of its own."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

Kind = Literal["text", "int", "big", "time", "day", "usd", "share"]
"""What a column holds: text, 32- or 64-bit integers, UTC times, days, USD (8 decimals), shares of one (4 decimals)."""

_USD_STEP = Decimal("0.00000001")
_SHARE_STEP = Decimal("0.0001")


@contextmanager
def registered(
    connection: duckdb.DuckDBPyConnection, name: str, columns: Mapping[str, tuple[Kind, Sequence[Any]]]
) -> Generator[None]:
    """Make columns readable as table `name` on this connection, for the length of the block.

    Args:
        connection: Any DuckDB connection.
        name: What the table is called.
        columns: Column name to kind and values, all of one length.
    """
    import pyarrow as pa

    arrays = {column: pa.array(_converted(values, kind), _type(kind)) for column, (kind, values) in columns.items()}
    connection.register(name, pa.table(arrays))
    try:
        yield
    finally:
        connection.unregister(name)


def _type(kind: Kind) -> pa.DataType:
    import pyarrow as pa

    match kind:
        case "text":
            return pa.string()
        case "int":
            return pa.int32()
        case "big":
            return pa.int64()
        case "time":
            return pa.timestamp("us", tz="UTC")
        case "day":
            return pa.date32()
        case "usd":
            return pa.decimal128(18, 8)
        case "share":
            return pa.decimal128(6, 4)


def _converted(values: Sequence[Any], kind: Kind) -> Sequence[Any]:
    if kind == "text":
        return [value if value is None or value.isascii() else _storable(value) for value in values]
    if kind == "usd":
        return [Decimal(value).quantize(_USD_STEP, ROUND_HALF_UP) for value in values]
    if kind == "share":
        shares = (None if value is None else Decimal(str(value)) for value in values)
        return [None if share is None else share.quantize(_SHARE_STEP, ROUND_HALF_UP) for share in shares]
    return values


def _storable(text: str) -> str:
    """A model may escape half a surrogate pair; no database can hold one."""
    return text.encode("utf-8", "replace").decode()
