"""A review as a file: written for a pull request, filled in there, and taken in only if it still shows this plan.

The file names the plan and its digest and shows, per record, what would change and why. People fill in `verdict` (and
`note`) per record or per change and nothing else: a value shown that is not the plan's refuses the whole file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from nightdesk.errors import NightdeskError
from reverse_etl.approve import ApprovalReport, approve, reject
from reverse_etl.gate import require_valid
from reverse_etl.plan import Plan
from reverse_etl.records import SINGULARS
from reverse_etl.select import Selection
from reverse_etl.store import Clock, NewId, iso, new_id, opened, rows

if TYPE_CHECKING:
    import duckdb

    from nightdesk.policy import Policy
    from reverse_etl.reviews import Standing

FORMAT = 1
STALE, DENIED = 4, 5
_HEAD = """\
# A review of what Nightdesk would write. Fill in `verdict: approve` or `verdict: reject` (and `note`, if you like), for
# a whole record or for single changes; a change's own verdict wins over its record's. Change nothing else. Then:
#   nightdesk approve --file {name} --as YOUR-NAME --role ROLE
# It counts for this plan only, as it is here, until it expires.
"""
_UNKNOWN_KEY = "extra_forbidden"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Source(_Model):
    """A quote that a value rests on."""

    quote: str
    link: str | None = None


class ReviewedChange(_Model):
    """One operation as shown; `verdict` and `note` are people's."""

    change: str
    property: str
    before: str | None
    after: str | None
    operation: str
    decided: str
    confidence: str | None
    verdict: Literal["approve", "reject"] | None
    note: str | None = None


class ReviewedRecord(_Model):
    """One record as shown; its verdict is for all its changes that have none of their own."""

    record: str
    name: str | None
    verdict: Literal["approve", "reject"] | None
    note: str | None = None
    why: tuple[str, ...]
    sources: tuple[Source, ...]
    changes: tuple[ReviewedChange, ...]


class ReviewFile(_Model):
    """The whole file."""

    nightdesk_review: Literal[1]
    plan: str
    digest: str
    crm: str
    expires: str
    records: tuple[ReviewedRecord, ...]


@dataclass(frozen=True, slots=True)
class FileReport:
    """What a file decided: one report per verdict and note; `undecided` changes had none."""

    plan_id: str
    approved: int
    rejected: int
    undecided: int
    reports: tuple[ApprovalReport, ...]


# writing --------------------------------------------------------------------------------------------------------------


def compose(plan: Plan, ops: Sequence[Mapping[str, Any]], standings: Mapping[str, Standing], name: str) -> str:
    """The text of a review file for those of `ops` that a person can still decide; the same plan gives the same text.

    Args:
        plan: The plan.
        ops: Its selected operations, sorted by record.
        standings: Where each stands.
        name: The file's name, for the command in its first lines.
    """
    summary = plan.summary
    records: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for op in ops:
        standing = standings.get(str(op["op_id"]))
        if (standing is None or standing.is_open) and op["decision"] == "require_approval":
            records.setdefault((str(op["object_type"]), str(op["record_id"])), []).append(op)
    document = {
        "nightdesk_review": FORMAT,
        "plan": summary.plan_id,
        "digest": summary.digest,
        "crm": summary.crm,
        "expires": iso(summary.expires_at),
        "records": [_record(group) for _, group in sorted(records.items(), key=_order)],
    }
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    body = yaml.dump(document, Dumper=dumper, sort_keys=False, allow_unicode=True, width=120, default_flow_style=False)
    return _HEAD.format(name=name) + body


def _order(item: tuple[tuple[str, str], Any]) -> tuple[str, int, str]:
    (object_type, record_id), _ = item
    return object_type, len(record_id), record_id


def _record(ops: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    shown = _shown(ops)
    return {
        "record": shown["record"],
        "name": shown["name"],
        "verdict": None,
        "note": None,
        "why": list(shown["why"]),
        "sources": [{"quote": quote, "link": link} for quote, link in shown["sources"]],
        "changes": [
            {**_change(op), "verdict": None, "note": None}
            for op in sorted(ops, key=lambda op: (str(op["property"]), str(op["op_id"])))
        ],
    }


def _shown(ops: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What of a record is shown once for all its changes."""
    first = ops[0]
    sources: dict[tuple[str, str | None], None] = {}
    ordered = sorted(ops, key=lambda op: (str(op["property"]), str(op["op_id"])))
    for op in ordered:
        evidence: list[dict[str, Any]] = json.loads(op["evidence"])
        for item in evidence:
            sources.setdefault((str(item.get("quote") or ""), item.get("url") or item.get("id")), None)
    kind = SINGULARS.get(str(first["object_type"]), str(first["object_type"]))
    return {
        "record": f"{kind}:{first['record_id']}",
        "name": first["record_label"],
        "why": tuple(dict.fromkeys(str(op["reason"]) for op in ordered if op["reason"])),
        "sources": tuple(sources),
    }


def _change(op: Mapping[str, Any]) -> dict[str, Any]:
    confidence = op["confidence"]
    return {
        "change": str(op["op_id"]),
        "property": str(op["property"]),
        "before": op["before_value"],
        "after": op["desired_value"],
        "operation": str(op["operation"]),
        "decided": str(op["deciding_rule"]),
        "confidence": None if confidence is None else f"{float(confidence):.2f}",
    }


# reading --------------------------------------------------------------------------------------------------------------


def read(path: Path) -> tuple[ReviewFile, dict[tuple[Any, ...], int]]:
    """Read a filled-in review file and the line of each of its entries.

    Raises:
        NightdeskError: It is not YAML, not a review, or something in it is given twice. Names file and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NightdeskError(f"The review cannot be read: {error}", where=str(path)) from None
    lines: dict[tuple[Any, ...], int] = {}
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        node = cast("Any", yaml.compose(text, Loader=loader))  # pyright: ignore[reportUnknownMemberType]
        if node is None:
            raise NightdeskError("The review is empty", where=str(path))
        _walk(node, (), lines, path, set())
        data = yaml.load(text, Loader=loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark is not None else ""
        raise NightdeskError(
            f"The review is not valid YAML: {getattr(error, 'problem', None) or error}",
            where=f"{path}{line}",
            todo="Mend the line; indentation and colons are the usual cause.",
        ) from None
    try:
        return ReviewFile.model_validate_json(json.dumps(data, default=str)), lines
    except ValidationError as error:
        first = error.errors()[0]
        spot = tuple(first["loc"])
        message = "no such entry" if first["type"] == _UNKNOWN_KEY else first["msg"]
        raise NightdeskError(
            f"`{'.'.join(str(part) for part in spot)}`: {message}",
            where=_where(path, lines, spot),
            todo="Fill in `verdict` and `note` only; write the file anew with `nightdesk review --to`.",
        ) from None


def _walk(node: Any, spot: tuple[Any, ...], lines: dict[tuple[Any, ...], int], path: Path, visited: set[int]) -> None:
    """Note the line of every entry; refuse a key given twice and references, which say one thing in several places."""
    lines.setdefault(spot, node.start_mark.line + 1)
    if id(node) in visited:
        raise NightdeskError("The review uses a YAML reference", where=f"{path}:{lines[spot]}", todo="Write it out.")
    visited.add(id(node))
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                raise NightdeskError(
                    f"`{name}` is given twice", where=f"{path}:{key.start_mark.line + 1}", todo="Leave one of them."
                )
            seen.add(name)
            lines[(*spot, name)] = key.start_mark.line + 1
            _walk(value, (*spot, name), lines, path, visited)
    elif isinstance(node, yaml.SequenceNode):
        for place, value in enumerate(node.value):
            _walk(value, (*spot, place), lines, path, visited)


def _where(path: Path, lines: Mapping[tuple[Any, ...], int], spot: tuple[Any, ...]) -> str:
    while spot and spot not in lines:
        spot = spot[:-1]
    return f"{path}:{lines.get(spot, 1)}"


def decide(
    ledger: Path | duckdb.DuckDBPyConnection,
    path: Path,
    approver: str,
    role: str,
    policy: Policy,
    clock: Clock,
    *,
    ids: NewId = new_id,
) -> FileReport:
    """Take in the verdicts of a review file.

    Args:
        ledger: The ledger.
        path: The file.
        approver: Whose verdicts these are.
        role: In which role.
        policy: The policy.
        clock: Now, in UTC.
        ids: New ids.

    Raises:
        NightdeskError: Exit 4 when the file does not show this plan as it is (another digest, an edited value, an
            unknown change), 5 when the approver may not, 1 when the file is malformed or decides nothing. Nothing of it
            counts then.
    """
    review, lines = read(path)
    with opened(ledger) as con:
        known = con.execute("select digest from plans where plan_id = ?", [review.plan]).fetchone()
        if known is None or known[0] != review.digest:
            raise NightdeskError(
                "The file is not about a plan as it is here" if known else "The file is about a plan that is not here",
                where=_where(path, lines, ("digest" if known else "plan",)),
                todo="Write the review anew with `nightdesk review --to`.",
                exit_code=STALE,
            )
        require_valid(con, review.plan, policy, clock)
        groups, undecided = _compare(con, review, path, lines)
        if not groups:
            raise NightdeskError(
                "The file decides nothing", where=str(path), todo="Fill in `verdict: approve` or `verdict: reject`."
            )
        reports: list[ApprovalReport] = []
        # Approvals first: what stops them (rights, brakes) then stops the rejections too.
        for (verdict, remark), op_ids in sorted(groups.items(), key=lambda item: (item[0][0], item[0][1] or "")):
            give = approve if verdict == "approve" else reject
            chosen = Selection.ops(op_ids)
            reports.append(
                give(con, review.plan, chosen, approver, role, policy, clock, note=remark, ids=ids, via="file")
            )
        counts = {
            word: sum(len(op_ids) for (verdict, _), op_ids in groups.items() if verdict == word)
            for word in ("approve", "reject")
        }
        return FileReport(review.plan, counts["approve"], counts["reject"], undecided, tuple(reports))


def _compare(
    con: duckdb.DuckDBPyConnection, review: ReviewFile, path: Path, lines: Mapping[tuple[Any, ...], int]
) -> tuple[dict[tuple[str, str | None], list[str]], int]:
    """Hold everything shown against the plan; returns the decided operations by verdict and note."""
    stored: dict[str, dict[str, Any]] = {
        row["op_id"]: row
        for row in rows(
            con, "select * replace (evidence::varchar as evidence) from plan_ops where plan_id = ?", [review.plan]
        )
    }
    records: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for op in stored.values():
        records.setdefault((op["object_type"], op["record_id"]), []).append(op)
    groups: dict[tuple[str, str | None], list[str]] = {}
    seen: dict[str, int] = {}
    undecided = 0
    for place, record in enumerate(review.records):
        spot = ("records", place)
        ops: list[dict[str, Any]] = []
        for number, change in enumerate(record.changes):
            here = (*spot, "changes", number)
            op = stored.get(change.change)
            if op is None or op["decision"] != "require_approval":
                what = "is not a change of this plan" if op is None else "does not wait for approval"
                raise _refused(f"`{change.change[:16]}` {what}", path, lines, (*here, "change"))
            if change.change in seen:
                line = f" (first in line {seen[change.change]})"
                raise _refused(f"`{change.change[:16]}` is in the file twice{line}", path, lines, (*here, "change"), 1)
            seen[change.change] = lines.get((*here, "change"), 0)
            for name, value in _change(op).items():
                if getattr(change, name) != value:
                    raise _refused(f"`{name}` is not what the plan says", path, lines, (*here, name))
            ops.append(op)
            verdict, remark = (change.verdict, change.note) if change.verdict else (record.verdict, record.note)
            if verdict is None:
                undecided += 1
            else:
                groups.setdefault((verdict, (change.note or remark or "").strip() or None), []).append(change.change)
        if ops:
            where = (ops[0]["object_type"], ops[0]["record_id"])
            _compare_record(record, ops, records[where], path, lines, spot)
    return groups, undecided


def _compare_record(
    record: ReviewedRecord,
    ops: Sequence[Mapping[str, Any]],
    all_ops: Sequence[Mapping[str, Any]],
    path: Path,
    lines: Mapping[tuple[Any, ...], int],
    spot: tuple[Any, ...],
) -> None:
    """A record's name, reasons and sources: none of the changes shown may lack one, and none may be made up."""
    if len({(op["object_type"], op["record_id"]) for op in ops}) > 1:
        raise _refused("changes of several records stand under one", path, lines, (*spot, "changes"))
    shown, possible = _shown(ops), _shown(all_ops)
    given = {
        "record": record.record,
        "name": record.name,
        "why": record.why,
        "sources": tuple((item.quote, item.link) for item in record.sources),
    }
    for name, value in shown.items():
        if given[name] == value:
            continue
        # Whoever takes a change out of the file may leave its reasons and sources standing.
        is_true = name in ("why", "sources") and set(value) <= set(given[name] or ()) <= set(possible[name])
        if not is_true:
            raise _refused(f"`{name}` is not what the plan says", path, lines, (*spot, name))


def _refused(
    what: str, path: Path, lines: Mapping[tuple[Any, ...], int], spot: tuple[Any, ...], exit_code: int = STALE
) -> NightdeskError:
    return NightdeskError(
        what,
        where=_where(path, lines, spot),
        todo="Fill in `verdict` and `note` only; write the file anew with `nightdesk review --to`.",
        exit_code=exit_code,
    )


__all__ = ["FileReport", "ReviewFile", "compose", "decide", "read"]
