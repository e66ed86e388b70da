"""What a portal has besides records: owners, pipelines, unsubscribes, account limits."""

from __future__ import annotations

import json
from typing import Any

from sandbox.crm.api.call import Call, Reply, batch_reply
from sandbox.crm.clock import iso
from sandbox.crm.errors import invalid, not_found

CUSTOM_PROPERTIES_PER_TYPE = 1000


def list_owners(call: Call) -> Reply:
    """GET /owners: `email` narrows, `archived` lists those who left."""
    owners = call.store.owners(archived=call.flag("archived"))
    email = call.text("email")
    if email:
        owners = [owner for owner in owners if owner["email"].lower() == email.lower()]
    limit, after = call.number("limit", 100, 1, 500), call.number("after", 0, 0, 10**18)
    rest = [owner for owner in owners if int(owner["id"]) >= after]
    payload: dict[str, Any] = {"results": rest[:limit]}
    if len(rest) > limit:
        cursor = rest[limit]["id"]
        payload["paging"] = {"next": {"after": cursor, "link": f"{call.path}?after={cursor}&limit={limit}"}}
    return Reply(200, payload)


def get_owner(call: Call) -> Reply:
    """GET /owners/{id}, by owner id or, with `idProperty=userId`, by user id."""
    key = "userId" if call.text("idProperty") == "userId" else "id"
    for owner in call.store.owners(archived=call.flag("archived")):
        if str(owner[key]) == call.params["owner_id"]:
            return Reply(200, owner)
    raise not_found(f"Owner {call.params['owner_id']} does not exist")


def list_pipelines(call: Call) -> Reply:
    return Reply(200, {"results": call.store.pipelines(call.object_type)})


def get_pipeline(call: Call) -> Reply:
    return Reply(200, _pipeline(call))


def list_stages(call: Call) -> Reply:
    return Reply(200, {"results": _pipeline(call)["stages"]})


def _pipeline(call: Call) -> dict[str, Any]:
    for pipeline in call.store.pipelines(call.object_type):
        if pipeline["id"] == call.params["pipeline_id"]:
            return pipeline
    raise not_found(f"Pipeline {call.params['pipeline_id']} does not exist")


def read_unsubscribes(call: Call) -> Reply:
    """POST statuses/batch/unsubscribe-all/read?channel=EMAIL: who is unsubscribed from everything."""
    if call.text("channel") != "EMAIL":
        raise invalid("channel must be EMAIL")
    emails = call.strings("inputs")
    if not emails:
        raise invalid("Invalid input JSON: inputs must be a list of email addresses")
    if len(emails) > 100:
        raise invalid(f"The maximum number of inputs supported in a batch request is 100, got {len(emails)}")
    rows = call.store.connection.execute(
        "select email, changed_at, source from unsubscribes where email in (select value from json_each(?))",
        (json.dumps([email.strip().lower() for email in emails]),),
    )
    known = {email: (changed_at, source) for email, changed_at, source in rows}
    results: list[dict[str, Any]] = []
    for email in emails:
        status: dict[str, Any] = {
            "channel": "EMAIL",
            "subscriberIdString": email,
            "status": "NOT_SPECIFIED",
            "wideStatusType": "PORTAL_WIDE",
        }
        if email.strip().lower() in known:
            changed_at, source = known[email.strip().lower()]
            status |= {"status": "UNSUBSCRIBED", "timestamp": iso(changed_at), "source": source}
        results.append({"subscriberIdString": email, "statuses": [status]})
    return batch_reply(call, results, [])


def property_limits(call: Call) -> Reply:
    """GET /limits/custom-properties: how many custom properties are used per object type."""
    rows = call.store.connection.execute(
        "select object_type, count(*) from properties where archived = 0"
        " and not json_extract(definition, '$.hubspotDefined') group by object_type order by object_type"
    )
    return Reply(
        200,
        {
            "byObjectType": [
                {
                    "objectTypeId": object_type,
                    "usage": used,
                    "limit": CUSTOM_PROPERTIES_PER_TYPE,
                    "percentage": round(100 * used / CUSTOM_PROPERTIES_PER_TYPE, 2),
                }
                for object_type, used in rows
            ]
        },
    )
