"""Turns HubSpot's JSON into rows of text in table order. Pure; types are cast later, in one place, by SQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, cast

from sources.hubspot.api import Link
from sources.hubspot.client import Json
from sources.hubspot.tables import ObjectType

Row = tuple[str | None, ...]

_SINGULAR: Final = {
    "contacts": "contact",
    "companies": "company",
    "deals": "deal",
    "emails": "email",
    "calls": "call",
    "meetings": "meeting",
    "notes": "note",
    "tasks": "task",
}

# The ids behind the names of inline associations from an engagement (HubSpot's documented defaults).
DEFAULT_LINKS: Final[dict[tuple[str, str], int]] = {
    ("emails", "contacts"): 198,
    ("emails", "companies"): 186,
    ("emails", "deals"): 210,
    ("calls", "contacts"): 194,
    ("calls", "companies"): 182,
    ("calls", "deals"): 206,
    ("meetings", "contacts"): 200,
    ("meetings", "companies"): 188,
    ("meetings", "deals"): 212,
    ("notes", "contacts"): 202,
    ("notes", "companies"): 190,
    ("notes", "deals"): 214,
    ("tasks", "contacts"): 204,
    ("tasks", "companies"): 192,
    ("tasks", "deals"): 216,
}


def text(value: Any) -> str | None:
    """A JSON value as HubSpot would send it as a property."""
    if value is None or isinstance(value, str):
        return value
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def object_rows(kind: ObjectType, records: Iterable[Json]) -> Iterator[Row]:
    """One row per record, in the column order of its table."""
    names = kind.properties
    for record in records:
        properties = record["properties"]
        yield (
            str(record["id"]),
            "true" if record.get("archived") else "false",
            text(record.get("createdAt")),
            text(record.get("updatedAt")),
            *(text(properties.get(name)) for name in names),
        )


def merge_rows(kind: ObjectType, records: Iterable[Json]) -> Iterator[Row]:
    """One row per record that was merged into one of these."""
    for record in records:
        survivor = str(record["id"])
        for merged in (record["properties"].get("hs_merged_object_ids") or "").split(";"):
            if merged.strip() and merged.strip() != survivor:
                yield (kind.name, merged.strip(), survivor)


def deletion_rows(kind: ObjectType, records: Iterable[Json]) -> Iterator[Row]:
    """One row per archived record."""
    for record in records:
        yield (kind.name, str(record["id"]), text(record.get("archivedAt") or record.get("updatedAt")))


def namespaced_rows(kind: ObjectType, records: Iterable[Json], names: Sequence[str], *, blanks: bool) -> Iterator[Row]:
    """One row per namespaced property of each record; unset ones (as '') only where `blanks`."""
    for record in records:
        for name in names:
            value = text(record["properties"].get(name)) or ""
            if value or blanks:
                yield (kind.name, str(record["id"]), name, value, text(record.get("updatedAt")))


def history_rows(kind: ObjectType, records: Iterable[Json]) -> Iterator[Row]:
    """One row per earlier or current value of a tracked property."""
    for record in records:
        for name, versions in _object(record.get("propertiesWithHistory")).items():
            if name not in kind.history:
                continue
            for version in _objects(versions):
                yield (
                    kind.name,
                    str(record["id"]),
                    name,
                    text(version["timestamp"]),
                    text(version.get("value")) or "",
                    text(version.get("sourceType")),
                    text(version.get("sourceId")),
                    text(version.get("updatedByUserId")),
                )


def inline_links(kind: ObjectType, record: Json) -> list[Link] | None:
    """The associations listed inside a record, or None when they are cut off or of a type only v4 can tell."""
    found: list[Link] = []
    for to_type, value in _object(record.get("associations")).items():
        listed = _object(value)
        if _object(listed.get("paging")).get("next"):
            return None
        type_id = DEFAULT_LINKS.get((kind.name, to_type))
        if type_id is None:
            if to_type in kind.associated:
                return None
            continue
        for target in _objects(listed["results"]):
            if target.get("type") != f"{_SINGULAR[kind.name]}_to_{_SINGULAR[to_type]}":
                return None
            found.append(Link(str(record["id"]), str(target["id"]), type_id, "HUBSPOT_DEFINED", None))
    return found


def link_rows(from_type: str, to_type: str, links: Iterable[Link]) -> Iterator[Row]:
    """Rows of table `associations`."""
    for link in links:
        yield (from_type, link.from_id, to_type, link.to_id, str(link.type_id), link.category, link.label)


def owner_rows(owners: Iterable[Json], *, archived: bool) -> Iterator[Row]:
    """Rows of table `owners`; the team is the primary one."""
    for owner in owners:
        teams = _objects(owner.get("teams"))
        primary = [team for team in teams if team.get("primary")] or teams
        yield (
            str(owner["id"]),
            text(owner.get("email")),
            text(owner.get("firstName")),
            text(owner.get("lastName")),
            text(owner.get("userId") or owner.get("userIdIncludingInactive")),
            text(primary[0].get("name")) if primary else None,
            "true" if archived else "false",
            text(owner.get("createdAt")),
            text(owner.get("updatedAt")),
        )


def pipeline_rows(object_type: str, pipelines: Iterable[Json]) -> Iterator[Row]:
    """Rows of table `pipelines`."""
    for one in pipelines:
        yield (
            object_type,
            str(one["id"]),
            text(one["label"]),
            text(one.get("displayOrder")),
            text(bool(one.get("archived"))),
        )


def stage_rows(object_type: str, pipelines: Iterable[Json]) -> Iterator[Row]:
    """Rows of table `pipeline_stages`."""
    for one in pipelines:
        for stage in _objects(one.get("stages")):
            metadata = _object(stage.get("metadata"))
            yield (
                object_type,
                str(one["id"]),
                str(stage["id"]),
                text(stage["label"]),
                text(stage.get("displayOrder")),
                text(metadata.get("probability")),
                text(metadata.get("isClosed")),
            )


def unsubscribe_rows(results: Iterable[Json]) -> Iterator[Row]:
    """Rows of table `unsubscribes` for the addresses that are unsubscribed from everything."""
    for result in results:
        for status in _statuses(result):
            if str(status.get("status", "")).upper() == "UNSUBSCRIBED":
                email = status.get("subscriberIdString") or result.get("subscriberIdString")
                yield (str(email).lower(), text(status.get("timestamp")), text(status.get("source")), "true")
                break


def _statuses(result: Json) -> list[Json]:
    return _objects(result.get("statuses") or result.get("wideStatuses")) or [result]


def _object(value: Any) -> Json:
    return cast("Json", value or {})


def _objects(value: Any) -> list[Json]:
    return cast("list[Json]", value or [])
