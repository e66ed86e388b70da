"""What every CRM adapter must do, as tests: derive a class from `AdapterContract` and give it a `kit` fixture.

    class TestMyCrm(AdapterContract):
        @pytest.fixture(scope="class")
        @classmethod
        def kit(cls) -> Iterator[Kit]:
            yield MyKit(...)

A kit stands for one CRM with a person in it: it makes records, edits them as a person does, and says what the CRM
holds without asking the adapter. What a CRM does not have (versions, merging, records that we create) its kit leaves
None, and the tests about it are skipped by name. docs/adapters.md explains the promises.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import pytest

from reverse_etl.canonical import lenient
from reverse_etl.crms.protocol import (
    PRESENT,
    RECORD,
    CrmAdapter,
    NotOurProperty,
    ReadResult,
    RecordWrite,
    WriteOutcome,
)

# Text that something on the way between a warehouse and a CRM has eaten before, all of it in canonical form.
TEXTS = (
    "It's 5 o'clock",
    'She said "no"',
    "back\\slash and /slash",
    "first line\nsecond line\n\nfourth line",
    "tab\tinside",
    "Grüße, naïve café, Łódź",
    "Grüße (decomposed: u and a mark)",
    "日本語のテキスト",
    "שלום עולם and مرحبا",
    "a family \U0001f468‍\U0001f469‍\U0001f467 and a flag \U0001f1e9\U0001f1ea",
    "<b>not markup</b> & <script>alert(1)</script>",
    "{{ not_a_template }} ${nor_this} %s {0}",
    "=1+1",
    "null",
    "None",
    "#N/A",
    "0",
    "false",
    "a;b;c, d",
    "line   spaces",
    "ends with an emoji \U0001f984",
    "x" * 20_000,
)
_KEY = "contract_test_key_1"


@dataclass
class Kit:
    """One CRM for the tests.

    Attributes:
        adapter: The adapter under test.
        object_type: The object type the tests write to.
        fields: Our value type -> properties of ours of that type. `text` and `number` are needed, of `text` two.
        values: Value type -> canonical values that must survive; `text` is `TEXTS` unless given.
        create: Makes records without any value of ours; returns their ids.
        edit: A person sets a property to a value (wire text) on a record.
        raw: What the CRM holds, looked up without the adapter: wire text in whatever form, None for nothing.
        delete: Somebody deletes a record for good (or as much as the CRM can).
        writes: How many writing requests the CRM has received so far.
        unknown_id: An id of the right form that no record has.
        bad: A property and a value that the adapter passes on and the CRM refuses.
        not_ours: A property of the object type outside the namespace.
        closed: Makes a property unwritable while it lasts.
        lost: Makes the answer of the next write get lost, after the CRM did it (True) or before (False).
        merge: Merges the first record into the second.
        keyed: Object type and values of a record that we create; an empty value becomes the id of a new record.
        has_versions: Whether a write that was decided on an older version is refused.
        has_history: Whether the CRM knows who changed a property.
        names_refusals: Whether rejected writes say why in `refusal`.
    """

    adapter: CrmAdapter
    object_type: str
    fields: Mapping[str, Sequence[str]]
    create: Callable[[int], list[str]]
    edit: Callable[[str, str, str], None]
    raw: Callable[[str, str], str | None]
    delete: Callable[[str], None]
    writes: Callable[[], int]
    unknown_id: str
    bad: tuple[str, str]
    not_ours: str
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)
    closed: Callable[[str], AbstractContextManager[None]] | None = None
    lost: Callable[[bool], AbstractContextManager[None]] | None = None
    merge: Callable[[str, str], None] | None = None
    keyed: tuple[str, Mapping[str, str]] | None = None
    has_versions: bool = False
    has_history: bool = True
    names_refusals: bool = True

    # in words of the tests

    @property
    def text(self) -> str:
        return self.fields["text"][0]

    @property
    def other_text(self) -> str:
        return self.fields["text"][1]

    def read(self, ids: Sequence[str], *properties: str, history: bool = False) -> ReadResult:
        """Read, checking the promise every read makes."""
        result = self.adapter.read(self.object_type, ids, properties or [self.text], history=history)
        assert set(result.found) | set(result.missing) == set(ids)
        assert not set(result.found) & set(result.missing)
        assert all(result.missing.values()), "a missing record comes with the reason"
        for record in result.found.values():
            assert set(properties or [self.text]) <= set(record.values)
        return result

    def value(self, record: str, name: str) -> str | None:
        return self.read([record], name).found[record].values[name]

    def write(self, writes: Mapping[str, Mapping[str, str]], **versions: str | None) -> dict[str, WriteOutcome]:
        """Write records at once; outcomes by record, checking the promise every write makes."""
        sent = [RecordWrite(i, f"trace-{i}", values, versions.get(i)) for i, values in writes.items()]
        answers = self.adapter.write(self.object_type, sent)
        assert set(answers) == {write.trace_id for write in sent}, "every write has exactly one outcome"
        for answer in answers.values():
            assert answer.state in ("acknowledged", "rejected", "unknown")
            assert answer.refusal is None or answer.state == "rejected"
            assert answer.state != "rejected" or answer.message, "a rejection says why"
        return {i: answers[f"trace-{i}"] for i in writes}

    def acknowledged(self, writes: Mapping[str, Mapping[str, str]]) -> None:
        outcomes = self.write(writes)
        assert {i: outcome.state for i, outcome in outcomes.items()} == dict.fromkeys(writes, "acknowledged"), outcomes

    def holds(self, record: str, kind: str, name: str) -> str | None:
        """What the CRM itself holds, canonical; nothing and empty are the same."""
        return lenient(kind, self.raw(record, name)) or None

    def refused(self, outcome: WriteOutcome, *reasons: str) -> None:
        assert outcome.state == "rejected", outcome
        if self.names_refusals:
            assert outcome.refusal in reasons, outcome


def examples(kit: Kit) -> dict[str, Sequence[str]]:
    """Values of every type the kit has properties for."""
    standard = {
        "number": ("0", "1", "-3", "62.5", "1000000", "0.01"),
        "date": ("2026-11-17", "2024-02-29", "1999-12-31"),
        "datetime": ("2026-11-17T06:30:00Z", "2026-03-29T01:30:00Z"),
        "boolean": ("true", "false"),
        "text": TEXTS,
    }
    return {kind: kit.values.get(kind, standard.get(kind, ())) for kind in kit.fields}


class AdapterContract:
    """The promises of `CrmAdapter`, one by one."""

    @pytest.fixture
    def kit(self) -> Any:
        raise NotImplementedError("give the class a `kit` fixture")

    # describing -------------------------------------------------------------------------------------------------------

    def test_properties_are_described_with_our_types(self, kit: Kit) -> None:
        described = kit.adapter.describe(kit.object_type)
        assert described.object_type == kit.object_type
        for kind, names in kit.fields.items():
            for name in names:
                there = described.properties[name]
                assert (there.name, there.value_type, there.is_read_only, there.is_archived) == (
                    name,
                    kind,
                    False,
                    False,
                )
        for name in kit.fields.get("enumeration", ()):
            assert set(kit.values["enumeration"]) <= set(described.properties[name].options)

    def test_a_property_that_cannot_be_written_is_described_as_such(self, kit: Kit) -> None:
        if kit.closed is None:
            pytest.skip("this CRM has no rights on properties")
        with kit.closed(kit.text):
            assert kit.adapter.describe(kit.object_type).properties[kit.text].is_read_only
        assert not kit.adapter.describe(kit.object_type).properties[kit.text].is_read_only

    # reading ----------------------------------------------------------------------------------------------------------

    def test_every_id_asked_for_is_found_or_missing(self, kit: Kit) -> None:
        here, there, gone = kit.create(3)
        kit.delete(gone)
        result = kit.read([gone, there, kit.unknown_id, here, there])
        assert set(result.found) == {here, there} and set(result.missing) == {gone, kit.unknown_id}
        assert {asked: record.id for asked, record in result.found.items()} == {here: here, there: there}

    def test_reading_nothing_is_nothing(self, kit: Kit) -> None:
        result = kit.adapter.read(kit.object_type, [], [kit.text])
        assert (dict(result.found), dict(result.missing)) == ({}, {})

    def test_a_read_shows_what_was_written_a_moment_ago(self, kit: Kit) -> None:
        (record,) = kit.create(1)
        for value in ("first", "second", "third"):
            kit.acknowledged({record: {kit.text: value}})
            assert kit.value(record, kit.text) == value

    def test_a_property_nobody_ever_set_is_empty(self, kit: Kit) -> None:
        (record,) = kit.create(1)
        names = [name for kind, names in kit.fields.items() for name in names if kind != "boolean"]
        assert {kit.read([record], *names).found[record].values[name] or None for name in names} == {None}

    def test_a_read_holds_at_most_one_batch(self, kit: Kit) -> None:
        size = max(kit.adapter.batch_size, kit.adapter.write_batch(10**9))
        with pytest.raises(ValueError, match="in one request"):
            kit.adapter.read(kit.object_type, [str(n) for n in range(size + 1)], [kit.text])

    # writing ----------------------------------------------------------------------------------------------------------

    def test_values_of_every_type_survive(self, kit: Kit) -> None:
        for kind, values in examples(kit).items():
            name = kit.fields[kind][0]
            records = kit.create(len(values))
            wanted = dict(zip(records, values, strict=True))
            for start in range(0, len(records), kit.adapter.batch_size):
                part = records[start : start + kit.adapter.batch_size]
                kit.acknowledged({record: {name: wanted[record]} for record in part})
                found = kit.read(part, name).found
                for record in part:
                    back = lenient(kind, found[record].values[name])
                    assert back == wanted[record], (kind, wanted[record][:50], (back or "")[:50])
                    assert kit.holds(record, kind, name) == wanted[record], (kind, wanted[record][:50])

    def test_only_an_empty_value_clears_and_what_is_not_sent_stays(self, kit: Kit) -> None:
        left, cleared = kit.create(2)
        kit.acknowledged({record: {kit.text: "one", kit.other_text: "two"} for record in (left, cleared)})
        kit.acknowledged({left: {kit.text: "three"}, cleared: {kit.text: ""}})
        assert [kit.holds(left, "text", name) for name in (kit.text, kit.other_text)] == ["three", "two"]
        assert [kit.holds(cleared, "text", name) for name in (kit.text, kit.other_text)] == [None, "two"]
        assert not kit.value(cleared, kit.text)

    def test_every_type_can_be_cleared(self, kit: Kit) -> None:
        kinds = [kind for kind, values in examples(kit).items() if values]
        (record,) = kit.create(1)
        kit.acknowledged({record: {kit.fields[kind][0]: examples(kit)[kind][0] for kind in kinds}})
        kit.acknowledged({record: {kit.fields[kind][0]: "" for kind in kinds}})
        for kind in kinds:
            name = kit.fields[kind][0]
            emptied = (None,) if kind != "boolean" else (None, "false")
            assert kit.holds(record, kind, name) in emptied, kind
            assert (kit.value(record, name) or None) in emptied, kind

    def test_writing_the_same_twice_is_no_error(self, kit: Kit) -> None:
        (record,) = kit.create(1)
        for _ in range(2):
            kit.acknowledged({record: {kit.text: "same"}})
        assert kit.holds(record, "text", kit.text) == "same"

    def test_nothing_else_on_the_record_changes(self, kit: Kit) -> None:
        (record,) = kit.create(1)
        before = kit.raw(record, kit.not_ours)
        kit.edit(record, kit.other_text, "a person's")
        kit.acknowledged({record: {kit.text: "ours"}})
        assert kit.raw(record, kit.not_ours) == before
        assert kit.holds(record, "text", kit.other_text) == "a person's"

    def test_what_is_not_ours_is_refused_before_any_request(self, kit: Kit) -> None:
        first, second = kit.create(2)
        before, holds = kit.writes(), kit.raw(second, kit.not_ours)
        with pytest.raises(NotOurProperty):
            kit.write({first: {kit.text: "fine"}, second: {kit.text: "fine", kit.not_ours: "x"}})
        assert kit.writes() == before
        assert kit.holds(first, "text", kit.text) is None and kit.raw(second, kit.not_ours) == holds

    def test_a_write_holds_at_most_one_batch_and_every_record_and_trace_once(self, kit: Kit) -> None:
        before = kit.writes()
        size = kit.adapter.write_batch(10**9)
        many = [RecordWrite(str(n), f"t{n}", {kit.text: "x"}) for n in range(size + 1)]
        twice = [RecordWrite("1", "a", {kit.text: "x"}), RecordWrite("1", "b", {kit.text: "y"})]
        traces = [RecordWrite("1", "a", {kit.text: "x"}), RecordWrite("2", "a", {kit.text: "y"})]
        for wrong in (many, twice, traces):
            with pytest.raises(ValueError, match="in one request"):
                kit.adapter.write(kit.object_type, wrong)
        assert kit.writes() == before

    # refusals ---------------------------------------------------------------------------------------------------------

    def test_a_bad_value_stops_only_its_own_record(self, kit: Kit) -> None:
        records = kit.create(5)
        name, bad = kit.bad
        wrong = records[2]
        before = kit.raw(wrong, name)
        outcomes = kit.write(
            {record: {kit.text: "kept", **({name: bad} if record == wrong else {})} for record in records}
        )
        kit.refused(outcomes[wrong], "bad_value")
        assert [outcomes[record].state for record in records if record != wrong] == ["acknowledged"] * 4
        assert [kit.holds(record, "text", kit.text) for record in records if record != wrong] == ["kept"] * 4
        assert kit.raw(wrong, name) == before

    def test_a_record_that_is_gone_is_named_and_the_others_are_written(self, kit: Kit) -> None:
        here, gone = kit.create(2)
        kit.delete(gone)
        outcomes = kit.write({gone: {kit.text: "x"}, here: {kit.text: "x"}, kit.unknown_id: {kit.text: "x"}})
        kit.refused(outcomes[gone], "gone")
        kit.refused(outcomes[kit.unknown_id], "gone")
        assert outcomes[here].state == "acknowledged" and kit.holds(here, "text", kit.text) == "x"

    def test_a_missing_right_is_named_and_nothing_is_written(self, kit: Kit) -> None:
        if kit.closed is None:
            pytest.skip("this CRM has no rights on properties")
        with_it, without = kit.create(2)
        kit.adapter.describe(kit.object_type)  # the right goes away after the properties were looked at
        with kit.closed(kit.text):
            outcomes = kit.write({with_it: {kit.text: "x"}, without: {kit.other_text: "x"}})
            kit.refused(outcomes[with_it], "no_right", "schema")
            assert outcomes[without].state == "acknowledged"
            assert kit.holds(with_it, "text", kit.text) is None
        kit.acknowledged({with_it: {kit.text: "x"}})

    def test_a_property_that_does_not_exist_is_named(self, kit: Kit) -> None:
        (record,) = kit.create(1)
        unknown = f"{kit.text}_that_nobody_made" if not kit.text.endswith("__c") else "Nightdesk_nobody_made__c"
        outcomes = kit.write({record: {unknown: "x"}})
        kit.refused(outcomes[record], "schema", "no_right")

    def test_a_record_that_moved_on_is_stale(self, kit: Kit) -> None:
        if not kit.has_versions:
            pytest.skip("this CRM has no conditional writes")
        moved, still = kit.create(2)
        seen = {i: record.version for i, record in kit.read([moved, still]).found.items()}
        assert all(seen.values())
        kit.edit(moved, kit.other_text, "a person was faster")
        outcomes = kit.write({moved: {kit.text: "late"}, still: {kit.text: "in time"}}, **seen)
        kit.refused(outcomes[moved], "stale")
        assert outcomes[still].state == "acknowledged"
        assert kit.holds(moved, "text", kit.text) is None and kit.holds(still, "text", kit.text) == "in time"
        again = kit.read([moved]).found[moved].version
        assert kit.write({moved: {kit.text: "decided again"}}, **{moved: again})[moved].state == "acknowledged"

    # lost answers -----------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("done", [True, False])
    def test_a_lost_answer_is_unknown_and_sent_once(self, kit: Kit, done: bool) -> None:
        if kit.lost is None:
            pytest.skip("this kit cannot lose answers")
        (record,) = kit.create(1)
        before = kit.writes()
        with kit.lost(done):
            outcome = kit.write({record: {kit.text: "x"}})[record]
        assert outcome.state == "unknown"
        assert kit.writes() == before + 1, "whoever does not know looks first"
        assert kit.holds(record, "text", kit.text) == ("x" if done else None)

    # people -----------------------------------------------------------------------------------------------------------

    def test_history_tells_a_person_from_us(self, kit: Kit) -> None:
        if not kit.has_history:
            pytest.skip("this CRM does not say who changed a property")
        theirs, ours = kit.create(2)
        kit.acknowledged({theirs: {kit.text: "ours"}, ours: {kit.text: "ours"}})
        kit.edit(theirs, kit.text, "a person's")
        kit.edit(ours, kit.other_text, "a person's, elsewhere")
        found = kit.read([theirs, ours], kit.text, history=True).found
        newest = {i: found[i].history[kit.text][0] for i in (theirs, ours)}
        assert (newest[theirs].value, newest[theirs].by_person) == ("a person's", True)
        assert (newest[ours].value, newest[ours].by_person) == ("ours", False)
        assert newest[theirs].source and newest[theirs].changed_at

    def test_a_merged_record_is_found_under_the_id_asked_for(self, kit: Kit) -> None:
        if kit.merge is None:
            pytest.skip("this CRM does not merge records")
        loser, survivor = kit.create(2)
        kit.acknowledged({survivor: {kit.text: "survives"}})
        kit.merge(loser, survivor)
        found = kit.read([loser, survivor]).found
        assert {asked: record.id for asked, record in found.items()} == {loser: survivor, survivor: survivor}
        assert found[loser].values[kit.text] == "survives"

    # records that we create -------------------------------------------------------------------------------------------

    def test_a_record_of_ours_is_made_once_however_often_it_is_sent(self, kit: Kit) -> None:
        if kit.keyed is None:
            assert not kit.adapter.keyed_types
            pytest.skip("nothing is created in this CRM")
        object_type, values = kit.keyed
        assert object_type in kit.adapter.keyed_types
        (parent,) = kit.create(1)
        wanted = {name: value or parent for name, value in values.items()}
        names = [RECORD, *wanted]
        empty = kit.adapter.read(object_type, [_KEY], names)
        assert set(empty.found[_KEY].values.values()) == {None}
        for trace in ("t1", "t2"):
            sent = RecordWrite(_KEY, trace, {RECORD: PRESENT, **wanted})
            assert kit.adapter.write(object_type, [sent])[trace].state == "acknowledged"
        record = kit.adapter.read(object_type, [_KEY], names).found[_KEY]
        assert record.values[RECORD] == PRESENT
        for name, value in wanted.items():
            assert value in (record.values[name], lenient("datetime", record.values[name])), name
        assert kit.adapter.write(object_type, [RecordWrite(_KEY, "t3", {RECORD: ""})])["t3"].state == ("acknowledged")
        after = kit.adapter.read(object_type, [_KEY], names)
        assert _KEY in after.missing or after.found[_KEY].values[RECORD] is None


__all__ = ["TEXTS", "AdapterContract", "Kit", "examples"]
