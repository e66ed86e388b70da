"""Rows in the column shapes of real portals and orgs pass through staging without loss.

The rows are those of another pipeline's public test data, anonymised. They are read where they lie, beside the
repository, and go into our raw tables by column name, as somebody who moves over from such a pipeline would do it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from test_models_support import ROOT

from sources import registry
from sources.kit.tables import Table, cast_sql
from tests import canonical_kit as kit

SEEDS = ROOT.parent / "shared" / "data"
pytestmark = pytest.mark.skipif(
    not SEEDS.is_dir(), reason="the public sample rows are not beside the repository (../shared/data)"
)


@dataclass(frozen=True)
class Shape:
    """One file of the other pipeline, one table of ours.

    Attributes:
        file: Below the data folder.
        table: Dataset and raw table.
        columns: Column there -> column of the raw table -> column of the staging model (`-` where the canonical shape
            has none: the value is kept in raw only), one per line; a raw name that is missing is the same as there.
        staged: Where the rows of a raw table come out.
        key: Raw columns that find a row's staging row, as staging names them.
        unmapped: Columns there that have no place here, own fields of that one company (`..._c`) aside.
        fixed: Raw columns that the file's name tells.
    """

    file: str
    table: str
    columns: str
    staged: tuple[str, ...]
    unmapped: str = ""
    fixed: tuple[tuple[str, str], ...] = ()
    key: str = "source_record_id"

    @property
    def mapping(self) -> dict[str, tuple[str, str]]:
        """Column there -> (raw column, staging column)."""
        found: dict[str, tuple[str, str]] = {}
        for line in self.columns.split():
            there, *rest = line.split(">")
            raw = rest[0] if len(rest) == 2 else there
            found[there] = (raw, rest[-1] if rest else raw)
        return found


def salesforce(file: str, table: str, staged: str, columns: str, kept: str, unmapped: str) -> Shape:
    """A file whose columns have the names of the API's fields in snake case, as ours have."""
    lines = f"id>source_record_id owner_id {columns} " + " ".join(f"{name}>-" for name in kept.split())
    return Shape(
        f"fivetran_salesforce/seeds/{file}.csv",
        f"salesforce.{table}",
        lines,
        tuple(f"stg_salesforce__{one}" for one in staged.split()),
        unmapped,
    )


def hubspot(file: str, table: str, columns: str, unmapped: str = "", **more: Any) -> Shape:
    return Shape(
        f"fivetran_hubspot/seeds/{file}_data.csv",
        f"hubspot.{table}",
        columns,
        (f"stg_hubspot__{table}",),
        unmapped,
        **more,
    )


_SEEN = "last_referenced_date last_viewed_date"
_RECURS = (
    "recurrence_day_of_month recurrence_day_of_week_mask recurrence_instance recurrence_interval"
    " recurrence_month_of_year recurrence_time_zone_sid_key recurrence_type reminder_date_time is_reminder_set"
    " recurrence_end_date_only what_count who_count"
)
_ENGAGED = "engagement_id>id>source_record_id"
_ASSOCIATED = {"key": "from_record_id to_record_id association_type_id"}
SHAPES = (
    salesforce(
        "sf_account_data", "accounts", "companies",
        "name>account_name website>domain industry billing_country>country billing_city>city description"
        " type>lifecycle_stage number_of_employees>employee_count annual_revenue is_deleted>is_archived",
        "account_number account_source billing_country_code billing_postal_code billing_state billing_state_code"
        " billing_street fax last_activity_date master_record_id ownership parent_id phone rating record_type_id"
        " shipping_city shipping_country shipping_country_code shipping_postal_code shipping_state shipping_state_code"
        " shipping_street sic sic_desc site ticker_symbol",
        f"{_SEEN} billing_geocode_accuracy billing_latitude billing_longitude jigsaw_company_id photo_url"
        " shipping_geocode_accuracy shipping_latitude shipping_longitude",
    ),
    salesforce(
        "sf_contact_data", "contacts", "contacts",
        "email first_name last_name title>job_title phone mailing_country>country mailing_city>city"
        " has_opted_out_of_email>is_email_opted_out do_not_call>is_do_not_call is_email_bounced>email_bounce_count"
        " is_deleted>is_archived created_date>created_at last_modified_date>updated_at",
        "account_id department description email_bounced_date email_bounced_reason fax last_activity_date"
        " last_modified_by_id created_by_id lead_source mailing_country_code mailing_postal_code mailing_state"
        " mailing_state_code mailing_street master_record_id mobile_phone name reports_to_id salutation"
        " system_modstamp individual_id assistant_name assistant_phone has_opted_out_of_fax home_phone other_phone",
        f"{_SEEN} jigsaw_contact_id last_curequest_date last_cuupdate_date mailing_geocode_accuracy mailing_latitude"
        " mailing_longitude photo_url birthdate other_latitude other_street other_state other_city"
        " other_geocode_accuracy other_postal_code other_country jigsaw other_longitude",
    ),
    salesforce(
        "sf_lead_data", "leads", "contacts",
        "email first_name last_name title>job_title phone company>company_name country city status>lifecycle_stage"
        " has_opted_out_of_email>is_email_opted_out is_deleted>is_archived created_date>created_at"
        " last_modified_date>updated_at",
        "annual_revenue converted_account_id converted_contact_id converted_date converted_opportunity_id country_code"
        " created_by_id description email_bounced_date email_bounced_reason fax industry is_converted"
        " is_unread_by_owner last_activity_date last_modified_by_id lead_source master_record_id mobile_phone name"
        " number_of_employees postal_code salutation state state_code street system_modstamp website individual_id",
        f"{_SEEN} geocode_accuracy photo_url longitude jigsaw_contact_id latitude",
    ),
    salesforce(
        "sf_opportunity_data", "opportunities", "deals",
        "name>deal_name stage_name>stage_id type>deal_type amount close_date>closed_at is_closed is_won"
        " is_deleted>is_archived created_date>created_at",
        "account_id campaign_id description expected_revenue fiscal_quarter fiscal_year forecast_category"
        " forecast_category_name has_opportunity_line_item last_activity_date lead_source next_step probability"
        " record_type_id",
        f"{_SEEN} fiscal has_open_activity has_overdue_task is_excluded_from_territory_2_filter pricebook_2_id"
        " synced_quote_id territory_2_id",
    ),
    salesforce(
        "sf_task_data", "tasks", "tasks calls emails",
        "subject description>body status>task_status priority activity_date>due_at is_deleted>is_archived"
        " last_modified_date>updated_at",
        "account_id call_disposition call_duration_in_seconds call_object call_type completed_date_time created_by_id"
        " created_date is_archived is_closed is_high_priority is_recurrence last_modified_by_id record_type_id"
        " recurrence_activity_id system_modstamp task_subtype type what_id who_id",
        f"{_RECURS} recurrence_regenerated_type recurrence_start_date_only",
    ),
    salesforce(
        "sf_event_data", "events", "meetings",
        "subject>title description>body location start_date_time>started_at end_date_time>ended_at"
        " is_deleted>is_archived last_modified_date>updated_at",
        "account_id activity_date activity_date_time created_by_id created_date duration_in_minutes end_date"
        " event_subtype group_event_type is_archived is_child is_group_event is_private is_recurrence is_recurrence_2"
        " is_recurrence_2_exception is_recurrence_2_exclusion last_modified_by_id recurrence_2_pattern_text"
        " recurrence_2_pattern_time_zone recurrence_activity_id show_as system_modstamp type what_id who_id",
        f"{_RECURS} recurrence_start_date_time recurrence_2_pattern_start_date recurrence_2_pattern_version",
    ),
    Shape(
        "fivetran_salesforce/seeds/sf_user_data.csv", "salesforce.users",
        "id>source_record_id email first_name last_name time_zone_sid_key>time_zone is_active>is_archived"
        " company_name>- department>- division>- language_locale_key>- locale_sid_key>- manager_id>- name>-"
        " profile_id>- title>- user_role_id>- user_type>- username>-",
        ("stg_salesforce__owners",),
        f"{_SEEN} about_me account_id alias badge_text banner_photo_url call_center_id city community_nickname"
        " contact_id country country_code default_group_notification_frequency delegated_approver_id digest_frequency"
        " email_encoding_key email_preferences_auto_bcc employee_number extension fax federation_identifier"
        " forecast_enabled full_photo_url geocode_accuracy individual_id is_profile_photo_active last_login_date"
        " latitude longitude medium_banner_photo_url mobile_phone offline_trial_expiration_date phone postal_code"
        " receives_admin_info_emails receives_info_emails sender_email sender_name signature small_banner_photo_url"
        " small_photo_url state state_code street",
    ),
    hubspot(
        "contact", "contacts",
        "id>source_record_id _fivetran_deleted>archived>is_archived property_email>email>email"
        " property_firstname>firstname>first_name property_lastname>lastname>last_name"
        " property_jobtitle>jobtitle>job_title property_company>company>company_name"
        " property_createdate>createdate>created_at"
        " property_hs_merged_object_ids>hs_merged_object_ids>merged_source_record_ids",
        "property_email_1 property_annualrevenue property_created_at property_first_conversion_date",
    ),
    hubspot(
        "company", "companies",
        "id>source_record_id is_deleted>archived>is_archived property_name>name>account_name"
        " property_description>description>description property_createdate>createdate>created_at"
        " property_industry>industry>industry property_city>city>city property_country>country>country"
        " property_annualrevenue>annualrevenue>annual_revenue",
        "property_address property_address_2 property_state property_hs_all-funky-a9384-syntax",
    ),
    hubspot(
        "deal", "deals",
        "deal_id>id>source_record_id is_deleted>archived>is_archived deal_pipeline_id>pipeline>pipeline_id"
        " deal_pipeline_stage_id>dealstage>stage_id owner_id>hubspot_owner_id>owner_id"
        " property_dealname>dealname>deal_name property_amount>amount>amount property_closedate>closedate>closed_at"
        " property_createdate>createdate>created_at",
        "portal_id property_description",
    ),
    hubspot(
        "owner", "owners",
        "owner_id>id>source_record_id email first_name last_name active_user_id>user_id>source_user_id"
        " created_at>created_at>- updated_at>updated_at>-",
        "portal_id type",
    ),
    hubspot(
        "engagement_call", "calls",
        f"{_ENGAGED} _fivetran_deleted>archived>is_archived property_hs_timestamp>hs_timestamp>occurred_at"
        " property_hs_createdate>created_at>-",
        "type",
    ),
    hubspot(
        "engagement_email", "emails",
        f"{_ENGAGED} _fivetran_deleted>archived>is_archived property_hs_timestamp>hs_timestamp>occurred_at"
        " property_hs_email_subject>hs_email_subject>subject property_hs_email_text>hs_email_text>body"
        " property_hs_lastmodifieddate>hs_lastmodifieddate>updated_at property_hs_createdate>created_at>-"
        " property_hubspot_owner_id>hubspot_owner_id>owner_id",
        "type property_hs_all_owner_ids property_hs_all_team_ids property_hs_modified_by property_hubspot_team_id",
    ),
    hubspot(
        "engagement_meeting", "meetings",
        f"{_ENGAGED} start_time>hs_meeting_start_time>started_at end_time>hs_meeting_end_time>ended_at"
        " meeting_outcome>hs_meeting_outcome>outcome body>hs_meeting_body>body title>hs_meeting_title>title",
        "created_from_link_id pre_meeting_prospect_reminders source source_id web_conference_meeting_id external_url",
    ),
    hubspot(
        "engagement_note", "notes",
        f"{_ENGAGED} _fivetran_deleted>archived>is_archived property_hs_timestamp>hs_timestamp>occurred_at"
        " property_hs_note_body>hs_note_body>body property_hubspot_owner_id>hubspot_owner_id>owner_id"
        " property_hs_lastmodifieddate>hs_lastmodifieddate>updated_at property_hs_createdate>created_at>-",
        "type property_hs_body_preview property_hubspot_team_id",
    ),
    hubspot(
        "engagement_task", "tasks",
        f"{_ENGAGED} _fivetran_deleted>archived>is_archived property_hs_timestamp>hs_timestamp>due_at"
        " property_hs_task_type>hs_task_type>task_type property_hubspot_owner_id>hubspot_owner_id>owner_id"
        " property_hs_createdate>created_at>-",
        "type task_type property_hs_object_id property_hubspot_team_id property_hs_engagement_source",
    ),
    *(
        hubspot(
            f"{kind}_property_history", "property_history",
            f"{kind}_id>object_id>record_id name>property>property value>value>property_value"
            " timestamp>changed_at>changed_at source>source_type>source_type source_id",
            fixed=(("object_type", plural),), key="record_id property changed_at",
        )
        for kind, plural in (("contact", "contacts"), ("company", "companies"), ("deal", "deals"))
    ),
    hubspot(
        "deal_pipeline", "pipelines",
        "pipeline_id>id>pipeline_id label>label>pipeline_label display_order _fivetran_deleted>archived>is_archived",
        "active created_at updated_at", fixed=(("object_type", "deals"),), key="pipeline_id",
    ),
    hubspot(
        "deal_pipeline_stage", "pipeline_stages",
        "pipeline_id stage_id>id>stage_id label>label>stage_label display_order probability is_closed",
        "_fivetran_deleted active closed_won created_at updated_at",
        fixed=(("object_type", "deals"),), key="pipeline_id stage_id",
    ),
    hubspot(
        "deal_contact", "associations",
        "deal_id>from_id>from_record_id contact_id>to_id>to_record_id type_id>association_type_id>association_type_id"
        " category>category>association_category",
        fixed=(("from_object_type", "deals"), ("to_object_type", "contacts")), **_ASSOCIATED,
    ),
    hubspot(
        "deal_company", "associations",
        "deal_id>from_id>from_record_id company_id>to_id>to_record_id type_id>association_type_id>association_type_id"
        " category>category>association_category",
        fixed=(("from_object_type", "deals"), ("to_object_type", "companies")), **_ASSOCIATED,
    ),
    *(
        hubspot(
            f"engagement_{kind}", "associations",
            f"engagement_id>from_id>from_record_id {kind}_id>to_id>to_record_id"
            " type_id>association_type_id>association_type_id category>category>association_category",
            "engagement_type", fixed=(("from_object_type", engaged), ("to_object_type", plural)), **_ASSOCIATED,
        )
        for kind, plural, engaged in (
            ("contact", "contacts", "calls"), ("company", "companies", "tasks"), ("deal", "deals", "tasks"),
        )
    ),
    hubspot(
        "contact_merge_audit", "merges",
        "vid_to_merge>merged_id>merged_record_id canonical_vid>surviving_id>surviving_record_id",
        "contact_id entity_id first_name last_name num_properties_moved timestamp user_id",
        fixed=(("object_type", "contacts"),), key="merged_record_id",
    ),
    hubspot(
        "merged_deal", "merges",
        "merged_deal_id>merged_id>merged_record_id deal_id>surviving_id>surviving_record_id",
        fixed=(("object_type", "deals"),), key="merged_record_id",
    ),
)  # fmt: skip

# The word `Standard`, anonymised as that data is: staff are told from customers in portals by it.
_STANDARD = "622K5vICg3VbM5wNwnOYiw=="
# Staging columns that say the same in another way.
_OTHERWISE = {
    ("salesforce.users", "is_active"): lambda raw, staged: raw == str(1 - int(staged)),
    ("salesforce.accounts", "website"): lambda raw, staged: staged in raw,
    ("salesforce.tasks", "priority"): lambda raw, staged: {"normal": "medium"}.get(raw, raw) == staged,
}


def tables() -> dict[str, Table]:
    return {f"{dataset}.{name}": one for dataset, known in registry.datasets().items() for name, one in known.items()}


def header(shape: Shape) -> list[str]:
    return list(kit.read_seed(SEEDS / shape.file)[0])


def fill(connection: duckdb.DuckDBPyConnection, shape: Shape, table: Table) -> None:
    """Put a file's rows into its raw table, read as a load reads them."""
    columns = {column.name: column for column in table.columns}
    here = {raw: there for there, (raw, _) in shape.mapping.items() if there in header(shape)}
    texts = ", ".join(
        f"nullif(replace(\"{there}\", '{_STANDARD}', 'Standard'), '') as \"{raw}\"" for raw, there in here.items()
    )
    source = f"(select {texts} from read_csv('{SEEDS / shape.file}', header = true, all_varchar = true, quote = '\"'))"
    for raw, there in here.items():
        lost = connection.execute(
            f'select "{raw}" from {source} where "{raw}" is not null and {cast_sql(columns[raw])} is null'
        ).fetchall()
        assert not lost, f"{shape.file}: {there} holds {lost[0][0]!r}, which {shape.table}.{raw} cannot"
    casts = [*(cast_sql(columns[raw]) for raw in here), *(f"'{value}'" for _, value in shape.fixed), "'1'"]
    names = ", ".join(f'"{name}"' for name in (*here, *(name for name, _ in shape.fixed), "_dlt_load_id"))
    connection.execute(f"insert into raw.{shape.table} ({names}) select {', '.join(casts)} from {source}")


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory, models: list[kit.Model]) -> Iterator[duckdb.DuckDBPyConnection]:
    """All files in raw tables, and the staging models over them."""
    folder = tmp_path_factory.mktemp("shapes")
    registry.ensure_tables(folder / "raw.duckdb")
    known = tables()
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"attach '{folder / 'raw.duckdb'}' as raw")
        connection.execute("create schema staging")
        for shape in SHAPES:
            fill(connection, shape, known[shape.table])
        for model in models:
            if ".stg_hubspot__" in model.unique_id or ".stg_salesforce__" in model.unique_id:
                connection.execute(f"create table {model.relation} as ({model.sql}\n)")
        yield connection


def plain(value: Any) -> str:
    """A value in the form that raw and staging can be compared in."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds")
    if isinstance(value, date):
        return f"{value.isoformat()}T00:00:00.000+00:00"
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, (int, float, Decimal)):
        return format(Decimal(str(value)).normalize(), "f")
    text = str(value).strip().lower()
    return text.rsplit(":", 1)[1] if text.startswith(("hubspot:", "salesforce:")) else text


def dicts(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    cursor = connection.execute(sql)
    assert cursor.description is not None
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: Path(shape.file).stem)
def test_no_value_is_lost_on_the_way_through_staging(shape: Shape, staged: duckdb.DuckDBPyConnection) -> None:
    fixed = " and ".join(f"{name} = '{value}'" for name, value in shape.fixed) or "true"
    raw = dicts(staged, f"select * from raw.{shape.table} where {fixed}")
    assert len(raw) >= len(kit.read_seed(SEEDS / shape.file)) > 0
    found: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for model in shape.staged:
        for row in dicts(staged, f"select * from staging.{model}"):
            found.setdefault(tuple(plain(row[name]) for name in shape.key.split()), []).append(row)
    back = {column: name for name, column in shape.mapping.values()}
    compared = 0
    for row in raw:
        rows = found.get(tuple(plain(row[back[name]]) for name in shape.key.split()), [])
        assert rows, f"{shape.file}: no staging row for {row}"
        for name, column in shape.mapping.values():
            if column == "-" or row[name] is None:
                continue
            same = _OTHERWISE.get((shape.table, name), lambda one, other: one == other)
            values = [plain(one[column]) for one in rows if one.get(column) is not None]
            assert any(same(plain(row[name]), value) for value in values), (
                f"{shape.file}: {name} = {row[name]!r} is not in {column}: {values}"
            )
            compared += 1
    assert compared >= 2 * len(raw)


@pytest.mark.parametrize("table", sorted({shape.table for shape in SHAPES}))
def test_no_row_is_lost_or_doubled(table: str, staged: duckdb.DuckDBPyConnection) -> None:
    models = {model for shape in SHAPES if shape.table == table for model in shape.staged}
    feeding = {shape.table for shape in SHAPES if models & set(shape.staged)}
    raw = sum(len(dicts(staged, f"select 1 as one from raw.{one}")) for one in feeding)
    out = sum(len(dicts(staged, f"select 1 as one from staging.{one}")) for one in models)
    assert raw == out > 0


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: Path(shape.file).stem)
def test_every_column_is_mapped_or_listed(shape: Shape) -> None:
    """A column that has no place here is named in `unmapped`; own fields (`..._c`) are that one org's."""
    mapped = {there for there in shape.mapping if there in header(shape)}
    own = {name for name in header(shape) if name.endswith("_c")}
    theirs = {name for name in header(shape) if name.startswith("_fivetran_")}
    assert set(header(shape)) - mapped - own - theirs == set(shape.unmapped.split()) - theirs
    for raw, _ in shape.mapping.values():
        assert raw in tables()[shape.table].names
