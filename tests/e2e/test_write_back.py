"""From the plan to the CRM and back: what was reviewed is what is written, and a person's edit survives everything."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request

from reverse_etl.canonical import lenient
from reverse_etl.crms.hubspot.keyed import from_html
from tests.e2e.world import World

WRITTEN = "select object_type, object_id, property, after from journal where action = 'set'"
KEY = "nightdesk_op_key"
AS_TEXT = {"hs_timestamp": lambda value: lenient("datetime", value), "hs_task_body": from_html}


def planned(world: World, decisions: str = "('auto', 'require_approval')") -> set[tuple[str, str, str, str]]:
    return set(
        world.rows(
            "ledger",
            f"""
            select object_type, record_id, property, wire_value from plan_ops
            where decision in {decisions}
                and plan_id = (select plan_id from plans where kind = 'sync' order by created_at desc limit 1)
            """,
        )
    )


def written(world: World) -> set[tuple[str, str, str, str]]:
    """What the CRM's own journal says was set; a task of ours by its key, without the key itself.

    Times and the body of a task are compared as text: the CRM keeps milliseconds and HTML.
    """
    entries = [
        (kind, str(record), name, AS_TEXT.get(name, str)(after)) for kind, record, name, after in world.crm(WRITTEN)
    ]
    keys = {(kind, record): after for kind, record, name, after in entries if name == KEY}
    return {
        (kind, keys.get((kind, record), record), name, after) for kind, record, name, after in entries if name != KEY
    }


def outside(world: World) -> int:
    """Entries of the journal that are neither a value of ours nor a field of a record that we made."""
    found = world.crm(
        f"""
        with made as (select object_type || ':' || object_id as record from journal where property = '{KEY}')
        select count(*) from journal
        where (action <> 'set' or property not like 'nightdesk_%')
            and object_type || ':' || object_id not in (select record from made)
            and coalesce(after, '') not in (select record from made)  -- the other end of an association
        """
    )
    return int(found[0][0])


def values(world: World) -> dict[tuple[str, str, str], str]:
    """Every namespaced value that the CRM holds now, empty ones left out."""
    found: dict[tuple[str, str, str], str] = {}
    for object_type, record_id, properties in world.crm(
        "select object_type, id, properties from objects where archived_at is null"
    ):
        for name, value in json.loads(properties).items():
            if name.startswith("nightdesk_") and value:
                found[object_type, str(record_id), name] = value
    return found


def edit(url: str, object_type: str, record_id: str, name: str, value: str) -> None:
    """What a person does on the record page."""
    request = urllib.request.Request(
        f"{url}/records/{object_type}/{record_id}/edit",
        data=urllib.parse.urlencode({"property": name, "value": value}).encode(),
        method="POST",
    )
    urllib.request.urlopen(request, timeout=10).close()


def test_nothing_is_written_by_default(night: World) -> None:
    before = night.crm("select count(*) from journal")
    with night.serving():
        night.run("apply", expect=None)
    assert night.crm("select count(*) from journal") == before


def test_nothing_is_written_before_it_is_approved(night: World) -> None:
    with night.serving():
        assert night.run("apply", "--execute", expect=None).returncode == 3
    assert values(night) == {}


def test_apply_writes_the_plan_and_nothing_else_and_rollback_restores(night: World) -> None:
    expected = planned(night)
    made = {record for kind, record, name, _ in expected if name == "@record"}
    assert made  # some next steps are recommended
    untouched = outside(night)
    with night.serving() as url:
        night.run("approve", "--all", "--as", "maya", "--role", "revops")
        night.run("apply", "--execute")
        assert written(night) == {entry for entry in expected if not entry[2].startswith("@")}
        assert outside(night) == untouched
        assert {key for _, key, name, _ in written(night) if name == "nightdesk_state"} == made
        assert "chain is whole" in night.run("audit", "verify").stdout

        # A night after the write proposes nothing, and asks nothing: our own writes are not news.
        night.run("refresh")
        assert night.asked() == 0
        assert planned(night) == set()

        # Somebody edits one of our values; the rollback leaves it alone and restores all others.
        kind, record, name, _ = sorted(item for item in expected if item[2] == "nightdesk_lead_reason")[0]
        edit(url, kind, record, name, "Known to us: call Dana first")
        assert night.run("rollback", expect=None).returncode == 3
        night.run("approve", "--all", "--as", "maya", "--role", "revops")
        night.run("apply", "--execute")
    assert values(night) == {(kind, record, name): "Known to us: call Dana first"}
    assert "chain is whole" in night.run("audit", "verify").stdout


def test_a_human_edit_between_plan_and_apply_wins(night: World) -> None:
    kind, record, name, _ = sorted(item for item in planned(night) if item[2] == "nightdesk_lead_tier")[0]
    with night.serving() as url:
        night.run("approve", "--all", "--as", "maya", "--role", "revops")
        edit(url, kind, record, name, "D")
        night.run("apply", "--execute", expect=None)
    assert values(night)[kind, record, name] == "D"
    result = night.rows(
        "ledger",
        "select result from op_results inner join plan_ops using (op_id) where record_id = ? and property = ?",
        [record, name],
    )
    assert result in ([("conflict",)], [("already_there",)])


def test_why_tells_the_story_of_a_value(night: World) -> None:
    record = sorted(item for item in planned(night) if item[2] == "nightdesk_lead_score")[0][1]
    story = night.run("why", f"contact:{record}", "nightdesk_lead_score").stdout
    assert "lead_quality" in story
    assert "approve_recommendations" in story


def test_the_proposer_may_not_approve(night: World) -> None:
    process = night.run("approve", "--all", "--as", "nightdesk", "--role", "revops", expect=None)
    assert process.returncode == 5
    assert "Traceback" not in process.stderr
