"""The same company through HubSpot and through Salesforce: the canonical tables agree row by row.

Ids are replaced by who is who. Every other difference is listed here with its reason, which is checked for each row; a
reason that explains nothing any more fails, so that the list stays short. docs/canonical-crm.md tells them to users.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest

from sandbox.salesforce import company_fields
from tests import canonical_kit as kit

Row = dict[str, Any]
# (value in HubSpot, value in Salesforce, HubSpot's row) -> whether the reason holds.
Reason = Callable[[Any, Any, Row], bool]

KEYS: dict[str, tuple[str, ...]] = {
    "accounts": ("account_id",),
    "contacts": ("contact_id",),
    "deals": ("deal_id",),
    "emails": ("email_id",),
    "calls": ("call_id",),
    "meetings": ("meeting_id",),
    "notes": ("note_id",),
    "tasks": ("task_id",),
    "owners": ("owner_id",),
    "opt_outs": ("contact_id", "source"),
    "document_contacts": ("document_id", "contact_id"),
    "documents": ("document_id",),
    "meeting_attendees": ("meeting_id", "contact_id"),
    "deal_stage_history": ("deal_id", "entered_at"),
    "churned_customers": ("account_id",),
}


def _in_euros(deal: Row) -> Decimal:
    """A deal's amount by the rate of the day it closes."""
    code = deal["currency_code"]
    dated = sorted(company_fields.DATED_RATES.get(code, {}).items(), reverse=True)
    rate = next((r for day, r in dated if day <= deal["closed_date"].isoformat()), company_fields.RATES[code])
    return (deal["amount"] / Decimal(str(rate))).quantize(Decimal("0.01"), ROUND_HALF_UP)


REASONS: dict[tuple[str, str], Reason] = {
    # The evidence of a no names the field of the CRM that holds it.
    ("opt_outs", "evidence"): lambda here, there, _: (
        here.replace("hs_email_optout", "HasOptedOutOfEmail").replace("hs_lead_status", "lead status") == there
    ),
    # A website is an address, a domain is not.
    ("accounts", "domain"): lambda here, there, _: here == f"www.{there}",
    # A record of an org has to have an owner: the user Unassigned stands for nobody.
    ("contacts", "owner_id"): lambda here, there, _: here is None and there.startswith("salesforce:owner:"),
    # An org with several currencies converts; HubSpot's own conversion is not loaded.
    ("deals", "corporate_amount"): lambda here, there, row: here is None and there == _in_euros(row),
    ("deals", "corporate_currency_code"): lambda here, there, _: (here, there) == (None, "EUR"),
    # Salesforce keeps all stages in one row and has no pipelines.
    ("deals", "pipeline_id"): lambda _, there, __: there == "salesforce",
    ("deal_stage_history", "stage_position"): lambda here, there, _: there > here,
    # Salesforce has words where HubSpot has codes of its own.
    ("calls", "disposition"): lambda here, there, _: company_fields.DISPOSITIONS[here] == there,
    # Salesforce says in which zone a seller works, HubSpot does not; and not where a change came from.
    ("meetings", "seller_time_zone"): lambda here, there, _: here == "UTC" and "/" in there,
    ("deal_stage_history", "source_type"): lambda _, there, __: there is None,
    # A classic note hangs on one record, here on its contact.
    ("documents", "deal_id"): lambda _, there, row: row["document_type"] == "note" and there is None,
}


# What only a larger company shows.
SELDOM: dict[tuple[str, str], Reason] = {
    ("accounts", "owner_id"): REASONS["contacts", "owner_id"],
    # A title has 128 characters, and nobody's is longer but for one who has words for a machine in it.
    ("contacts", "job_title"): lambda here, there, _: here.startswith(there) and len(there) >= 127,
    # The day is the seller's own, and Salesforce knows whose that is.
    ("meetings", "meeting_date"): lambda here, there, _: abs((here - there).days) == 1,
}


def _no_account(_: Any, there: Any, __: Row) -> bool:
    return there is None


LEADS: dict[tuple[str, str], Reason] = {
    **{(table, "account_id"): _no_account for table in ("contacts", "meetings", "document_contacts", "documents")},
    # The lead's box was ticked as well, before it was converted.
    ("opt_outs", "opted_out_at"): lambda here, there, _: there < here,
}


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory, models: list[kit.Model]) -> kit.Both:
    return kit.both(tmp_path_factory.mktemp("both"), models, contacts=60)


def _whole_seconds(value: Any) -> Any:
    """Salesforce cuts every instant to whole seconds."""
    return value.replace(microsecond=0) if isinstance(value, datetime) else value


def _in_old_ids(row: Row, ids: Mapping[str, tuple[str, str]]) -> Row:
    """A row of Salesforce's with HubSpot's ids, plain ones too."""
    plain = {new.rsplit(":", 1)[1]: old for new, (_, old) in ids.items()}

    def old(value: Any) -> Any:
        if not isinstance(value, str):
            return _whole_seconds(value)
        return ids[value][0] if value in ids else plain.get(value, value)

    return {name: old(value) for name, value in row.items()}


def differences(table: str, both: kit.Both) -> dict[str, list[tuple[Any, Any, Row]]]:
    """Column -> the values that differ; rows that only one CRM has stand under `only in ...`."""
    key = KEYS[table]
    here = [{n: _whole_seconds(v) for n, v in row.items()} for row in kit.rows(both.hubspot, table)]
    there = [_in_old_ids(row, both.ids) for row in kit.rows(both.salesforce, table)]
    ours = {tuple(row[name] for name in key): row for row in here}
    theirs = {tuple(row[name] for name in key): row for row in there}
    assert len(ours) == len(here) and len(theirs) == len(there), f"{table}: a key stands twice"
    assert ours, f"{table} is empty: nothing is compared"
    found: dict[str, list[tuple[Any, Any, Row]]] = defaultdict(list)
    for one in ours.keys() - theirs.keys():
        found["only in HubSpot"].append((one, None, ours[one]))
    for one in theirs.keys() - ours.keys():
        found["only in Salesforce"].append((None, one, theirs[one]))
    for one in ours.keys() & theirs.keys():
        assert ours[one].keys() == theirs[one].keys()
        for name, value in ours[one].items():
            if value != theirs[one][name]:
                found[name].append((value, theirs[one][name], ours[one]))
    return found


def explain(table: str, both: kit.Both, reasons: Mapping[tuple[str, str], Reason]) -> set[str]:
    """Check each difference against its reason; returns the columns that differ."""
    found = differences(table, both)
    if table == "owners":  # an org's administrators and programs are users too
        extra = [row["full_name"] for _, _, row in found.pop("only in Salesforce")]
        assert sorted(extra) == ["Integration", "Okafor", "Unassigned", "Whitfield"]
    for name, listed in found.items():
        reason = reasons.get((table, name))
        assert reason is not None, f"{table}.{name}: {len(listed)} values differ, such as {listed[0][:2]}"
        wrong = [one for one in listed if not reason(*one)]
        assert not wrong, f"{table}.{name}: not for the reason given, such as {wrong[0][:2]}"
    return set(found)


@pytest.mark.parametrize("table", KEYS)
def test_both_crms_make_the_same_table(table: str, company: kit.Both) -> None:
    found = explain(table, company, REASONS)
    unused = {name for at, name in REASONS if at == table} - found
    assert not unused, f"{table}: nothing differs any more in {', '.join(sorted(unused))}"


@pytest.mark.soak
@pytest.mark.parametrize(("people", "contacts"), [("contacts", 400), ("leads", 150)])
def test_so_does_a_larger_company(people: Any, contacts: int, tmp_path: Path, models: list[kit.Model]) -> None:
    """Also one whose people were leads at first, or still are: a lead has no account, only the name of a company."""
    both = kit.both(tmp_path, models, contacts=contacts, people=people)
    reasons = REASONS | SELDOM | (LEADS if people == "leads" else {})
    for table in KEYS:
        explain(table, both, reasons)
