"""Which handler answers which address. Versions are taken off first, so v3, v4 and dates share one table."""

from __future__ import annotations

import re
from collections.abc import Callable

from sandbox.crm.api import batches, definitions, links, objects, settings
from sandbox.crm.api.call import Call, Reply
from sandbox.crm.errors import ApiError

Handler = Callable[[Call], Reply]

_DATED = re.compile(r"^/crm/([a-z-]+)/\d{4}-\d{2}(/|$)")
_NUMBERED = re.compile(r"^/crm/v[34]/")
_PREFERENCES = re.compile(r"^/communication-preferences/(v4|\d{4}-\d{2})/")

_O, _P, _A = "/objects/{object_type}", "/properties/{object_type}", "/associations/{from_type}/{to_type}"
_L = "/objects/{from_type}/{from_id}/associations"
ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", _O, objects.list_objects),
    ("POST", _O, objects.create_object),
    ("POST", f"{_O}/search", objects.search_objects),
    ("POST", f"{_O}/merge", objects.merge_objects),
    ("POST", f"{_O}/gdpr-delete", objects.erase_object),
    ("POST", f"{_O}/batch/read", batches.batch_read),
    ("POST", f"{_O}/batch/update", batches.batch_update),
    ("POST", f"{_O}/batch/create", batches.batch_create),
    ("POST", f"{_O}/batch/upsert", batches.batch_upsert),
    ("POST", f"{_O}/batch/archive", batches.batch_archive),
    ("GET", f"{_O}/{{object_id}}", objects.get_object),
    ("PATCH", f"{_O}/{{object_id}}", objects.update_object),
    ("DELETE", f"{_O}/{{object_id}}", objects.archive_object),
    ("GET", f"{_L}/{{to_type}}", links.list_one),
    ("PUT", f"{_L}/default/{{to_type}}/{{to_id}}", links.put_default),
    ("PUT", f"{_L}/{{to_type}}/{{to_id}}", links.put_labelled),
    ("DELETE", f"{_L}/{{to_type}}/{{to_id}}", links.delete_one),
    ("POST", f"{_A}/batch/read", links.read_batch),
    ("POST", f"{_A}/batch/create", links.create_batch),
    ("POST", f"{_A}/batch/associate/default", links.create_default_batch),
    ("POST", f"{_A}/batch/archive", links.archive_batch),
    ("POST", f"{_A}/batch/labels/archive", links.archive_labels_batch),
    ("GET", f"{_A}/labels", links.list_labels),
    ("POST", f"{_A}/labels", links.create_label),
    ("GET", _P, definitions.list_properties),
    ("POST", _P, definitions.create_property),
    ("GET", f"{_P}/groups", definitions.list_groups),
    ("POST", f"{_P}/groups", definitions.create_group),
    ("GET", f"{_P}/groups/{{name}}", definitions.get_group),
    ("DELETE", f"{_P}/groups/{{name}}", definitions.archive_group),
    ("POST", f"{_P}/batch/create", definitions.create_properties),
    ("POST", f"{_P}/batch/read", definitions.read_properties),
    ("POST", f"{_P}/batch/archive", definitions.archive_properties),
    ("GET", f"{_P}/{{name}}", definitions.get_property),
    ("PATCH", f"{_P}/{{name}}", definitions.update_property),
    ("DELETE", f"{_P}/{{name}}", definitions.archive_property),
    ("GET", "/owners", settings.list_owners),
    ("GET", "/owners/{owner_id}", settings.get_owner),
    ("GET", "/pipelines/{object_type}", settings.list_pipelines),
    ("GET", "/pipelines/{object_type}/{pipeline_id}", settings.get_pipeline),
    ("GET", "/pipelines/{object_type}/{pipeline_id}/stages", settings.list_stages),
    ("GET", "/limits/custom-properties", settings.property_limits),
    ("POST", "/statuses/batch/unsubscribe-all/read", settings.read_unsubscribes),
)


def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(
        "".join(f"(?P<{p[1:-1]}>[^/]+)" if p.startswith("{") else p for p in re.split(r"({\w+})", pattern))
    )


_TABLE: list[tuple[re.Pattern[str], dict[str, Handler]]] = []
for _method, _pattern, _handler in ROUTES:
    _compiled = _compile(_pattern)
    _same = next((methods for regex, methods in _TABLE if regex.pattern == _compiled.pattern), None)
    if _same is None:
        _TABLE.append((_compiled, {_method: _handler}))
    else:
        _same[_method] = _handler


def canonical(path: str) -> str:
    """An API path without its version: /crm/v3/objects/deals and /crm/objects/2026-03/deals are /objects/deals."""
    path = path.rstrip("/")
    for pattern, replacement in ((_NUMBERED, "/"), (_DATED, r"/\1\2"), (_PREFERENCES, "/")):
        path, done = pattern.subn(replacement, path)
        if done:
            return path
    return ""


def resolve(method: str, path: str) -> tuple[Handler, dict[str, str]]:
    """The handler of an API path and the values in it.

    Raises:
        ApiError: 404 for no such address, 405 for a method it does not have.
    """
    short = canonical(path)
    other_method = False
    for pattern, methods in _TABLE:
        match = pattern.fullmatch(short)
        if match is not None:
            if method in methods:
                return methods[method], match.groupdict()
            other_method = True
    if other_method:
        raise ApiError(405, "METHOD_NOT_ALLOWED", f"{method} is not allowed on {path}")
    raise ApiError(404, "OBJECT_NOT_FOUND", f"No such address: {path}")
