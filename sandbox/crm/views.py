"""What the record pages show, as plain values: no HTML here, and no escaping (the templates do that)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from sandbox.crm import catalog
from sandbox.crm.associations import associated
from sandbox.crm.clock import from_ms, to_ms
from sandbox.crm.store import Record, Store
from sandbox.crm.values import parse_instant

TIMELINE_SHOWN, LINKED_SHOWN, HISTORY_SHOWN = 40, 8, 60
LONG_TEXT = {"hs_email_text", "hs_call_body", "hs_meeting_body", "hs_note_body", "hs_task_body", "hs_email_headers"}
_TURN = re.compile(r"^\[(\d{2}:\d{2}:\d{2})\] (.+?)(?: \(([^()]*)\))?: (.*)$")
_EVIDENCE = re.compile(r'^["“](?P<quote>.+)["”] — (?P<label>.*?)\s*(?P<path>/records/(?P<kind>[a-z]+)/(?P<id>\d+))$')
_STEMS = ("_score", "_tier", "_reason", "_evidence", "_scored_on", "_trigger")
_KINDS = {
    "emails": ("Email", "hs_email_subject", "hs_email_text"),
    "calls": ("Call", "hs_call_title", "hs_call_body"),
    "meetings": ("Meeting", "hs_meeting_title", "hs_meeting_body"),
    "notes": ("Note", "", "hs_note_body"),
    "tasks": ("Task", "hs_task_subject", "hs_task_body"),
}
_SOURCES = {
    "INTEGRATION": "Integration",
    "CRM_UI": "Person",
    "IMPORT": "Import",
    "API": "API",
    "AUTOMATION_PLATFORM": "Workflow",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One property of a record, ready to read or edit."""

    name: str
    label: str
    value: str
    shown: str
    type: str
    long: bool
    editable: bool
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Quote:
    """One line of evidence. `path` is empty when the line is not in the agreed form; then `text` is the whole line."""

    text: str
    label: str = ""
    path: str = ""


@dataclass(slots=True)
class Insight:
    """One block of the Nightdesk card: what was concluded, why, from which sentences, when."""

    title: str
    score: str = ""
    tier: str = ""
    trigger: str = ""
    reason: str = ""
    text: list[tuple[str, str]] = field(default_factory=list)  # (kind: heading | item | text, line)
    evidence: list[Quote] = field(default_factory=list)
    when: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a transcript; `side` is ours, theirs or empty for a line that is no turn."""

    at: str
    speaker: str
    side: str
    text: str


@dataclass(frozen=True, slots=True)
class Activity:
    """One entry of the timeline."""

    object_type: str
    id: int
    kind: str
    title: str
    meta: str
    when: str
    text: str
    turns: tuple[Turn, ...]
    incoming: bool


@dataclass(frozen=True, slots=True)
class Link:
    """An associated record."""

    path: str
    name: str
    detail: str
    label: str


def moment(milliseconds: int) -> str:
    """17 Nov 2026, 05:00."""
    return from_ms(milliseconds).strftime("%-d %b %Y, %H:%M")


def show_time(value: str, *, day_only: bool = False) -> str:
    """A stored date or date-time as a person writes it; unreadable ones as they are."""
    try:
        found = parse_instant(value)
    except ValueError:
        return value
    return found.strftime("%-d %b %Y") if day_only else moment(to_ms(found))


def name_of(record: Record) -> str:
    """What a person calls the record."""
    get = record.properties.get
    if record.object_type == "contacts":
        return " ".join(p for p in (get("firstname"), get("lastname")) if p) or get("email") or f"Contact {record.id}"
    title = {"companies": "name", "deals": "dealname"}.get(record.object_type) or _KINDS[record.object_type][1]
    label = catalog.SINGULAR[record.object_type].title()
    return get(title, "") or f"{label} {record.id}"


def subtitle_of(record: Record) -> str:
    """One line under the name."""
    get = record.properties.get
    parts = {
        "contacts": (get("jobtitle"), get("company"), get("email")),
        "companies": (get("industry", "").replace("_", " ").title(), get("domain"), get("country")),
        "deals": (money(record), get("dealtype", "")),
    }.get(record.object_type, (show_time(get("hs_timestamp", "")),))
    return " · ".join(part for part in parts if part)


def money(record: Record) -> str:
    """A deal's amount with thousands separators and currency."""
    amount = record.properties.get("amount", "")
    try:
        text = f"{float(amount):,.0f}" if amount else ""
    except ValueError:
        text = amount
    return " ".join(p for p in (text, record.properties.get("deal_currency_code", "")) if p) if text else ""


def shorten(text: str, length: int = 150) -> str:
    """A text cut at a word, with an ellipsis when something is missing."""
    return text if len(text) <= length else text[:length].rsplit(None, 1)[0] + " …"


def stage_of(store: Store, record: Record) -> str:
    """Label of a contact's or company's lifecycle stage, a deal's stage, an activity's outcome."""
    get = record.properties.get
    if record.object_type == "deals":
        stages = {s["id"]: s["label"] for p in store.pipelines("deals") for s in p["stages"]}
        return stages.get(get("dealstage", ""), get("dealstage", ""))
    names = ("lifecyclestage", "hs_meeting_outcome", "hs_task_status", "hs_email_direction", "hs_call_status")
    name = next((n for n in names if get(n)), "")
    options = store.definitions(record.object_type).get(name, {}).get("options", [])
    return next((o["label"] for o in options if o["value"] == get(name)), get(name, ""))


def fields(store: Store, record: Record, *, prefix: str = "", namespace: str) -> list[Field]:
    """The record's properties: HubSpot's own (`prefix` empty) or those that start with `prefix`."""
    owners = {o["id"]: f"{o['firstName']} {o['lastName']}" for o in [*store.owners(), *store.owners(archived=True)]}
    stages = {s["id"]: (p, s) for kind in ("deals",) for p in store.pipelines(kind) for s in p["stages"]}
    found: list[Field] = []
    definitions = store.definitions(record.object_type)
    order = {name: n for n, name in enumerate(record.properties)}
    for name, definition in sorted(definitions.items(), key=lambda item: order.get(item[0], 999)):
        if (prefix and not name.startswith(prefix)) or (not prefix and name.startswith(namespace)):
            continue
        value = record.properties.get(name, "")
        options = tuple((o["value"], o["label"]) for o in definition["options"])
        shown = dict(options).get(value, value)
        if name == "hubspot_owner_id":
            options = tuple((o["id"], f"{o['firstName']} {o['lastName']}") for o in store.owners())
            shown = owners.get(value, value)
        elif name == "dealstage":
            options = tuple((s["id"], f"{p['label']}: {s['label']}") for p, s in stages.values())
            shown = stages[value][1]["label"] if value in stages else value
        elif name == "pipeline":
            options = tuple({p["id"]: p["label"] for p, _ in stages.values()}.items())
            shown = dict(options).get(value, value)
        elif definition["type"] in ("date", "datetime") and value:
            shown = show_time(value, day_only=definition["type"] == "date")
        elif name in ("amount", "annualrevenue", "numberofemployees") and value:
            shown = _thousands(value)
        found.append(
            Field(
                name,
                definition["label"],
                value,
                shown,
                definition["type"],
                name in LONG_TEXT or definition["fieldType"] == "textarea",
                not definition["modificationMetadata"]["readOnlyValue"],
                options,
            )
        )
    return found


def _thousands(value: str) -> str:
    try:
        return f"{float(value):,.0f}"
    except ValueError:
        return value


def insights(store: Store, record: Record, namespace: str) -> tuple[list[Insight], list[Field]]:
    """The namespaced values as blocks (by common stem), and those that fit no block."""
    own = [f for f in fields(store, record, prefix=namespace, namespace=namespace) if f.value]
    changed = store.history(record.object_type, [record.id], [f.name for f in own]).get(record.id, {})
    blocks: dict[str, Insight] = {}
    rest: list[Field] = []
    latest: dict[str, int] = {}
    defined = {name: number for number, name in enumerate(store.definitions(record.object_type))}
    for item in sorted(own, key=lambda item: defined.get(item.name, len(defined))):
        suffix = next((s for s in _STEMS if item.name.endswith(s)), "")
        if suffix == "_trigger" and item.long:
            suffix = ""  # a trigger told in sentences is a text of its own, not a word beside a title
        stem = item.name.removesuffix(suffix) if suffix else item.name
        if not suffix and not item.long:
            rest.append(item)
            continue
        title = stem.removeprefix(namespace).replace("_", " ").strip()
        block = blocks.setdefault(stem, Insight(title[:1].upper() + title[1:]))
        match suffix:
            case "_score":
                block.score = item.shown
            case "_tier":
                block.tier = item.shown
            case "_trigger":
                block.trigger = item.shown
            case "_reason":
                block.reason = item.value
            case "_evidence":
                block.evidence = evidence(item.value)
            case "":
                block.text = prose(item.value)
            case _:
                pass
        if item.name in changed:
            latest[stem] = max(latest.get(stem, 0), changed[item.name][0].changed_at)
    _give_evidence_to_its_texts(blocks, latest)
    for stem, block in blocks.items():
        if stem in latest:
            block.when = moment(latest[stem])
        block.title = {"Icp": "ICP fit", "Lead": "Lead quality", "Revisit": "Win-back"}.get(block.title, block.title)
    # What a seller looks for first: scores, then what sums up.
    return sorted(blocks.values(), key=lambda block: (not block.score, not block.title.endswith("summary"))), rest


def _give_evidence_to_its_texts(blocks: dict[str, Insight], latest: dict[str, int]) -> None:
    """Sources that several texts share (`x_summary`, `x_trigger` and one `x_evidence`) stand below the last of them."""
    for stem, block in list(blocks.items()):
        is_bare = block.evidence and not (block.score or block.tier or block.trigger or block.reason or block.text)
        family = [name for name in blocks if name.startswith(f"{stem}_")]
        if is_bare and family:
            blocks[family[-1]].evidence += block.evidence
            del blocks[stem]
            latest.pop(stem, None)


def evidence(value: str) -> list[Quote]:
    """Evidence lines, `"quote" — 2026-08-03 email /records/emails/123`, as quotes with a local link."""
    found: list[Quote] = []
    for line in value.splitlines():
        match = _EVIDENCE.match(line.strip())
        if match and match["kind"] in catalog.OBJECT_TYPES:
            found.append(Quote(match["quote"], match["label"], match["path"]))
        elif line.strip():
            found.append(Quote(line.strip()))
    return found


def prose(value: str) -> list[tuple[str, str]]:
    """A long text as headings (`#`, or a short line that ends in a colon), list items and paragraphs."""
    found: list[tuple[str, str]] = []
    for line in value.splitlines():
        text = line.strip()
        if text.startswith("#") or (text.endswith(":") and len(text) < 60):
            found.append(("heading", text.strip("#: ")))
        elif text.startswith(("- ", "* ", "• ")):
            found.append(("item", text[2:]))
        elif text:
            found.append(("text", text))
    return found


def timeline(store: Store, record: Record, *, limit: int | None = TIMELINE_SHOWN) -> tuple[list[Activity], int]:
    """Associated activities newest first, at most `limit`, and how many there are."""
    links = associated(store, record.object_type, [record.id], sorted(catalog.ENGAGEMENTS)).get(record.id, {})
    found: list[tuple[str, Record]] = []
    for object_type, targets in links.items():
        for item in store.get_many(object_type, {to_id for to_id, _, _ in targets}).values():
            found.append((item.properties.get("hs_timestamp", ""), item))
    found.sort(key=lambda pair: (pair[0], pair[1].id), reverse=True)
    return [activity(item) for _, item in found[:limit]], len(found)


def activity(record: Record) -> Activity:
    """One activity with its text; a call's transcript as turns."""
    kind, title, body = _KINDS[record.object_type]
    get = record.properties.get
    text = get(body, "")
    meta: list[str] = []
    incoming = False
    if record.object_type == "emails":
        incoming = get("hs_email_direction") == "INCOMING_EMAIL"
        kind = {"INCOMING_EMAIL": "Email received", "FORWARDED_EMAIL": "Email forwarded"}.get(
            get("hs_email_direction", ""), "Email sent"
        )
        meta = [get("hs_email_from_email", ""), "to " + get("hs_email_to_email", "")]
        if get("hs_email_cc_email"):
            meta.append("cc " + get("hs_email_cc_email", ""))
        if get("hs_outreach_motion"):
            meta.append(
                f"{get('hs_outreach_motion', '').replace('_', ' ')} sequence, step {get('hs_sequence_step', '?')}"
            )
    elif record.object_type == "calls":
        duration = get("hs_call_duration", "")
        meta = [get("hs_call_direction", "").title(), f"{int(duration) // 60000} min" if duration.isdigit() else ""]
        incoming = get("hs_call_direction") == "INBOUND"
    elif record.object_type == "meetings":
        meta = [get("hs_meeting_outcome", "").replace("_", " ").title(), get("hs_meeting_location", "")]
    elif record.object_type == "tasks":
        meta = [get("hs_task_status", "").replace("_", " ").title(), get("hs_task_priority", "").title()]
    return Activity(
        record.object_type, record.id, kind, get(title, "") or (text.splitlines() or [""])[0][:90],
        " · ".join(m for m in meta if m.strip() and m != "to "), show_time(get("hs_timestamp", "")), text,
        turns(text) if record.object_type == "calls" else (), incoming,
    )  # fmt: skip


def turns(text: str) -> tuple[Turn, ...]:
    """A transcript's turns; nothing when no line of the text has the form `[00:12:31] Name (Firm): text`."""
    found: list[Turn] = []
    any_turn = False
    for line in text.splitlines():
        match = _TURN.match(line)
        if match:
            any_turn = True
            side = "ours" if (match[3] or "").lower() == "harbourline" else "theirs"
            found.append(Turn(match[1], match[2], side, match[4]))
        elif line.strip():
            found.append(Turn("", "", "", line))
    return tuple(found) if any_turn else ()


def linked(store: Store, record: Record, *, limit: int | None) -> list[tuple[str, list[Link], int]]:
    """Associated contacts, companies, deals (and for an activity only these), with labels and counts."""
    wanted = ("contacts", "companies", "deals")
    links = associated(store, record.object_type, [record.id], wanted).get(record.id, {})
    names = {
        (kind.category, kind.type_id, kind.to_type): kind.label
        for t in wanted
        for kind in _types(store).between(record.object_type, t)
    }
    found: list[tuple[str, list[Link], int]] = []
    for object_type in wanted:
        targets = links.get(object_type, [])
        labels: dict[int, str] = {}
        for to_id, category, type_id in targets:
            labels[to_id] = labels.get(to_id) or names.get((category, type_id, object_type)) or ""
        records = store.get_many(object_type, list(labels)[:limit])
        shown = [
            Link(f"/records/{object_type}/{r.id}", name_of(r), _link_detail(store, r), labels[r.id])
            for r in sorted(records.values(), key=lambda r: r.id)
        ]
        if shown:
            found.append((object_type, shown, len(labels)))
    return found


def _types(store: Store) -> Any:
    from sandbox.crm.api.call import association_types

    return association_types(store)


def _link_detail(store: Store, record: Record) -> str:
    if record.object_type == "deals":
        parts = [
            money(record),
            stage_of(store, record),
            show_time(record.properties.get("closedate", ""), day_only=True),
        ]
        return " · ".join(p for p in parts if p)
    if record.object_type == "contacts":
        return record.properties.get("jobtitle", "") or record.properties.get("email", "")
    return record.properties.get("domain", "")


def changes(store: Store, record: Record, limit: int = HISTORY_SHOWN) -> list[dict[str, str]]:
    """Property changes of the record, newest first."""
    definitions = store.definitions(record.object_type)
    rows = store.connection.execute(
        "select property, value, changed_at, source_type, source_id, user_id from history"
        " where object_type = ? and object_id = ? order by changed_at desc, seq desc limit ?",
        (record.object_type, record.id, limit),
    )
    found: list[dict[str, str]] = [
        {
            "label": str(definitions.get(name, {}).get("label", name)),
            "value": shorten(value, 200),
            "when": moment(changed_at),
            "source": str(_SOURCES.get(source_type, source_type.replace("_", " ").title())),
            "kind": str(source_type),
            "detail": str(source_id) or (f"user {user_id}" if user_id else ""),
        }
        for name, value, changed_at, source_type, source_id, user_id in rows
    ]
    return found


def listing(store: Store, object_type: str, *, text: str, page: int, size: int, sort: str) -> tuple[list[Record], int]:
    """One page of live records and how many match, by a property (numbers and texts, largest first) or newest first."""
    conditions, values = ["object_type = ?", "archived_at is null"], [object_type]
    for word in text.split():
        names = json.dumps([f'$."{name}"' for name in catalog.SEARCHABLE[object_type]])
        conditions.append(
            "exists (select 1 from json_each(?) as n where instr(fold(json_extract(properties, n.value)), ?) > 0)"
        )
        values += [names, word.casefold()]
    where = " and ".join(conditions)
    total = store.connection.execute(f"select count(*) from objects where {where}", values).fetchone()[0]
    order, more = "updated_at desc, id", []
    if sort:
        order, more = "cast(json_extract(properties, ?) as real) desc, updated_at desc, id", [f'$."{sort}"']
    ids = store.connection.execute(
        f"select id from objects where {where} order by {order} limit ? offset ?", [*values, *more, size, size * page]
    ).fetchall()
    found = store.get_many(object_type, [row[0] for row in ids])
    return [found[row[0]] for row in ids], total
