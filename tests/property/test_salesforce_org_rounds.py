"""After any rounds of edits, what a loader gets from the sandbox org is what the org counts itself."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from sandbox.salesforce import catalog, rounds
from sandbox.salesforce.store import Store
from sandbox.virtual import VirtualTime
from tests.salesforce_kit import NOW
from tests.salesforce_org_kit import Loader, empty_org, serving

OBJECTS = ("Account", "Contact", "Lead", "Opportunity", "OpportunityContactRole", "Task", "EmailMessage", "Note")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("org") / "org.sqlite"
    with empty_org(path) as loader:
        store = loader.store
        accounts = store.seed("Account", [{"Name": f"C{n}"} for n in range(8)])
        store.seed("Contact", [{"LastName": f"P{n}", "AccountId": accounts[n % 8]} for n in range(60)])
        store.seed("Lead", [{"LastName": f"L{n}", "Company": f"N{n}", "Status": "New"} for n in range(30)])
        store.track("Contact", "Title", "Phone", "OwnerId")
        store.track("Opportunity", "StageName", "Amount")
    return path


class Copy:
    """The plainest loader there is: everything from the last stamp on, by `queryAll`, the stamp itself included."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, dict[str, Any]]] = {name: {} for name in OBJECTS}
        self.seen: dict[str, str] = {}

    def load(self, org: Loader) -> None:
        for name in OBJECTS:
            fields = [f["name"] for f in org.get(f"sobjects/{name}/describe").json()["fields"]]
            since = f" WHERE SystemModstamp >= {self.seen[name]}" if name in self.seen else ""
            soql = f"SELECT {', '.join(fields)} FROM {name}{since} ORDER BY SystemModstamp, Id"
            for row in org.rows(soql, deleted=True, size=200):
                self.rows[name][row["Id"]] = {n: row[n] for n in fields}
                self.seen[name] = row["SystemModstamp"].replace(".000+0000", "Z")

    def counts(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for name, rows in self.rows.items():
            found[f"{name}.living"] = sum(not row["IsDeleted"] for row in rows.values())
            if name in catalog.MERGEABLE:
                found[f"{name}.merged"] = sum(bool(row["MasterRecordId"]) for row in rows.values())
        found["Lead.converted"] = sum(row["IsConverted"] and not row["IsDeleted"] for row in self.rows["Lead"].values())
        return found


@pytest.mark.parametrize("seed", [1, 2])
def test_twenty_rounds_arrive_as_the_org_counts_them(small: Path, tmp_path: Path, seed: int) -> None:
    shutil.copy(small, tmp_path / "org.sqlite")
    happened: set[str] = set()
    with serving(tmp_path / "org.sqlite") as org:
        copy = Copy()
        for number in range(20):
            copy.load(org)
            happened |= set(rounds.edit_round(org.store, seed * 100 + number))
        copy.load(org)
        truth, erased = rounds.truth(org.store), _erased(org.store)
        counts = copy.counts()
        for name in catalog.MERGEABLE:  # merged records are never emptied out of the bin here
            assert counts.pop(f"{name}.merged") == truth[f"{name}.merged"], name
        assert counts == {name: truth[name] for name in counts}
        for name in OBJECTS:
            here = {i: row for i, row in copy.rows[name].items() if (name, i) not in erased}
            assert here == rounds.contents(org.store, name)
    wanted = {"merge Contact", "convert Lead", "delete Contact", "undelete Contact", "many Contact", "move stage"}
    assert wanted <= happened


def _erased(store: Store) -> set[tuple[str, str]]:
    return {(str(a), str(b)) for a, b in store.connection.execute("select object, id from purged")}


def test_a_round_is_the_same_from_the_same_seed_and_holds_ties(small: Path, tmp_path: Path) -> None:
    found: list[Any] = []
    for name in ("a", "b"):
        shutil.copy(small, tmp_path / name)
        store = Store.open(tmp_path / name, clock=VirtualTime(NOW))
        counts = [rounds.edit_round(store, number) for number in range(3)]
        found.append((counts, rounds.truth(store), {name: rounds.contents(store, name) for name in rounds.EDITED}))
        stamps = [row["SystemModstamp"] for row in found[-1][2]["Contact"].values()]
        assert max(stamps.count(one) for one in set(stamps)) >= 20
        assert rounds.edit_round(store, 4) != rounds.edit_round(store, 5)
        store.close()
    assert found[0] == found[1]


def test_a_hard_round_empties_what_no_query_tells_of_any_more(small: Path, tmp_path: Path) -> None:
    shutil.copy(small, tmp_path / "org.sqlite")
    with serving(tmp_path / "org.sqlite") as org:
        for number in range(12):
            before = {name: set(rounds.contents(org.store, name)) for name in catalog.MERGEABLE}
            known = _erased(org.store)
            rounds.edit_round(org.store, number, size=80, hard=True)
            sudden = {(n, i) for n, i in _erased(org.store) - known if i in before.get(n, ())}
            if sudden:
                name, record = sorted(sudden)[0]
                assert org.count(name, f"Id = '{record}'", deleted=True) == 0
                return
    pytest.fail("nothing was ever emptied out of the bin")


def test_a_slow_transaction_bears_a_stamp_that_was_loaded_already(small: Path, tmp_path: Path) -> None:
    shutil.copy(small, tmp_path / "org.sqlite")
    with serving(tmp_path / "org.sqlite") as org:
        org.clock.advance(600)
        looked = org.store.now()
        for number in range(5):
            before = set(rounds.contents(org.store, "Contact"))
            counts = rounds.edit_round(org.store, number, late=120)
            made = {i: row for i, row in rounds.contents(org.store, "Contact").items() if i not in before}
            if any(row["CreatedDate"] < looked for row in made.values()):
                assert counts["late"] >= 1
                return
    pytest.fail("no transaction was slow")
