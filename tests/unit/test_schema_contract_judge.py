"""What a changed field, type or picklist value means, decided once for every CRM: one line each, or a stop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nightdesk.errors import NightdeskError
from sources.kit.contract import Field, Judgement, compare, judge, named_in, options_of, options_text

EMAIL = Field("Contact", "Email", "Email", "email", is_loaded=True)
STAMP = Field("Contact", "SystemModstamp", "System Modstamp", "datetime", is_loaded=True)
OPT_OUT = Field("Contact", "HasOptedOutOfEmail", "Email Opt Out", "boolean", is_loaded=True)
TITLE = Field("Contact", "Title", "Title", "string", is_loaded=True)
STATUS = Field(
    "Contact", "Status__c", "Status", "picklist", (("Open", "Open"), ("Nurture", "Nurture"), ("No", "Objected")), True
)
FIELDS = (EMAIL, STAMP, OPT_OUT, TITLE, STATUS)
COLUMNS = tuple(field.place for field in FIELDS)
REQUIRED = {
    "Contact.Email": "it tells who a contact is",
    "Contact.HasOptedOutOfEmail": "everybody who opted out would look as if they had not",
}


def judged(*now: Field, before: tuple[Field, ...] = FIELDS, **more: object) -> Judgement:
    return judge(before, now, columns=COLUMNS, required=REQUIRED, namespace="Nightdesk_", **more)  # type: ignore[arg-type]


def without(*gone: Field) -> tuple[Field, ...]:
    return tuple(field for field in FIELDS if field not in gone)


def test_nothing_changed_says_nothing() -> None:
    found = judged(*FIELDS)
    assert found == Judgement((), frozenset(COLUMNS), frozenset(), frozenset(), FIELDS)
    assert compare(FIELDS, FIELDS, columns=COLUMNS) == []


def test_a_new_field_is_said_and_not_loaded_and_one_of_ours_is_not_said() -> None:
    shoe = Field("Contact", "Shoe_Size__c", "Shoe size", "double")
    ours = Field("Contact", "Nightdesk_Lead_Score__c", "Lead score", "double")
    found = judged(*FIELDS, shoe, ours)
    assert found.lines == (
        "Contact.Shoe_Size__c: new property of type double in the CRM; not loaded (docs/schema-contract.md)",
    )
    assert found.present == frozenset(COLUMNS)
    assert {field.name: field.is_loaded for field in found.remembered}["Nightdesk_Lead_Score__c"]
    assert judged(*FIELDS, shoe, before=found.remembered).lines == ()  # once


def test_many_new_fields_are_not_a_flood() -> None:
    found = judged(*FIELDS, *(Field("Contact", f"F{number}__c", "F", "string") for number in range(200)))
    assert len(found.lines) == 21
    assert found.lines[-1].startswith("Contact: 180 more new properties in the CRM; not loaded")


def test_a_changed_type_stops_and_names_both_unless_it_was_accepted() -> None:
    now = (*without(TITLE), replace(TITLE, type="picklist"))
    with pytest.raises(NightdeskError, match="`Title` of Contact changed its type from string to picklist") as caught:
        judged(*now)
    assert caught.value.where == "Contact.Title" and "accept_type_changes" in caught.value.todo
    assert judged(*now, accepted=["Contact.Title"]).lines == ()
    not_loaded = Field("Contact", "Other__c", "Other", "string")
    assert judged(*FIELDS, replace(not_loaded, type="double"), before=(*FIELDS, not_loaded)).lines == ()


def test_a_column_that_cannot_hold_its_field_stops_even_the_first_load() -> None:
    fitting = {"Contact.HasOptedOutOfEmail": frozenset({"boolean"})}
    for before in ((), FIELDS):
        with pytest.raises(NightdeskError, match="changed its type from boolean to picklist"):
            judged(*without(OPT_OUT), replace(OPT_OUT, type="picklist"), before=before, fitting=fitting)


def test_a_vanished_field_keeps_its_values_and_is_filled_anew_when_it_comes_back() -> None:
    gone = judged(*without(TITLE))
    assert gone.lines == (
        "Contact.Title: property no longer exists in the CRM; the values loaded last stay (docs/schema-contract.md)",
    )
    assert gone.kept == {"Contact.Title"} and "Contact.Title" not in gone.present
    assert [field.name for field in gone.remembered if field.is_gone] == ["Title"]
    still = judged(*without(TITLE), before=gone.remembered)
    assert still.lines == () and still.kept == {"Contact.Title"}
    back = judged(*FIELDS, before=still.remembered)
    assert back.lines == ("Contact.Title: property is there again and fills its column; its object type is read anew",)
    assert back.refill == {"Contact"} and not back.kept
    with pytest.raises(NightdeskError, match="from string to double"):  # another one of the same name
        judged(*without(TITLE), replace(TITLE, type="double"), before=still.remembered)


def test_an_archived_field_is_a_vanished_one() -> None:
    found = judged(*without(TITLE), replace(TITLE, is_archived=True))
    assert found.lines == (
        "Contact.Title: property was archived in the CRM; the values loaded last stay (docs/schema-contract.md)",
    )
    assert found.kept == {"Contact.Title"}


def test_a_vanished_field_and_a_new_one_alike_may_be_a_renamed_one() -> None:
    renamed = Field("Contact", "Job_Title__c", "title", "string")
    found = judged(*without(TITLE), renamed)
    assert found.lines == (
        "Contact.Title: property no longer exists in the CRM and may have been renamed to `Job_Title__c` (same label "
        "and type, not loaded); the values loaded last stay (docs/schema-contract.md)",
    )
    assert len(judged(*without(TITLE), replace(renamed, type="double")).lines) == 2


@pytest.mark.parametrize("before", [FIELDS, ()])
def test_an_opt_out_flag_that_cannot_be_seen_stops_every_load(before: tuple[Field, ...]) -> None:
    with pytest.raises(NightdeskError, match="would look as if they had not") as caught:
        judged(*without(OPT_OUT), before=before)
    assert caught.value.where == "Contact.HasOptedOutOfEmail"
    assert "accept_missing" in caught.value.todo and "right to read" in caught.value.todo
    with pytest.raises(NightdeskError):
        judged(*without(OPT_OUT), replace(OPT_OUT, is_archived=True), before=before)


def test_a_renamed_opt_out_flag_stops_and_says_where_it_may_have_gone() -> None:
    renamed = Field("Contact", "Opted_Out__c", "Email Opt Out", "boolean")
    with pytest.raises(NightdeskError) as caught:
        judged(*without(OPT_OUT), renamed)
    assert "may have been renamed to `Opted_Out__c`" in caught.value.todo


def test_who_does_without_a_required_field_keeps_what_was_loaded_of_it() -> None:
    found = judged(*without(OPT_OUT), accept_missing=["Contact.HasOptedOutOfEmail"])
    assert found.kept == {"Contact.HasOptedOutOfEmail"} and len(found.lines) == 1
    first = judged(*without(OPT_OUT), before=(), accept_missing=["Contact.HasOptedOutOfEmail"])
    assert first.lines == ("Contact.HasOptedOutOfEmail: not in the CRM; the column stays empty",)


def test_a_column_that_a_release_adds_is_filled_by_reading_anew() -> None:
    before = (*without(TITLE), replace(TITLE, is_loaded=False))
    found = judged(*FIELDS, before=before)
    assert found.lines == ("Contact.Title: property is there and fills its column; its object type is read anew",)
    assert found.refill == {"Contact"}
    assert judged(*FIELDS, before=()).refill == frozenset()  # a first load reads everything as it is


def test_a_label_alone_is_quiet() -> None:
    assert judged(*without(TITLE), replace(TITLE, label="Position")).lines == ()


def values(*options: tuple[str, str], named: tuple[str, ...] = ()) -> tuple[str, ...]:
    def uses(value: str) -> tuple[str, ...]:
        return ("policies/suppression.yml",) if value in named else ()

    return judged(*without(STATUS), replace(STATUS, options=options), uses=uses).lines


def test_each_change_of_a_picklist_is_one_line() -> None:
    was = STATUS.options
    place = "Contact.Status__c"
    assert values(*was, ("Paused", "Paused")) == (f"{place}: new value `Paused` (Paused)",)
    assert values(*was[:2]) == (f"{place}: value `No` (Objected) is gone from the CRM's list",)
    assert values(*was[:2], ("Never", "Objected")) == (f"{place}: value `No` may now be `Never` (same label)",)
    assert values(was[0], ("Nursing", "Nursing"), was[2]) == (
        f"{place}: value `Nurture` may now be `Nursing` (same place in the list)",
    )
    assert values(*was[:2], ("No", "Refused")) == (f"{place}: value `No` is now shown as 'Refused', was 'Objected'",)
    assert values(*reversed(was)) == ()
    assert judged(*FIELDS, before=(*without(STATUS), replace(STATUS, options=()))).lines == ()  # not remembered before


def test_a_vanished_value_that_a_policy_names_is_louder() -> None:
    was = STATUS.options
    said = "and policies/suppression.yml still names `No`: correct the file or the CRM"
    assert values(*was[:2], named=("No",)) == (
        f"ATTENTION: Contact.Status__c: value `No` (Objected) is gone from the CRM's list, {said}",
    )
    assert values(*was[:2], ("Never", "Objected"), named=("No",)) == (
        f"ATTENTION: Contact.Status__c: value `No` may now be `Never` (same label), {said}",
    )
    assert values(*was, ("Paused", "On hold"), named=("Paused",)) == (
        "Contact.Status__c: new value `Paused` (On hold); named in policies/suppression.yml",
    )


def test_policies_are_searched_for_whole_values_in_any_case(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    (folder / "rules_agent").mkdir(parents=True)
    (folder / "a.yml").write_text("sources: [{values: [OBJECTED, on hold]}]\nmap: {Customer: customer}\n")
    (folder / "broken.yml").write_text("a: [")
    (folder / "rules_agent" / "words.yml").write_text("words: [objected]\n")
    uses = named_in(folder)
    assert uses("Objected") == ("policies/a.yml",) and uses("customer") == ("policies/a.yml",)
    assert uses("hold") == () and named_in(None)("OBJECTED") == ()


def test_the_projects_own_policy_names_the_lead_status_that_suppresses() -> None:
    uses = named_in(Path(__file__).parents[2] / "policies")
    assert "policies/suppression.yml" in uses("OBJECTED_TO_PROFILING")


def test_options_survive_the_table_they_are_kept_in() -> None:
    assert options_of(options_text(STATUS.options)) == STATUS.options
    assert options_text(()) == "" and options_of(None) == options_of("") == ()
