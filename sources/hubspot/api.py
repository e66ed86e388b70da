"""The endpoints a load uses, as iterators of pages. Shapes and limits: HubSpot's public documentation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sources.hubspot.client import HubSpotClient, Json, Params

HISTORY_PAGE: Final = 50  # list and batch read allow 50 records when history is asked for
BATCH: Final = 100
ASSOCIATION_BATCH: Final = 1000
SEARCH_PAGE: Final = 200
_MILLISECOND: Final = timedelta(milliseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Link:
    """One association of one type between two records."""

    from_id: str
    to_id: str
    type_id: int
    category: str
    label: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """A page of search results: ids with their modified stamps, and how many match in all."""

    stamps: list[tuple[str, datetime]]
    total: int


class HubSpotApi:
    """Paths and paging of one portal."""

    def __init__(self, client: HubSpotClient) -> None:
        self.client = client
        base = client.settings.base_path
        # Date versions put the objects right under `/crm/objects/<version>`; v3 has one more folder.
        self._objects = base if "/objects" in base else f"{base}/objects"
        self._page = client.settings.page_size

    def list_objects(
        self,
        object_type: str,
        properties: Sequence[str],
        *,
        history: Sequence[str] = (),
        associations: Sequence[str] = (),
        archived: bool = False,
    ) -> Iterator[list[Json]]:
        """All records of a type, in id order, a page at a time."""
        params = [
            ("limit", str(min(self._page, HISTORY_PAGE) if history else self._page)),
            ("properties", ",".join(properties)),
            ("archived", "true" if archived else "false"),
        ]
        if history:
            params.append(("propertiesWithHistory", ",".join(history)))
        if associations:
            params.append(("associations", ",".join(associations)))
        return self._pages(f"{self._objects}/{object_type}", params)

    def read_objects(
        self, object_type: str, ids: Sequence[str], properties: Sequence[str], history: Sequence[str] = ()
    ) -> Iterator[list[Json]]:
        """These records as they are now; ids that no longer exist are left out."""
        for some in _batches(ids, HISTORY_PAGE if history else BATCH):
            body: Json = {"inputs": [{"id": one} for one in some], "properties": list(properties)}
            if history:
                body["propertiesWithHistory"] = list(history)
            yield self.client.post(f"{self._objects}/{object_type}/batch/read", body)["results"]

    def newest_stamp(self, object_type: str, stamp: str) -> datetime | None:
        """The latest modification the CRM knows of for a type: the CRM's own clock, whatever ours says."""
        body = {
            "filterGroups": [],
            "sorts": [{"propertyName": stamp, "direction": "DESCENDING"}],
            "properties": [stamp],
            "limit": 1,
        }
        for found in self._search(object_type, body)["results"]:
            return parse_time(found["properties"].get(stamp) or found.get("updatedAt"))
        return None

    def modified_since(self, object_type: str, stamp: str, since: datetime) -> Iterator[Found]:
        """Ids and stamps of the records modified at or after `since`, in stamp order. An id may come twice.

        Pages by key, not by offset: each page asks again from the last stamp seen. So no cap at 10,000 results applies,
        and a record that moves to the end while paging shifts nothing out of sight. Records that share one stamp beyond
        a page are walked by id.
        """
        start = since
        while True:
            found = self._search_page(object_type, stamp, [_filter(stamp, "GTE", start)], stamp)
            yield found
            if len(found.stamps) < SEARCH_PAGE:
                return
            last = found.stamps[-1][1]
            if last == start:
                yield from self._one_stamp(object_type, stamp, start)
                start += _MILLISECOND
            else:
                start = last

    def _one_stamp(self, object_type: str, stamp: str, moment: datetime) -> Iterator[Found]:
        """All records stamped within one millisecond, in id order."""
        after = 0
        while True:
            filters = [
                _filter(stamp, "GTE", moment),
                _filter(stamp, "LT", moment + _MILLISECOND),
                {"propertyName": "hs_object_id", "operator": "GT", "value": str(after)},
            ]
            found = self._search_page(object_type, stamp, filters, "hs_object_id")
            yield found
            if len(found.stamps) < SEARCH_PAGE:
                return
            after = max(int(one) for one, _ in found.stamps)

    def _search_page(self, object_type: str, stamp: str, filters: list[Json], sort: str) -> Found:
        body = {
            "filterGroups": [{"filters": filters}],
            "sorts": [{"propertyName": sort, "direction": "ASCENDING"}],
            "properties": [stamp],
            "limit": SEARCH_PAGE,
        }
        answer = self._search(object_type, body)
        stamps = [
            (str(one["id"]), parse_time(one["properties"].get(stamp) or one["updatedAt"])) for one in answer["results"]
        ]
        return Found(stamps, int(answer.get("total", len(stamps))))

    def count_between(self, object_type: str, stamp: str, since: datetime, until: datetime) -> int:
        """How many records search finds with a stamp in [since, until]."""
        filters = [_filter(stamp, "GTE", since), _filter(stamp, "LT", until + _MILLISECOND)]
        body = {"filterGroups": [{"filters": filters}], "properties": [stamp], "limit": 1}
        return int(self._search(object_type, body).get("total", -1))

    def _search(self, object_type: str, body: Json) -> Json:
        return self.client.post(f"{self._objects}/{object_type}/search", body, search=True)

    def associations(self, from_type: str, to_type: str, ids: Sequence[str]) -> Iterator[Link]:
        """Every association from these records to records of `to_type`, with type id, category and label."""
        path = f"/crm/v4/associations/{from_type}/{to_type}/batch/read"
        for some in _batches(ids, ASSOCIATION_BATCH):
            inputs: list[Json] = [{"id": one} for one in some]
            while inputs:
                results = self.client.post(path, {"inputs": inputs})["results"]
                inputs = []
                for result in results:
                    origin = str(result["from"]["id"])
                    for target in result.get("to", ()):
                        for kind in target["associationTypes"]:
                            yield Link(
                                origin,
                                str(target["toObjectId"]),
                                int(kind["typeId"]),
                                str(kind["category"]),
                                kind.get("label"),
                            )
                    after = result.get("paging", {}).get("next", {}).get("after")
                    if after:
                        inputs.append({"id": origin, "after": after})

    def properties(self, object_type: str) -> list[Json]:
        """The property definitions of a type."""
        return self.client.get(f"/crm/v3/properties/{object_type}")["results"]

    def owners(self, *, archived: bool) -> Iterator[list[Json]]:
        """The people records can belong to."""
        return self._pages("/crm/v3/owners", [("limit", "100"), ("archived", "true" if archived else "false")])

    def pipelines(self, object_type: str) -> list[Json]:
        """The pipelines of a type with their stages."""
        return self.client.get(f"/crm/v3/pipelines/{object_type}")["results"]

    def unsubscribed(self, emails: Sequence[str]) -> Iterator[list[Json]]:
        """The unsubscribe-from-all status of these addresses."""
        for some in _batches(emails, BATCH):
            yield self.client.post(
                "/communication-preferences/v4/statuses/batch/unsubscribe-all/read",
                {"inputs": list(some)},
                [("channel", "EMAIL")],
            )["results"]

    def _pages(self, path: str, params: Params) -> Iterator[list[Json]]:
        after: str | None = None
        while True:
            body = self.client.get(path, [*params, ("after", after)] if after else params)
            yield body["results"]
            after = body.get("paging", {}).get("next", {}).get("after")
            if not after:
                return


def parse_time(value: Any) -> datetime:
    """A HubSpot time (ISO-8601 with Z, or epoch milliseconds) as aware UTC."""
    text = str(value)
    if text.lstrip("-").isdigit():
        return _EPOCH + int(text) * _MILLISECOND
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _millis(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND


def _filter(stamp: str, operator: str, moment: datetime) -> Json:
    return {"propertyName": stamp, "operator": operator, "value": str(_millis(moment))}


def _batches(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
