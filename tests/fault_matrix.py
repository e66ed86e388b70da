"""Every fault, at every moment of a write-back, and what must come of it: the data of the tests and of docs/faults.md.

An outcome reads `5 applied, 2 refused (6)`: operations by result, and the exit code where it is not 0. After `stops` or
`unknown`, the same command is given again with the fault gone, and `then` says how that ends.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fault_kit import PHASES

Fault = Mapping[str, Any]
PAGE = Path(__file__).parents[1] / "docs" / "faults.md"


@dataclass(frozen=True)
class Row:
    """One fault. `cells` say per phase (or `phase@crm`) what must come of it; phases without a cell do not concern it.

    Attributes:
        name: For people.
        faults: As in a fault file; records `1` to `5` and fields `score`, `tier` and `text` of `fault_kit`.
        crms: Where it exists.
        quick: The phases every run of the tests goes through; the others are left to the long run.
    """

    name: str
    faults: tuple[Fault, ...]
    cells: Mapping[str, str]
    crms: frozenset[str] = frozenset({"hubspot"})
    quick: str = "write"

    def expected(self, phase: str, crm: str) -> str | None:
        return self.cells.get(f"{phase}@{crm}", self.cells.get(phase)) if crm in self.crms else None


ALL = "7 applied"
PLANNED = f"planned, then {ALL}"
OK = {"plan": PLANNED, **dict.fromkeys(("fields", "check", "write", "verify", "resume"), ALL)}
STOPS = f"stops (1), then {ALL}"
LATER = f"stops (7), then {ALL}"
AWAY = {
    "plan": f"stops (1), then {PLANNED}", "fields": STOPS, "check": STOPS, "write": STOPS, "verify": LATER,
    "resume": STOPS,
}  # fmt: skip
ALWAYS = {"times": None}
READ = {"kind": "read"}


def _row(name: str, cells: Mapping[str, str], *faults: Fault, **more: Any) -> Row:
    return Row(name, faults, cells, **more)


_STALE = "stops (4), then stops (4)"
GONE = {
    "plan": "stops (1), then stops (1)", "fields": _STALE, "check": "7 refused (6)", "write": "7 refused (6)",
    "resume": ALL,
    # HubSpot names the field, and the record's others are written without it.
    "check@hubspot": "4 applied, 3 refused (6)", "write@hubspot": "4 applied, 3 refused (6)",
}  # fmt: skip
LOST = dict.fromkeys(("fields", "check", "write", "verify", "resume"), "5 applied, 2 refused (6)")
EDITED = "6 applied, 1 conflict"


ROWS: tuple[Row, ...] = (
    _row("nothing", OK, quick="resume"),
    # no answer, or not the right one
    _row("429, come back in 9 s", OK, {"fault": "rate_limit", "retry_after": 9}),
    _row("429 without Retry-After", OK, {"fault": "rate_limit"}, quick=""),
    _row("429 and no end", AWAY, {"fault": "rate_limit", "when": ALWAYS}, quick=""),
    _row("the day's quota is used up", AWAY, {"fault": "rate_limit", "daily": True}),
    _row("503", OK, {"fault": "server_error"}),
    _row("500", OK, {"fault": "server_error", "status": 500}, quick=""),
    _row("502", OK, {"fault": "server_error", "status": 502}, quick=""),
    _row("504", OK, {"fault": "server_error", "status": 504}, quick=""),
    _row(
        "503 and no end",
        {**AWAY, "write": f"7 unknown (7), then {ALL}"},
        {"fault": "server_error", "when": ALWAYS},
        quick="plan write verify",
    ),
    _row("500 after the work", {"write": ALL}, {"fault": "server_error", "status": 500, "committed": True}, quick=""),
    _row("502 after the work", {"write": ALL}, {"fault": "server_error", "status": 502, "committed": True}, quick=""),
    _row(
        "502 after the work, each time",
        {"write": ALL},
        {"fault": "server_error", "status": 502, "committed": True, "when": ALWAYS},
        quick="",
    ),
    _row("connection closed before the work", OK, {"fault": "drop", "committed": False}, quick=""),
    _row("connection closed after the work", {"write": ALL}, {"fault": "drop"}),
    _row("connection reset in the middle of the answer", OK, {"fault": "cut"}, quick="write"),
    _row("time-out, done a second later", {"write": ALL, "check": ALL}, {"fault": "delay", "seconds": 31}, quick=""),
    _row("time-out, done ten minutes later", {"write": ALL}, {"fault": "delay", "seconds": 600}),
    _row(
        "done in time, answered too late",
        {"write": ALL, "verify": ALL},
        {"fault": "delay", "seconds": 31, "committed": True},
        quick="",
    ),
    # tokens and rights
    _row("401 once", OK, {"fault": "unauthorised"}, quick="write"),
    _row("401 and no end", AWAY, {"fault": "unauthorised", "when": ALWAYS}, quick="verify"),
    _row("the token expires, another is there", OK, {"fault": "token_expires", "renewed": "second-token"}, quick=""),
    _row("403, a scope is missing", AWAY, {"fault": "missing_scope"}, quick="write"),
    # the answer says something else than what happened
    _row(
        "207: one record refused", {"write": "5 applied, 2 refused (6)"}, {"fault": "refuse_records", "records": ["2"]}
    ),
    _row(
        "200 with errors: one record refused",
        {"write": "5 applied, 2 refused (6)"},
        {"fault": "refuse_records", "records": ["2"], "status": 200},
    ),
    _row(
        "one record refused as gone, as a duplicate, for a right",
        {"write": "7 refused (6)"},
        {"fault": "refuse_records", "records": ["1"], "reason": "gone"},
        {"fault": "refuse_records", "records": ["2"], "reason": "duplicate"},
        {"fault": "refuse_records", "records": ["3"], "reason": "no_right"},
        quick="",
    ),
    _row(
        "one record refused, and the answer lost",
        {"write": ALL},
        {"fault": "refuse_records", "records": ["2"]},
        {"fault": "drop"},
        quick="",
    ),
    _row(
        "one record refused each time, and the first answer lost",
        {"write": "5 applied, 2 refused (6)"},
        {"fault": "refuse_records", "records": ["2"], "when": ALWAYS},
        {"fault": "drop"},
    ),
    _row(
        "one record refused each time, trace ids missing",
        {"write": "5 applied, 2 unknown (7), then 2 applied, 5 already_there"},
        {"fault": "refuse_records", "records": ["2"], "when": ALWAYS},
        {"fault": "trace_ids", "when": ALWAYS},
    ),
    _row(
        "one record refused once, all trace ids the same",
        {"write": ALL},
        {"fault": "refuse_records", "records": ["2"]},
        {"fault": "trace_ids", "mode": "duplicated"},
        quick="",
    ),
    _row(
        "400 for the whole batch because of one",
        {"write": "5 applied, 2 refused (6)"},
        {"fault": "reject_batch", "records": ["2"]},
    ),
    _row(
        "409 for the whole batch because of one",
        {"write": "5 applied, 2 refused (6)"},
        {"fault": "reject_batch", "records": ["2"], "reason": "duplicate"},
        quick="",
    ),
    _row("200, empty, and all was done", {"write": ALL}, {"fault": "empty_answer"}, quick=""),
    _row("200, empty, and nothing was done", {"write": ALL}, {"fault": "empty_answer", "committed": False}),
    _row(
        "200, empty, and nothing is ever done",
        {"write": f"7 unknown (7), then {ALL}"},
        {"fault": "empty_answer", "committed": False, "when": ALWAYS},
        quick="",
    ),
    _row(
        "200, empty, when asked for records",
        {"plan": PLANNED, "check": ALL, "verify": ALL, "resume": ALL},
        {"fault": "empty_answer", "when": READ},
        quick="verify",
    ),
    _row(
        "one record left out of the answer",
        {"plan": PLANNED, "check": ALL, "write": ALL, "verify": ALL, "resume": ALL},
        {"fault": "omit_results", "records": ["2"], "when": {"path": "batch"}},
        quick="verify",
    ),
    _row("one result twice", {"check": ALL, "write": ALL, "verify": ALL}, {"fault": "extra_results"}, quick=""),
    _row(
        "a result nobody asked for",
        {"check": ALL, "write": ALL, "verify": ALL},
        {"fault": "extra_results", "of": "other"},
        quick="",
    ),
    _row(
        "results in another order", {"check": ALL, "write": ALL, "verify": ALL}, {"fault": "shuffle_results"}, quick=""
    ),
    _row("trace ids missing", {"write": ALL}, {"fault": "trace_ids"}, quick=""),
    _row("trace ids all the same", {"write": ALL}, {"fault": "trace_ids", "mode": "duplicated"}),
    # fields, records and values change under our hands
    _row(
        "a field is archived",
        {**GONE, "verify": "4 applied, 3 ignored (6)", "resume": "4 applied, 3 refused (6)"},
        {"fault": "property_archived", "property": "tier"},
        quick="fields check",
    ),
    _row(
        "a field is renamed",
        {**GONE, "verify": "4 applied, 3 ignored (6)", "resume": "4 applied, 3 refused (6)"},
        {"fault": "property_renamed", "property": "tier", "to": "another"},
        quick="",
    ),
    _row(
        "a field becomes read-only",
        {**GONE, "verify": ALL},
        {"fault": "property_read_only", "property": "tier"},
        quick="",
    ),
    _row(
        "a field gets another type",
        {**GONE, "verify": ALL},
        {"fault": "property_retyped", "property": "tier", "to": "number"},
        quick="",
    ),
    _row(
        "an option is removed",
        {**GONE, "verify": ALL},
        {"fault": "option_removed", "property": "tier", "option": "B"},
        quick="",
    ),
    _row(
        "a record is archived",
        {**LOST, "plan": f"planned, then {LOST['check']}"},
        {"fault": "record_archived", "record": "2"},
        quick="check verify",
    ),
    _row("a record is merged into another", {**OK}, {"fault": "record_merged", "record": "2", "into": "5"}),
    _row(
        "two records are merged into a new one",
        {**OK},
        {"fault": "record_merged", "record": "2", "into": "5", "new_id": True},
        quick="",
    ),
    _row(
        "a record is merged into one of the plan's",
        {"check": "5 applied, 2 refused (6)"},
        {"fault": "record_merged", "record": "2", "into": "1"},
        quick="check",
    ),
    _row(
        "a record is deleted and made again",
        {**LOST, "plan": f"planned, then {LOST['check']}"},
        {"fault": "record_recreated", "record": "2"},
        quick="",
    ),
    _row(
        "a person edits before it",
        {"fields": EDITED, "check": EDITED, "write": ALL, "verify": EDITED, "resume": EDITED},
        {"fault": "person_edits", "record": "2", "property": "score", "value": "9"},
        quick="check verify",
    ),
    _row(
        "a person edits while the CRM is down",
        {"write": EDITED},
        {"fault": "server_error"},
        {"fault": "person_edits", "record": "2", "property": "score", "value": "9", "moment": "before"},
    ),
    _row(
        "a person edits right after it",
        {"write": EDITED},
        {"fault": "person_edits", "record": "2", "property": "score", "value": "9", "moment": "after"},
        quick="",
    ),
    _row(
        "the CRM trims what it stores",
        {"write": ALL},
        {"fault": "normalise", "property": "text", "how": "trim"},
        quick="",
    ),
    _row(
        "the CRM squeezes spaces",
        {"write": "6 applied, 1 altered (6)"},
        {"fault": "normalise", "property": "text", "how": "squeeze"},
    ),
    _row(
        "the CRM lowers letters",
        {"write": "6 applied, 1 altered (6)"},
        {"fault": "normalise", "property": "text", "how": "lower"},
        quick="",
    ),
    _row(
        "the CRM takes it for a phone number",
        {"write": "6 applied, 1 altered (6)"},
        {"fault": "normalise", "property": "text", "how": "phone"},
        quick="",
    ),
    _row(
        "a workflow changes another field of ours",
        {"write": "4 applied, 3 altered (6)"},
        {"fault": "automation", "field": "score", "sets": "tier", "to": "D"},
        quick="",
    ),
    _row(
        "a workflow rewrites our field each time",
        {"write": "4 applied, 3 altered (6)"},
        {"fault": "automation", "field": "score", "sets": "score", "to": "1"},
    ),
    # time
    _row("search lags a minute", {"plan": PLANNED, "check": ALL}, {"fault": "search_lag", "seconds": 60}, quick=""),
    _row("the CRM's clock is two hours behind", OK, {"fault": "clock_skew", "seconds": -7200}, quick=""),
    _row("the CRM's clock is two hours ahead", OK, {"fault": "clock_skew", "seconds": 7200}, quick=""),
)


# the page -------------------------------------------------------------------------------------------------------------

COMMAND = "python -m tests.fault_matrix writes it"
MODULES = ("test_faults_matrix", "test_salesforce_faults", "test_tryton_faults")
NAMES = {
    "hubspot": "HubSpot", "rest": "Salesforce, collections", "conditional": "Salesforce, up to 25 records",
    "bulk": "Salesforce, bulk jobs", "salesforce": "Salesforce", "tryton": "Tryton",
}  # fmt: skip


def shown(outcome: str) -> str:
    """An outcome as the page shows it."""
    words = outcome.replace(f"planned, then {ALL}", ALL).replace(ALL, "all")
    return re.sub(r"stops \((\d)\)", r"stops \1", words).replace("_", " ")


def matrix() -> str:
    """What the tests of all CRMs expect, one table each, in Markdown."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for name in MODULES:
        if importlib.util.find_spec(f"tests.integration.{name}") is None:
            continue
        for cell in importlib.import_module(f"tests.integration.{name}").cells():
            kind, row, phase, expected = cell.values
            found.setdefault(kind, {}).setdefault(row.name, {})[phase] = shown(expected)
    tables: list[str] = []
    for kind, rows in found.items():
        lines = [f"| {NAMES[kind]} | {' | '.join(PHASES)} |", f"|---|{'---|' * len(PHASES)}"]
        lines += [
            f"| {name} | {' | '.join(cells.get(phase, '') for phase in PHASES)} |" for name, cells in rows.items()
        ]
        tables.append("\n".join(lines))
    return "\n\n".join(tables)


def faults() -> str:
    """Every fault, what belongs to it, and which sandbox can do it."""
    from sandbox.crm.scripted import SUPPORTED as HUBSPOT
    from sandbox.faults import MODELS
    from sandbox.salesforce.scripted import SUPPORTED as SALESFORCE

    lines = ["| fault | with | what happens | |", "|---|---|---|---|"]
    for name, model in MODELS.items():
        fields = [
            f"`{key}`" + ("" if item.is_required() or item.default in (None, ()) else f" ({_plain(item.default)})")
            for key, item in model.model_fields.items()
            if key not in ("fault", "when")
        ]
        who = [crm for crm, can in (("HubSpot", HUBSPOT), ("Salesforce", SALESFORCE)) if name in can]
        text = inspect.cleandoc(model.__doc__ or "").replace("\n", " ")
        lines.append(f"| `{name}` | {', '.join(fields)} | {text} | {'' if len(who) == 2 else f'{who[0]} only'} |")
    return "\n".join(lines)


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def page(text: str) -> str:
    """The page with its tables as they should be."""
    for name, content in (("faults", faults()), ("matrix", matrix())):
        begin, end = f"<!-- {name}: begin ({COMMAND}) -->", f"<!-- {name}: end -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        assert found and closed, f"the page has no place for {name}"
        text = f"{before}{begin}\n{content}\n{end}{after}"
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
