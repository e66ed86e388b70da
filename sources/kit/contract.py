"""What happens when a CRM's fields are no longer what they were at the last load: decided here, for every CRM.

    new property                    said, not loaded
    changed type                    the load stops
    vanished, archived property     said; the values loaded last stay as they are; a required one stops the load
    vanished and a new one alike    said as "may have been renamed to"
    property is there (again)       said; its object type is read anew, so that the column is filled
    new, vanished, renamed value    said; louder when a policy file names the value
    value shown by another label    said
    property under another label    quiet

"Property" is HubSpot's word; Salesforce says field. Those that fill no column are watched for being new and for nothing
else: what is not loaded cannot break.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

from nightdesk.errors import NightdeskError

HOW_TO: Final = "docs/schema-contract.md"
_MOST_LINES: Final = 20  # new fields of one object type that get a line each

Uses = Callable[[str], Sequence[str]]


def nowhere(_: str) -> Sequence[str]:
    """The `uses` of somebody who has no policies: no value is named anywhere."""
    return ()


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a CRM, as the CRM describes it.

    Attributes:
        object_type: As the CRM calls it: `contacts`, `Lead`.
        name: API name.
        label: What people see.
        type: As the CRM calls it: `enumeration`, `picklist`, `datetime`.
        options: (value, label) of each value that may be chosen, in the CRM's order; none where it is no list or
            was not remembered.
        is_loaded: It fills a column of ours, or is a field of ours.
        is_archived: The CRM still lists it, but shelved.
        is_gone: Kept from an earlier load: the CRM no longer has it, the loaded values stay.
    """

    object_type: str
    name: str
    label: str
    type: str
    options: tuple[tuple[str, str], ...] = ()
    is_loaded: bool = False
    is_archived: bool = False
    is_gone: bool = False

    @property
    def place(self) -> str:
        """`object.field`, as settings and messages name it."""
        return f"{self.object_type}.{self.name}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What follows from comparing.

    Attributes:
        lines: One sentence per change, for people.
        present: `object.field` of our columns that the CRM has: the ones to ask for.
        kept: `object.field` of our columns that the CRM no longer has: their loaded values stay as they are.
        refill: Object types to read anew, because a column can be filled that could not before.
        remembered: What to keep until the next load: the CRM's fields, and the vanished ones of ours, marked.
    """

    lines: tuple[str, ...]
    present: frozenset[str]
    kept: frozenset[str]
    refill: frozenset[str]
    remembered: tuple[Field, ...]


def compare(before: Collection[Field], now: Collection[Field], **how: Any) -> list[str]:
    """The lines of `judge`, for who needs nothing else."""
    return list(judge(before, now, **how).lines)


def judge(
    before: Collection[Field],
    now: Collection[Field],
    *,
    columns: Collection[str],
    required: Mapping[str, str] | None = None,
    fitting: Mapping[str, Collection[str]] | None = None,
    namespace: str = "",
    accepted: Collection[str] = (),
    accept_missing: Collection[str] = (),
    uses: Uses = nowhere,
) -> Judgement:
    """Compares a CRM's fields with what they were at the last load.

    Args:
        before: The fields as remembered; empty before the first load.
        now: The fields as the CRM describes them. Archived ones may be among them.
        columns: `object.field` of every column of ours that a field fills, whether the CRM has it or not.
        required: `object.field` without which nothing may be loaded, and why: keys, modified stamps, addresses,
            opt-out flags. One that is not there stops the load, the first one too.
        fitting: `object.field` to the CRM's types that its column can hold; any type where it is left out.
        namespace: Prefix of our own fields; empty when there is none.
        accepted: `object.field` whose changed type was looked at and is fine (setting `accept_type_changes`).
        accept_missing: Required `object.field` that a person said the company does without (setting `accept_missing`).
        uses: Names the files in which a value stands; see `named_in`.

    Raises:
        NightdeskError: A type changed, a column cannot hold its field, or a required field is not there.
    """
    old = {field.place: field for field in before}
    new = {field.place: replace(field, is_loaded=field.place in columns or _ours(field, namespace)) for field in now}
    there = {place: field for place, field in new.items() if not field.is_archived}
    known = {field.object_type for field in before}
    seen = {field.object_type for field in now}
    fresh = [field for place, field in there.items() if field.object_type in known and place not in old]
    lines: list[str] = []
    taken: set[str] = set()
    kept: set[str] = set()
    refill: set[str] = set()
    for place in columns:
        object_type = place.partition(".")[0]
        if object_type not in seen | known:
            continue
        field, was = there.get(place), old.get(place)
        if field is not None:
            _check_type(field, was, (fitting or {}).get(place), accepted)
            if object_type in known and (was is None or was.is_gone or not was.is_loaded):
                again = " again" if was is not None and was.is_gone else ""
                lines.append(f"{place}: property is there{again} and fills its column; its object type is read anew")
                refill.add(object_type)
            continue
        twin = None if was is None else _twin(was, fresh)
        why = (required or {}).get(place)
        if why is not None and place not in accept_missing:
            raise _missing(place, why, was, twin)
        if was is None:
            if object_type not in known:
                lines.append(f"{place}: not in the CRM; the column stays empty")
            continue
        kept.add(place)
        if not was.is_gone:
            if twin is not None:
                taken.add(twin.place)
            lines.append(_vanished(was, archived=place in new, twin=twin))
    lines += _new_fields([one for one in fresh if not one.is_loaded and one.place not in taken])
    for place, field in there.items():
        was = old.get(place)
        if was is not None and field.is_loaded and not was.is_gone and not _ours(field, namespace):
            lines += _values(was, field, uses)
    gone = [replace(old[place], is_gone=True) for place in sorted(kept)]
    return Judgement(
        lines=tuple(lines),
        present=frozenset(place for place in columns if place in there),
        kept=frozenset(kept),
        refill=frozenset(refill),
        remembered=(*there.values(), *gone),
    )


def named_in(policies: Path | None) -> Uses:
    """Finds the policy files that name a value; they are read when the first value is looked up.

    Only whole values count (`OPEN` in a list, not "open" in a sentence), in any case. Files with the phrases of the
    rules agent are left out: they hold language, not the CRM's values.

    Args:
        policies: The folder of the policy files; None when there is none.
    """
    places: dict[str, list[str]] | None = None

    def uses(value: str) -> Sequence[str]:
        nonlocal places
        if places is None:
            places = {} if policies is None else _read_values(policies)
        return tuple(places.get(value.casefold(), ()))

    return uses


def options_text(options: Sequence[tuple[str, str]]) -> str:
    """Options as the JSON text that `property_definitions` keeps; empty text for none."""
    return json.dumps([list(one) for one in options], ensure_ascii=False) if options else ""


def options_of(text: str | None) -> tuple[tuple[str, str], ...]:
    """Options from their JSON text."""
    found = cast("list[list[Any]]", json.loads(text)) if text else []
    return tuple((str(value), str(label)) for value, label in found)


# -- fields ----------------------------------------------------------------------------------------------------------


def _ours(field: Field, namespace: str) -> bool:
    return bool(namespace) and field.name.startswith(namespace)


def _check_type(field: Field, was: Field | None, fitting: Collection[str] | None, accepted: Collection[str]) -> None:
    old = "" if was is None else was.type
    if old and old != field.type and field.place not in accepted:
        raise _changed(field, old)
    if fitting is not None and field.type not in fitting:
        raise _changed(field, old or "/".join(sorted(fitting)))


def _changed(field: Field, old: str) -> NightdeskError:
    return NightdeskError(
        f"Property `{field.name}` of {field.object_type} changed its type from {old} to {field.type}",
        where=field.place,
        todo=(
            f"Change it back in the CRM, or adapt the column and the models that read it ({HOW_TO}); if both "
            f"types mean the same to you, add `{field.place}` to accept_type_changes."
        ),
    )


def _missing(place: str, why: str, was: Field | None, twin: Field | None) -> NightdeskError:
    object_type, _, name = place.partition(".")
    what = "no longer exists in the CRM" if was is not None else "cannot be seen in the CRM"
    renamed = f" It may have been renamed to `{twin.name}`." if twin is not None else ""
    return NightdeskError(
        f"Property `{name}` of {object_type} {what}, and nothing is loaded without it: {why}",
        where=place,
        todo=(
            f"Restore it, or give the integration's user the right to read it.{renamed} If the company really has no "
            f"such field, add `{place}` to accept_missing."
        ),
    )


def _twin(was: Field, fresh: Sequence[Field]) -> Field | None:
    """The new field that looks like the vanished one: same object type, type and label."""
    alike = (
        one
        for one in fresh
        if one.object_type == was.object_type
        and one.type == was.type
        and one.label
        and one.label.casefold() == was.label.casefold()
    )
    return next(alike, None)


def _vanished(was: Field, *, archived: bool, twin: Field | None) -> str:
    what = "property was archived in the CRM" if archived else "property no longer exists in the CRM"
    if twin is not None:
        what += f" and may have been renamed to `{twin.name}` (same label and type, not loaded)"
    return f"{was.place}: {what}; the values loaded last stay ({HOW_TO})"


def _new_fields(fresh: Sequence[Field]) -> Iterator[str]:
    by_type: dict[str, list[Field]] = {}
    for field in fresh:
        by_type.setdefault(field.object_type, []).append(field)
    for object_type, fields in by_type.items():
        for field in fields[:_MOST_LINES]:
            yield f"{field.place}: new property of type {field.type} in the CRM; not loaded ({HOW_TO})"
        if len(fields) > _MOST_LINES:
            yield f"{object_type}: {len(fields) - _MOST_LINES} more new properties in the CRM; not loaded ({HOW_TO})"


# -- the values of picklists -----------------------------------------------------------------------------------------


def _values(was: Field, field: Field, uses: Uses) -> Iterator[str]:
    """One line per value that is new, gone, renamed or shown by another label. Values not remembered say nothing."""
    if not was.options or was.options == field.options:
        return
    old, new = dict(was.options), dict(field.options)
    gone = [value for value in old if value not in new]
    fresh = [value for value in new if value not in old]
    for value in gone:
        successor, how = _successor(value, was, field, gone, fresh)
        if successor is not None:
            fresh.remove(successor)
            yield _loud(field, f"value `{value}` may now be `{successor}` ({how})", value, uses)
        else:
            yield _loud(field, f"value `{value}` ({old[value]}) is gone from the CRM's list", value, uses)
    for value in fresh:
        yield f"{field.place}: new value `{value}` ({new[value]})" + _naming(uses(value))
    for value, label in new.items():
        if value in old and old[value] != label:
            yield f"{field.place}: value `{value}` is now shown as {label!r}, was {old[value]!r}" + _naming(
                [*uses(value), *(place for place in uses(old[value]) if place not in uses(value))]
            )


def _successor(
    value: str, was: Field, field: Field, gone: Sequence[str], fresh: Sequence[str]
) -> tuple[str | None, str]:
    """The new value that took a vanished one's label, or its place in a list that is otherwise the same."""
    old, new = dict(was.options), dict(field.options)
    for one in fresh:
        if new[one].casefold() == old[value].casefold():
            return one, "same label"
    position = list(old).index(value)
    if len(old) == len(new) and len(gone) == 1 and list(new)[position] in fresh:
        return list(new)[position], "same place in the list"
    return None, ""


def _loud(field: Field, what: str, value: str, uses: Uses) -> str:
    places = uses(value)
    if not places:
        return f"{field.place}: {what}"
    return f"ATTENTION: {field.place}: {what}, and {_listed(places)} still names `{value}`: correct the file or the CRM"


def _naming(places: Sequence[str]) -> str:
    return f"; named in {_listed(places)}" if places else ""


def _listed(places: Sequence[str]) -> str:
    return ", ".join(places)


def _read_values(policies: Path) -> dict[str, list[str]]:
    import yaml

    found: dict[str, list[str]] = {}
    for path in sorted(policies.rglob("*.yml")):
        if "rules_agent" in path.relative_to(policies).parts:
            continue
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError):
            continue  # a broken policy has an error of its own, where policies are loaded
        name = f"{policies.name}/{path.relative_to(policies).as_posix()}"
        for value in {one.casefold() for one in _scalars(content)}:
            found.setdefault(value, []).append(name)
    return found


def _scalars(content: Any) -> Iterator[str]:
    """Every text in a document: values, items, and keys (a mapping may go from a CRM's values to ours)."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        for key, value in cast("dict[Any, Any]", content).items():
            yield str(key)
            yield from _scalars(value)
    elif isinstance(content, list):
        for value in cast("list[Any]", content):
            yield from _scalars(value)
