"""A CRM seen without the texts of people who were erased.

What we once wrote on other records may quote an erased person, and stays in the CRM until the next plan is applied.
Read as it is, it would be back in every plan, journal and log; so such a value is read as its mask, which is the same
everywhere and equals nothing but itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from reverse_etl.crms.protocol import RoutesRecords

if TYPE_CHECKING:
    from nightdesk.erasure.tombstones import Tombstones
    from reverse_etl.crms.protocol import (
        Change,
        CrmAdapter,
        CrmRecord,
        ObjectSchema,
        PropertySpec,
        ReadResult,
        RecordWrite,
        WriteOutcome,
    )


class Masked:
    """An adapter that reads erased texts as masks; everything else is the inner adapter's.

    Args:
        inner: The CRM.
        tombstones: The values that must not be read as they are.
    """

    def __init__(self, inner: CrmAdapter, tombstones: Tombstones) -> None:
        self._inner = inner
        self._tombstones = tombstones
        self._written: set[str] = set()  # what we write now rests on other people's texts, even if it reads the same

    @property
    def crm(self) -> str:
        """The inner adapter's."""
        return self._inner.crm

    @property
    def batch_size(self) -> int:
        """The inner adapter's."""
        return self._inner.batch_size

    @property
    def keyed_types(self) -> frozenset[str]:
        """The inner adapter's."""
        return self._inner.keyed_types

    def write_batch(self, records: int) -> int:
        """The inner adapter's."""
        return self._inner.write_batch(records)

    def route(self, object_type: str, ids: Sequence[str]) -> Mapping[str, tuple[str, str]]:
        """The inner adapter's; nothing where it does not route."""
        return self._inner.route(object_type, ids) if isinstance(self._inner, RoutesRecords) else {}

    def describe(self, object_type: str) -> ObjectSchema:
        """The inner adapter's."""
        return self._inner.describe(object_type)

    def create_group(self, object_type: str, name: str, label: str) -> None:
        """The inner adapter's."""
        self._inner.create_group(object_type, name, label)

    def create_property(self, object_type: str, spec: PropertySpec) -> None:
        """The inner adapter's."""
        self._inner.create_property(object_type, spec)

    def add_options(self, object_type: str, name: str, options: Sequence[str]) -> None:
        """The inner adapter's."""
        self._inner.add_options(object_type, name, options)

    def read(
        self, object_type: str, ids: Sequence[str], properties: Sequence[str], *, history: bool = False
    ) -> ReadResult:
        """Read records as they are now, erased texts as masks."""
        read = self._inner.read(object_type, ids, properties, history=history)
        return replace(read, found={one: self._masked(record) for one, record in read.found.items()})

    def write(self, object_type: str, writes: Sequence[RecordWrite]) -> Mapping[str, WriteOutcome]:
        """The inner adapter's."""
        self._written.update(value for write in writes for value in write.values.values())
        return self._inner.write(object_type, writes)

    def _masked(self, record: CrmRecord) -> CrmRecord:
        return replace(
            record,
            values={name: None if value is None else self._mask(value) for name, value in record.values.items()},
            history={name: tuple(self._change(one) for one in changes) for name, changes in record.history.items()},
        )

    def _change(self, change: Change) -> Change:
        return replace(change, value=self._mask(change.value))

    def _mask(self, value: str) -> str:
        return value if value in self._written else self._tombstones.masked(value)
