"""Which rows of a HubSpot load moved: links, namespaced values, merges and history have rules of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sources.hubspot.spool import NOTES
from sources.hubspot.tables import DATASET, OBJECTS, TABLES
from sources.kit import settle
from sources.kit.settle import same_key, select_columns
from sources.kit.tables import REMOVED, Table

_WHOLE = ("owners", "pipelines", "pipeline_stages", "property_definitions")  # read whole each time


class Settlement(settle.Settlement):
    """The rows of one load that are new, different or gone.

    Args:
        spool_folder: A finished spool.
        raw_path: The raw database, opened read-only; close before dlt writes.
    """

    def __init__(self, spool_folder: Path, raw_path: Path) -> None:
        super().__init__(spool_folder, raw_path, DATASET, TABLES)
        self._notes()
        self._gone()
        self._associations()
        self._namespaced()
        for kind in OBJECTS:
            self._object(kind.name, kind.stamp)
        self._history()
        self._deletions()
        self.simple("merges")
        for name in _WHOLE:
            self.simple(name, gone="true")
        self.simple("load_watermarks")
        self._unsubscribes()

    def quiet(self, counts: Mapping[str, int]) -> bool:
        """Whether nothing moved and every stream is known already: then only the watermarks' times need noting."""
        if any(count for name, count in counts.items() if name != "load_watermarks"):
            return False
        return not self.count(
            f"""
            select count(*) from typed_load_watermarks as new
            left join raw.{DATASET}.load_watermarks as old using (stream)
            where old.stream is null
                or old._dlt_load_id not in (select load_id from raw.{DATASET}._dlt_loads where status = 0)
            """
        )

    # -- building blocks -----------------------------------------------------------------------------------------------

    def _notes(self) -> None:
        for name, columns in NOTES.items():
            self.sql.execute(f"create table note{name} as select distinct {', '.join(columns)} from {self.files(name)}")

    def _gone(self) -> None:
        """Records that must leave every table (`merged` away, or vanished from a full list), and those archived now."""
        object_ids = " union all ".join(
            f"select '{kind.name}' as object_type, id, archived from raw.{DATASET}.{kind.name}" for kind in OBJECTS
        )
        seen = " union all ".join(
            f"select '{kind.name}' as object_type, id as object_id from spool_{kind.name} where archived = 'false'"
            for kind in OBJECTS
        )
        self.sql.execute(
            f"""
            create table alive as {seen};

            create table merged as
            select object_type, merged_id, surviving_id from typed_merges
            union all
            select object_type, merged_id, surviving_id from raw.{DATASET}.merges
            where (object_type, merged_id) not in (select (object_type, merged_id) from typed_merges);

            create table gone as
            select object_type, merged_id as object_id from merged
            union
            select known.object_type, known.id
            from ({object_ids}) as known
            inner join note_full using (object_type)
            left join note_listed as listed
                on listed.object_type = known.object_type and listed.object_id = known.id
            left join typed_deletions as deleted
                on deleted.object_type = known.object_type and deleted.object_id = known.id
            where not coalesce(known.archived, false) and listed.object_id is null and deleted.object_id is null;

            create table unlinked as  -- nothing may point from or to these
            select object_type, object_id from gone
            union
            select object_type, object_id from typed_deletions
            where (object_type, object_id) not in (select (object_type, object_id) from alive)
            union
            select object_type, object_id from raw.{DATASET}.deletions
            where (object_type, object_id) not in (select (object_type, object_id) from alive);
            """
        )

    def _associations(self) -> None:
        table = TABLES["associations"]
        on = same_key(table, "old", "new")
        old_gone = _gone_sql("old.from_object_type", "old.from_id", "unlinked")
        old_gone_to = _gone_sql("old.to_object_type", "old.to_id", "unlinked")
        self.sql.execute(
            f"""
            create table wanted_associations as
            select * from typed_associations as new
            where not {_gone_sql("new.from_object_type", "new.from_id", "unlinked")}
                and not {_gone_sql("new.to_object_type", "new.to_id", "unlinked")}
            union
            -- a record merged away hands its links to the survivor; records read anew in this load know that themselves
            select
                old.from_object_type, old.from_id, old.to_object_type, merged.surviving_id, old.association_type_id,
                old.category, old.label
            from raw.{DATASET}.associations as old
            inner join merged on merged.object_type = old.to_object_type and merged.merged_id = old.to_id
            where not {old_gone}
                and not {_gone_sql("old.from_object_type", "old.from_id", "note_refreshed")}
                and not {_gone_sql("old.to_object_type", "merged.surviving_id", "unlinked")};

            create table moved_associations as
            select new.*, null::boolean as {REMOVED}
            from wanted_associations as new
            left join raw.{DATASET}.associations as old on {on}
            where old.from_id is null
                or old.category is distinct from new.category
                or old.label is distinct from new.label
            union all
            select {select_columns(table, "old")}, true
            from raw.{DATASET}.associations as old
            left join wanted_associations as new on {on}
            where new.from_id is null
                and (
                    {_gone_sql("old.from_object_type", "old.from_id", "note_refreshed")} or {old_gone} or {old_gone_to}
                );
            """
        )

    def _namespaced(self) -> None:
        """Values under our prefix: new, different, cleared (`''`), and those whose property was deleted in the CRM."""
        table = TABLES["namespaced_values"]
        self.sql.execute(
            f"""
            create table moved_namespaced_values as
            select new.*, null::boolean as {REMOVED}
            from typed_namespaced_values as new
            left join raw.{DATASET}.namespaced_values as old on {same_key(table, "old", "new")}
            where not {_gone_sql("new.object_type", "new.object_id", "gone")}
                and (old.value is distinct from new.value and (old.object_id is not null or new.value <> ''))
            union all
            select old.object_type, old.object_id, old.property, '', old.updated_at, null
            from raw.{DATASET}.namespaced_values as old
            where old.value <> ''
                and (old.object_type, old.property) not in (select (object_type, name) from typed_property_definitions)
                and not {_gone_sql("old.object_type", "old.object_id", "gone")}
            union all
            {self._removed(table)};
            """
        )

    def _object(self, name: str, stamp: str) -> None:
        """Records that are new or differ; a record whose last change was a namespaced value of ours has not moved."""
        table = TABLES[name]
        stamps = {"updated_at", stamp}
        values = " or ".join(
            f'old."{column}" is distinct from new."{column}"' for column in table.names if column not in stamps | {"id"}
        )
        times = " or ".join(f'old."{column}" is distinct from new."{column}"' for column in sorted(stamps))
        kept = self._kept(name)
        self.sql.execute(
            f"""
            create table written_{name} as
            select object_id as id, max(updated_at) as written_at
            from (
                select object_id, updated_at from moved_namespaced_values
                where object_type = '{name}' and {REMOVED} is null
                union all
                select object_id, updated_at from raw.{DATASET}.namespaced_values where object_type = '{name}'
            )
            group by object_id;

            create view moved_{name} as
            select new.*, null::boolean as {REMOVED}
            from {kept} as new
            left join raw.{DATASET}.{name} as old using (id)
            left join written_{name} as written using (id)
            where not {_gone_sql(f"'{name}'", "new.id", "gone")}
                and (
                    old.id is null
                    or {values}
                    or (({times}) and new.updated_at is distinct from written.written_at)
                )
            union all
            select {select_columns(table, "old")}, true
            from raw.{DATASET}.{name} as old
            where {_gone_sql(f"'{name}'", "old.id", "gone")};
            """
        )

    def _kept(self, name: str) -> str:
        """The records as read, with the loaded values of columns whose property the CRM no longer has."""
        rows = self.sql.execute(
            f"select name from typed_property_definitions where object_type = '{name}' and state = 'gone' order by name"
        ).fetchall()
        if not rows:
            return f"typed_{name}"
        values = ", ".join(f'loaded."{column}" as "{column}"' for (column,) in rows)
        return (
            f"(select read.* replace ({values}) from typed_{name} as read "
            f"left join raw.{DATASET}.{name} as loaded using (id))"
        )

    def _history(self) -> None:
        """Versions not known yet. Known ones stay even when the CRM no longer shows them (it keeps only the latest)."""
        table = TABLES["property_history"]
        self.sql.execute(
            f"""
            create table moved_property_history as
            select new.*, null::boolean as {REMOVED}
            from typed_property_history as new
            left join raw.{DATASET}.property_history as old on {same_key(table, "old", "new")}
            where old.object_id is null and not {_gone_sql("new.object_type", "new.object_id", "gone")}
            union all
            {self._removed(table)};
            """
        )

    def _removed(self, table: Table) -> str:
        return f"""
            select {select_columns(table, "old")}, true
            from raw.{DATASET}.{table.name} as old
            where {_gone_sql("old.object_type", "old.object_id", "gone")}
        """

    def _deletions(self) -> None:
        """Archived records; one that is back among the living loses its row."""
        self.simple("deletions", "(object_type, object_id) not in (select (object_type, object_id) from alive)")
        self.sql.execute(
            f"""
            create or replace view moved_deletions as
            select * from plain_deletions
            union all
            select {select_columns(TABLES["deletions"], "old")}, true
            from raw.{DATASET}.deletions as old
            where {_gone_sql("old.object_type", "old.object_id", "alive")};
            """
        )

    def _unsubscribes(self) -> None:
        """Addresses unsubscribed from everything; one that no longer is gets `is_unsubscribed = false`."""
        self.simple("unsubscribes")
        self.sql.execute(
            f"""
            create or replace view moved_unsubscribes as
            select * from plain_unsubscribes
            union all
            select old.email, old.changed_at, old.source, false, null
            from raw.{DATASET}.unsubscribes as old
            inner join note_asked using (email)
            left join typed_unsubscribes as new on new.email = old.email
            where old.is_unsubscribed and new.email is null;
            """
        )


def _gone_sql(object_type: str, object_id: str, among: str) -> str:
    return (
        f"exists (select 1 from {among} where {among}.object_type = {object_type} and {among}.object_id = {object_id})"
    )
