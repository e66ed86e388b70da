"""What `policies/delivery.yml` may say, and what becomes of a customer's words on the way into a task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import jinja2
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from nightdesk.policy.delivery_models import Delivery
from reverse_etl.crms.hubspot.keyed import from_html, to_html

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "policies" / "delivery.yml").read_text(encoding="utf-8")


def changed(change: Any) -> Delivery:
    data = yaml.safe_load(TEXT)
    change(data)
    return Delivery.model_validate(data)


def rule(data: dict[str, Any], name: str) -> dict[str, Any]:
    return next(item for item in data["recommendations"] if item["rule"] == name)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: rule(d, "answer_question").update(subject="Call {phone}"), "no placeholder `{phone}`"),
        (lambda d: rule(d, "keep_promise").update(body="As {class}"), "no placeholder `{class}`"),
        (lambda d: rule(d, "answer_question").update(subject="Call {person"), "a brace that belongs to no placeholder"),
        (lambda d: rule(d, "answer_question").update(classes=[]), "`classes` goes with"),
        (lambda d: rule(d, "keep_promise").update(classes=["positive"]), "`classes` goes with"),
        (lambda d: rule(d, "call_win_back").pop("quiet_days"), "`quiet_days` goes with"),
        (lambda d: rule(d, "keep_promise").update(when="full_moon"), "Input should be 'reply_unanswered'"),
        (lambda d: d["recommendations"].append(d["recommendations"][0]), "a rule is listed twice"),
        (lambda d: d["record_url"].update(hubspot="/records"), "leads to no record"),
        (lambda d: d["record_url"].update(hubspot="javascript:{id}"), "match pattern"),
        (lambda d: d["record_url"].update(hubspot="/r/{portal}/{id}"), "no placeholder `{portal}`"),
        (lambda d: d.update(record_url={}), "needs the CRM that records are read from"),
        (lambda d: d.update(open_per_account=0), "greater than or equal to 1"),
        (lambda d: d.update(open_per_owner=0), "greater than or equal to 1"),
        (lambda d: d.update(surprise=1), "Extra inputs"),
    ],
)
def test_a_broken_playbook_is_refused_with_its_reason(change: Any, says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        changed(change)
    assert says in str(refused.value)


def test_the_address_of_hubspots_own_pages_is_accepted() -> None:
    pattern = "https://app.hubspot.com/contacts/1234567/record/{type_id}/{id}"
    assert changed(lambda d: d["record_url"].update(hubspot=pattern)).record_url["hubspot"] == pattern


def evaluate(expression: str, *values: Any) -> Any:
    macros = "".join(
        (ROOT / "macros" / f"{name}.sql").read_text(encoding="utf-8") for name in ("text", "delivery", "evidence")
    )
    sql = jinja2.Environment().from_string(macros + "select {{ " + expression + " }}").render()
    names = ", ".join(f"v{n}" for n in range(len(values)))
    marks = ", ".join("?" for _ in values)
    row = duckdb.execute(f"{sql} from (values ({marks})) as given({names})", list(values)).fetchone()
    return row[0] if row else None


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Call me\nnow\u2028please", "Call me now please"),
        ("\x1b[31mred\x07", "[31mred"),
        ("name\u202egnp.exe", "namegnp.exe"),
        ("Dear {person}, {account}", "Dear (person), (account)"),
        ("x" * 50, "x" * 39 + "…"),
        ("Žluťoučký 日本語 🚚", "Žluťoučký 日本語 🚚"),
        (" \t ", None),
    ],
)
def test_a_customers_words_are_data_on_one_line(said: str, shown: str | None) -> None:
    assert evaluate("delivered_text('v0', '40')", said) == shown


def test_a_name_cannot_bring_a_placeholder_of_its_own() -> None:
    filled = "filled_in('v0', {'person': delivered_text('v1', '80'), 'account': delivered_text('v2', '80')})"
    assert evaluate(filled, "Call {person} ({account})", "Eve {account}", "Acme") == "Call Eve (account) (Acme)"
    assert evaluate(filled, "Call {person}", None, "Acme") == "Call"


@pytest.mark.parametrize(
    ("record", "pattern", "url"),
    [
        ("hubspot:email:12", None, "/records/emails/12"),
        ("hubspot:company:7", None, "/records/companies/7"),
        ("hubspot:contact:12", "https://crm.example/1/record/{type_id}/{id}", "https://crm.example/1/record/0-1/12"),
        ("hubspot:meeting:3", "/x/{objects}/{id}", "/x/meetings/3"),
        ("salesforce:email:02s1", "https://org.example/{id}", "https://org.example/02s1!"),
        ("mailbox:email:ab12", "/x/{objects}/{id}", None),  # it stands in no CRM
    ],
)
def test_sources_are_links_of_the_policys_pattern(record: str, pattern: str | None, url: str | None) -> None:
    policy = "(struct_pack(hubspot_record_url := cast(v1 as varchar), salesforce_record_url := v1 || '!'))"
    assert evaluate(f"record_url('v0', \"{policy}\")", record, pattern) == url


def test_nothing_falls_due_on_a_weekend_or_a_holiday() -> None:
    model = (ROOT / "models" / "intermediate" / "int_business_days.sql").read_text(encoding="utf-8")
    day = "cast('2026-12-23' as date)"
    sql = jinja2.Environment().from_string(model).render(ref="{}".format, as_of=lambda: day)
    with duckdb.connect() as con:
        con.execute(
            "create table stg_policy__lists as select * from (values ('delivery_holidays', '2026-12-25'), "
            "('delivery_holidays', '2026-12-28'), ('lifecycle_gated', '2026-12-29')) as given(list_name, item)"
        )
        found = con.execute(f"select due_date::varchar from ({sql}) order by business_days_ahead limit 5").fetchall()
        ahead = con.execute(f"select max(business_days_ahead) from ({sql})").fetchone()
    assert [row[0] for row in found] == ["2026-12-23", "2026-12-24", "2026-12-29", "2026-12-30", "2026-12-31"]
    assert ahead is not None and ahead[0] >= 30  # as far as a rule may ask


@settings(max_examples=60)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\r")))
def test_text_survives_its_way_into_rich_text_and_back(text: str) -> None:
    there = to_html(text)
    assert from_html(there) == text
    assert "<" not in there.replace("<br>", "")
