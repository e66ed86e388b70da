"""HubSpot's own Python client does to the sandbox what our adapter does: upsert tasks by a unique property."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hubspot import HubSpot
from hubspot.crm import objects, properties
from hubspot.crm.associations import v4 as links

from sandbox.crm.limits import UNLIMITED
from sandbox.crm.server import running
from sandbox.crm.tiny import tiny_store

KEY = "nightdesk_op_key"


def test_the_official_client_upserts_reads_and_associates_tasks_by_a_unique_property(tmp_path: Path) -> None:
    with running(tiny_store(tmp_path / "crm.sqlite"), limits=UNLIMITED) as sandbox:
        client = HubSpot(access_token=sandbox.token)

        def at(api: Any) -> Any:
            api.api_client.configuration.host = sandbox.url
            return api

        at(client.crm.properties.groups_api).create(
            "tasks", properties.PropertyGroupCreate(name="nightdesk", label="Nightdesk")
        )
        made = at(client.crm.properties.core_api).create(
            "tasks",
            properties.PropertyCreate(
                name=KEY, label="Key", type="string", field_type="text", group_name="nightdesk", has_unique_value=True
            ),
        )
        assert made.has_unique_value
        batch = at(client.crm.objects.batch_api)

        def upsert(subject: str) -> Any:
            entry = objects.SimplePublicObjectBatchInputUpsert(
                id="nd_1", id_property=KEY, object_write_trace_id="t1",
                properties={"hs_task_subject": subject, "hs_timestamp": "2026-11-18T08:00:00Z"},
            )  # fmt: skip
            return batch.upsert("tasks", objects.BatchInputSimplePublicObjectBatchInputUpsert(inputs=[entry]))

        first, second = upsert("Call"), upsert("Call again")
        assert (first.results[0].new, second.results[0].new) == (True, False)
        assert first.results[0].id == second.results[0].id
        number = first.results[0].id

        found = batch.read(
            "tasks",
            objects.BatchReadInputSimplePublicObjectId(
                id_property=KEY, inputs=[{"id": "nd_1"}, {"id": "nd_2"}], properties=["hs_task_subject", KEY],
                properties_with_history=[],
            ),
        )  # fmt: skip
        assert [(r.id, r.properties["hs_task_subject"], r.properties[KEY]) for r in found.results] == [
            (number, "Call again", "nd_1")
        ]

        associations = at(client.crm.associations.v4.batch_api)
        pair = links.PublicDefaultAssociationMultiPost(
            _from=links.PublicObjectId(id=number), to=links.PublicObjectId(id="101")
        )
        for _ in range(2):  # the second one changes nothing
            associations.create_default(
                "tasks", "contacts", links.BatchInputPublicDefaultAssociationMultiPost(inputs=[pair])
            )
        read = associations.get_page(
            "tasks",
            "contacts",
            links.BatchInputPublicFetchAssociationsBatchRequest(
                inputs=[links.PublicFetchAssociationsBatchRequest(id=number)]
            ),
        )
        assert [str(target.to_object_id) for target in read.results[0].to] == ["101"]

        batch.archive("tasks", objects.BatchInputSimplePublicObjectId(inputs=[{"id": number}]))
        again = upsert("Call a third time")
        assert (again.results[0].new, again.results[0].id != number) == (True, True)  # the key is free once it is gone
