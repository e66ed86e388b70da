"""HubSpot's own Python client, unmodified but for the host, drives the sandbox CRM: an outside check of shapes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hubspot import HubSpot
from hubspot.crm import contacts, properties
from hubspot.crm.associations import v4 as links
from hubspot.crm.associations.v4 import schema as labels
from hubspot.crm.contacts.exceptions import ApiException
from hubspot.crm.objects import SimplePublicObjectInputForCreate as NewObject

from sandbox.crm.limits import UNLIMITED
from sandbox.crm.server import RunningSandbox, running
from sandbox.crm.tiny import tiny_store


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[RunningSandbox]:
    path = tiny_store(tmp_path / "crm.sqlite", extra_contacts=120)
    with running(path, limits=UNLIMITED) as served:
        yield served


def at(api: Any, sandbox: RunningSandbox) -> Any:
    """The same API object, speaking to the sandbox."""
    api.api_client.configuration.host = sandbox.url
    return api


@pytest.fixture
def client(sandbox: RunningSandbox) -> HubSpot:
    return HubSpot(access_token=sandbox.token)


def test_a_wrong_token_is_an_api_exception(sandbox: RunningSandbox) -> None:
    api = at(HubSpot(access_token="wrong").crm.contacts.basic_api, sandbox)
    with pytest.raises(ApiException) as refused:
        api.get_page(limit=1)
    assert refused.value.status == 401


def test_list_pages_with_associations_and_history(client: HubSpot, sandbox: RunningSandbox) -> None:
    api = at(client.crm.contacts.basic_api, sandbox)
    seen: list[str] = []
    after = None
    while True:
        page = api.get_page(limit=50, after=after, properties=["email", "jobtitle"], associations=["companies"])
        seen += [record.id for record in page.results]
        if page.paging is None:
            break
        after = page.paging.next.after
    assert len(seen) == len(set(seen)) == 123
    one = api.get_by_id("101", properties_with_history=["jobtitle"], associations=["companies", "deals"])
    assert [entry.value for entry in one.properties_with_history["jobtitle"]] == ["Head of Logistics", "Analyst"]
    assert one.properties_with_history["jobtitle"][0].updated_by_user_id == 11
    assert one.associations["companies"].results[0].id == "501"
    assert one.updated_at.isoformat() == "2026-11-15T00:00:00+00:00"


def test_the_generic_objects_api_reads_activities(client: HubSpot, sandbox: RunningSandbox) -> None:
    api = at(client.crm.objects.basic_api, sandbox)
    page = api.get_page("calls", properties=["hs_call_body"], associations=["contacts"])
    assert "The money came back" in page.results[0].properties["hs_call_body"]
    assert page.results[0].associations["contacts"].results[0].id == "101"
    created = api.create(
        "notes", NewObject(properties={"hs_timestamp": "2026-11-17T08:00:00Z", "hs_note_body": "x"}, associations=[])
    )
    assert api.get_by_id("notes", created.id, properties=["hs_note_body"]).properties["hs_note_body"] == "x"


def test_setting_up_writing_and_reading_back_a_property(client: HubSpot, sandbox: RunningSandbox) -> None:
    groups = at(client.crm.properties.groups_api, sandbox)
    core = at(client.crm.properties.core_api, sandbox)
    batch = at(client.crm.contacts.batch_api, sandbox)
    groups.create("contacts", properties.PropertyGroupCreate(name="nightdesk", label="Nightdesk"))
    made = core.create(
        "contacts",
        properties.PropertyCreate(
            name="nightdesk_tier", label="Tier", type="enumeration", field_type="select", group_name="nightdesk",
            options=[properties.OptionInput(label=t, value=t, hidden=False, display_order=0) for t in "AB"],
        ),
    )  # fmt: skip
    assert [option.value for option in made.options] == ["A", "B"]
    assert "nightdesk_tier" in {p.name for p in core.get_all("contacts").results}
    inputs = [
        contacts.SimplePublicObjectBatchInput(id=i, properties={"nightdesk_tier": t}, object_write_trace_id=f"op-{i}")
        for i, t in (("101", "A"), ("102", "wrong"), ("9", "B"))
    ]
    answer = batch.update(contacts.BatchInputSimplePublicObjectBatchInput(inputs=inputs))
    assert answer.num_errors == 2
    assert [record.id for record in answer.results] == ["101"]
    assert {error.context["objectWriteTraceId"][0]: error.category for error in answer.errors} == {
        "op-102": "VALIDATION_ERROR",
        "op-9": "OBJECT_NOT_FOUND",
    }
    read = batch.read(
        contacts.BatchReadInputSimplePublicObjectId(
            inputs=[contacts.SimplePublicObjectId(id="101")],
            properties=["nightdesk_tier"], properties_with_history=["nightdesk_tier"],
        )
    )  # fmt: skip
    assert read.results[0].properties["nightdesk_tier"] == "A"
    assert read.results[0].properties_with_history["nightdesk_tier"][0].source_type == "INTEGRATION"


def test_search_filters_sorts_and_pages(client: HubSpot, sandbox: RunningSandbox) -> None:
    api = at(client.crm.contacts.search_api, sandbox)
    recent = contacts.Filter(property_name="lastmodifieddate", operator="GTE", value="2026-11-16T23:59:00Z")
    request = contacts.PublicObjectSearchRequest(
        filter_groups=[contacts.FilterGroup(filters=[recent])], sorts=["lastmodifieddate"], limit=50,
        properties=["lastname"], after="0",
    )  # fmt: skip
    first = api.do_search(request)
    request.after = first.paging.next.after
    second = api.do_search(request)
    stamps = [record.updated_at for record in first.results + second.results]
    assert (first.total, len(stamps), stamps == sorted(stamps)) == (61, 61, True)
    assert second.paging is None


def test_upsert_by_email_and_merge(client: HubSpot, sandbox: RunningSandbox) -> None:
    batch = at(client.crm.contacts.batch_api, sandbox)
    inputs = [
        contacts.SimplePublicObjectBatchInputUpsert(id=mail, id_property="email", properties={"jobtitle": "COO"})
        for mail in ("ng@acme.example", "brand.new@acme.example")
    ]
    answer = batch.upsert(contacts.BatchInputSimplePublicObjectBatchInputUpsert(inputs=inputs))
    assert [record.new for record in answer.results] == [False, True]
    basic = at(client.crm.contacts.basic_api, sandbox)
    new_id = answer.results[1].id
    merged = basic.merge(contacts.PublicMergeInput(primary_object_id="102", object_id_to_merge=new_id))
    assert merged.id == "102"
    survivor = basic.get_by_id(new_id, properties=["hs_merged_object_ids", "hs_additional_emails"])
    assert survivor.id == "102"
    assert survivor.properties["hs_merged_object_ids"] == new_id
    assert survivor.properties["hs_additional_emails"] == "brand.new@acme.example"


def test_create_conflict_archive(client: HubSpot, sandbox: RunningSandbox) -> None:
    basic = at(client.crm.contacts.basic_api, sandbox)
    new = contacts.SimplePublicObjectInputForCreate(properties={"email": "once@acme.example"}, associations=[])
    made = basic.create(new)
    with pytest.raises(ApiException) as conflict:
        basic.create(new)
    assert conflict.value.status == 409
    basic.update(made.id, contacts.SimplePublicObjectInput(properties={"jobtitle": "CFO"}))
    basic.archive(made.id)
    with pytest.raises(ApiException) as missing:
        basic.get_by_id(made.id)
    assert missing.value.status == 404
    assert basic.get_by_id(made.id, archived=True).archived is True


def test_associations_v4(client: HubSpot, sandbox: RunningSandbox) -> None:
    batch = at(client.crm.associations.v4.batch_api, sandbox)
    read = batch.get_page(
        "contacts",
        "companies",
        links.BatchInputPublicFetchAssociationsBatchRequest(
            inputs=[links.PublicFetchAssociationsBatchRequest(id=i) for i in ("101", "1001")]
        ),
    )
    assert [(r._from.id, r.to[0].to_object_id) for r in read.results] == [("101", "501")]
    assert read.num_errors == 1
    basic = at(client.crm.associations.v4.basic_api, sandbox)
    basic.create_default("contacts", "1001", "companies", "501")
    listed = basic.get_page("contacts", "1001", "companies")
    assert [(r.to_object_id, r.association_types[0].type_id) for r in listed.results] == [("501", 279)]
    schema = at(client.crm.associations.v4.schema.definitions_api, sandbox)
    made = schema.create(
        "contacts", "companies", labels.PublicAssociationDefinitionCreateRequest(label="Champion", name="champion")
    )
    spec = links.AssociationSpec(association_category="USER_DEFINED", association_type_id=made.results[0].type_id)
    batch.create(
        "contacts",
        "companies",
        links.BatchInputPublicAssociationMultiPost(
            inputs=[
                links.PublicAssociationMultiPost(
                    _from=links.PublicObjectId(id="1002"), to=links.PublicObjectId(id="501"), types=[spec]
                )
            ]
        ),
    )
    kinds = basic.get_page("contacts", "1002", "companies").results[0].association_types
    assert {kind.label for kind in kinds} == {None, "Champion"}


def test_owners_and_pipelines(client: HubSpot, sandbox: RunningSandbox) -> None:
    owners = at(client.crm.owners.owners_api, sandbox)
    assert [owner.email for owner in owners.get_page().results] == ["ann@harbourline.example"]
    assert owners.get_by_id(1).first_name == "Ann"
    pipelines = at(client.crm.pipelines.pipelines_api, sandbox)
    stages = pipelines.get_all("deals").results[0].stages
    assert [(s.id, s.metadata["probability"]) for s in stages] == [
        ("qualified", "0.2"),
        ("won", "1.0"),
        ("lost", "0.0"),
    ]
