"""A small hand-made company for the tests of sources/hubspot, and what they ask of raw.duckdb."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx2
import pytest
from pydantic import SecretStr

from sandbox.crm.limits import UNLIMITED, Limits
from sandbox.crm.server import RunningSandbox, running
from sandbox.crm.store import Store
from sandbox.records import (
    HistoryEntry,
    SeedAssociation,
    SeedCompany,
    SeedObject,
    SeedOwner,
    SeedPipeline,
    SeedStage,
    SeedUnsubscribe,
)
from sources.hubspot import HubSpotSettings, LoadReport, load
from sources.hubspot.tables import TABLES

AS_OF = datetime(2026, 11, 17, tzinfo=UTC)
TOKEN = "sandbox-token"
SIZES = {"contacts": 60, "companies": 12, "deals": 20, "emails": 120, "calls": 8, "meetings": 6, "notes": 5, "tasks": 5}
_STAGES = (("appointment", "0.2"), ("proposal", "0.6"), ("closedwon", "1.0"), ("closedlost", "0.0"))


def company(sizes: Mapping[str, int] | None = None, *, ties: int = 0, body: str = "Hello") -> SeedCompany:
    """A company of these sizes. Ids: contacts from 1,000,000, companies from 2,000,000, and so on.

    The last `ties` emails share one modified stamp.
    """
    sizes = SIZES | dict(sizes or {})
    rng = random.Random(1)
    start = AS_OF - timedelta(days=400)

    def ids(kind: str) -> list[str]:
        base = (list(SIZES).index(kind) + 1) * 1_000_000
        return [str(base + number) for number in range(sizes[kind])]

    def when(number: int, kind: str) -> datetime:
        return start + timedelta(days=380) * (number + 1) / sizes[kind]

    def thing(kind: str, number: int, properties: dict[str, str], **more: object) -> SeedObject:
        updated = when(number, kind)
        if kind == "emails" and number >= sizes[kind] - ties:
            updated = AS_OF - timedelta(days=3)
        base = ids_of[kind][number]
        item = SeedObject(kind, base, properties, updated - timedelta(days=10), updated)
        return replace(item, **more) if more else item  # type: ignore[arg-type]

    ids_of = {kind: ids(kind) for kind in SIZES}

    def objects() -> Iterator[SeedObject]:
        for n in range(sizes["companies"]):
            properties = {"name": f"Company {n}", "domain": f"c{n}.example", "annualrevenue": f"{n * 1000}.5"}
            yield thing("companies", n, properties | {"numberofemployees": str(n * 10), "lifecyclestage": "lead"})
        for n in range(sizes["contacts"]):
            properties = {
                "email": f"p{n}@c{n % sizes['companies']}.example",
                "firstname": "Ada",
                "lastname": f"Nr {n}",
                "jobtitle": "Head of Ops",
                "lifecyclestage": "lead",
                "hs_email_optout": "false",
                "hubspot_owner_id": "71",
            }
            history = {
                "jobtitle": (
                    HistoryEntry("Head of Ops", when(n, "contacts") - timedelta(days=1), "CRM_UI", "", "9"),
                    HistoryEntry("Ops", when(n, "contacts") - timedelta(days=5), "IMPORT"),
                )
            }
            yield thing("contacts", n, properties, history=history)
        for n in range(sizes["deals"]):
            stage = _STAGES[n % 4][0]
            properties = {"dealname": f"Deal {n}", "amount": f"{n * 100}.25", "pipeline": "sales", "dealstage": stage}
            properties |= {"closedate": "2026-12-01T00:00:00.000Z", "dealtype": "newbusiness"}
            entry = HistoryEntry(stage, when(n, "deals"), "CRM_UI")
            yield thing("deals", n, properties, history={"dealstage": (entry,)})
        for n in range(sizes["emails"]):
            properties = {
                "hs_timestamp": _iso(when(n, "emails")),
                "hs_email_subject": f"Subject {n}",
                "hs_email_text": f"{body} {n}",
                "hs_email_direction": "INCOMING_EMAIL" if n % 2 else "EMAIL",
                "hs_email_status": "SENT",
                "hs_email_from_email": "a@b.example",
            }
            yield thing("emails", n, properties)
        for n in range(sizes["calls"]):
            text = "\n".join(f"[00:{m:02d}:00] Ada (Company): {body}" for m in range(20))
            properties = {"hs_timestamp": _iso(when(n, "calls")), "hs_call_title": f"Call {n}", "hs_call_body": text}
            yield thing("calls", n, properties | {"hs_call_duration": "60000", "hs_call_direction": "OUTBOUND"})
        for n in range(sizes["meetings"]):
            begin = _iso(AS_OF + timedelta(hours=9 + n % 9))
            yield thing("meetings", n, {"hs_timestamp": begin, "hs_meeting_start_time": begin, "hs_meeting_title": "M"})
        for n in range(sizes["notes"]):
            yield thing("notes", n, {"hs_timestamp": _iso(when(n, "notes")), "hs_note_body": body})
        for n in range(sizes["tasks"]):
            yield thing("tasks", n, {"hs_timestamp": _iso(when(n, "tasks")), "hs_task_subject": "Call back"})

    def associations() -> Iterator[SeedAssociation]:
        for n, contact in enumerate(ids_of["contacts"]):
            label = "Decision maker" if n % 5 == 0 else None
            yield SeedAssociation("contacts", contact, "companies", ids_of["companies"][n % sizes["companies"]], label)
        for kind in ("deals", "emails", "calls", "meetings", "notes", "tasks"):
            for one in ids_of[kind]:
                contact = rng.randrange(sizes["contacts"])
                yield SeedAssociation(kind, one, "contacts", ids_of["contacts"][contact])
                yield SeedAssociation(kind, one, "companies", ids_of["companies"][contact % sizes["companies"]])

    stages = tuple(SeedStage(s, s.title(), n, p, s.startswith("closed")) for n, (s, p) in enumerate(_STAGES))
    return SeedCompany(
        as_of=AS_OF,
        owners=(SeedOwner("71", "kim@harbourline.example", "Kim", "Ode", "9", "East", start),),
        pipelines=(SeedPipeline("sales", "deals", "Sales", 0, stages),),
        objects=objects(),
        associations=associations(),
        unsubscribes=(SeedUnsubscribe("p3@c3.example", AS_OF - timedelta(days=20), "one-click"),),
    )


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


class Bench:
    """A running sandbox and a raw database to load it into."""

    def __init__(self, folder: Path, sandbox: RunningSandbox, store_path: Path) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.store_path = store_path
        self.raw = folder / "raw.duckdb"
        self.pipelines = folder / "pipelines"

    def settings(self, **changes: object) -> HubSpotSettings:
        """Settings for the sandbox, impatient."""
        known: dict[str, object] = {
            "base_url": self.sandbox.url,
            "token": SecretStr(TOKEN),
            "requests_per_10s": 100_000,
            "searches_per_second": 1_000,
            "backoff_seconds": 0.02,
            "max_attempts": 4,
        }
        return HubSpotSettings.model_validate(known | changes)

    def api(self, method: str, path: str, body: object = None) -> Any:
        """What another user of the CRM does, over HTTP."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        response = httpx2.request(method, self.sandbox.url + path, json=body, headers=headers)
        assert response.status_code < 300, response.text
        return response.json() if response.content else None

    def edit(self, kind: str, record: int | str, **properties: str) -> None:
        """Changes properties of one record."""
        self.api("PATCH", f"/crm/v3/objects/{kind}/{record}", {"properties": properties})

    def load(self, *, full: bool = False, **changes: Any) -> LoadReport:
        """One load."""
        return load(self.settings(**changes), self.raw, self.pipelines, full=full)

    def moved(self, **changes: Any) -> dict[str, int]:
        """One load; the tables in which rows moved, watermarks apart."""
        found = self.load(**changes).rows_moved
        return {table: count for table, count in found.items() if count and table != "load_watermarks"}

    def ask(self, sql: str) -> list[tuple[object, ...]]:
        """A question to the raw database."""
        return _ask(self.raw, sql)

    def contents(self) -> dict[str, list[tuple[object, ...]]]:
        """Every table's rows, see `contents_of`."""
        return self.contents_of(self.raw)

    @staticmethod
    def contents_of(raw: Path) -> dict[str, list[tuple[object, ...]]]:
        """Every table's rows in order, without what differs between two loads of the same: load ids, times, counts."""
        left_out = {"loaded_at", "rows_seen"}
        return {
            name: _ask(
                raw, f"select {', '.join(c for c in table.names if c not in left_out)} from hubspot.{name} order by all"
            )
            for name, table in TABLES.items()
        }

    def forget(self) -> None:
        """As if nothing had been loaded yet."""
        self.raw.unlink()
        self.drop_pipelines()

    def drop_pipelines(self) -> None:
        """Loses dlt's working folder, as a new container does."""
        shutil.rmtree(self.pipelines)

    def clean_contents(self) -> dict[str, list[tuple[object, ...]]]:
        """What a load into an empty database gives now."""
        raw = self.folder / "clean.duckdb"
        raw.unlink(missing_ok=True)
        load(self.settings(), raw, self.folder / "clean-pipelines")
        return self.contents_of(raw)


def _ask(raw: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(raw), read_only=True) as connection:
        connection.execute("set timezone = 'UTC'")
        return connection.execute(sql).fetchall()


@contextmanager
def bench(folder: Path, seed: SeedCompany, *, limits: Limits = UNLIMITED, **options: object) -> Iterator[Bench]:
    """A sandbox serving `seed` until the block ends."""
    store_path = folder / "crm.sqlite"
    with Store.create(store_path) as store:
        store.seed(seed)
    with running(store_path, token=TOKEN, limits=limits, **options) as sandbox:  # type: ignore[arg-type]
        yield Bench(folder, sandbox, store_path)


class Template:
    """A seeded store and its first load, made once and copied for each test that starts from there."""

    def __init__(self, folder: Path, seed: SeedCompany) -> None:
        self.folder = folder
        with bench(folder, seed) as it:
            it.load()

    @contextmanager
    def loaded(self, folder: Path) -> Iterator[Bench]:
        """A copy of the template with its sandbox running."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        with serving(folder) as it:
            yield it


_TEMPLATES: list[Template] = []


def shared_template(factory: pytest.TempPathFactory) -> Template:
    """The template of the standard company: loaded once for all test files."""
    if not _TEMPLATES:
        _TEMPLATES.append(Template(factory.mktemp("template"), company()))
    return _TEMPLATES[0]


@contextmanager
def serving(folder: Path) -> Iterator[Bench]:
    """The store already in `folder` behind a new server."""
    with running(folder / "crm.sqlite", token=TOKEN, limits=UNLIMITED) as sandbox:
        yield Bench(folder, sandbox, folder / "crm.sqlite")


def test_a_first_load_takes_every_record_and_the_second_moves_nothing(tmp_path: Path) -> None:
    with bench(tmp_path, company()) as it:
        first = it.load()
        assert {name: first.rows_total[name] for name in SIZES} == SIZES
        assert first.rows_total["associations"] > 300
        assert it.moved() == {}
        assert it.contents() == it.clean_contents()
