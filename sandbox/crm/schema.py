"""The one place that says which tables the sandbox CRM's SQLite file has."""

from __future__ import annotations

SCHEMA_VERSION = 1

# Times are epoch milliseconds UTC. Object ids are integers here and numeric strings on the wire.
DDL = """
create table meta (key text primary key, value text not null) without rowid;

create table objects (
    object_type text not null,
    id integer not null,
    created_at integer not null,
    updated_at integer not null,
    archived_at integer,                -- null while the record is live
    merged_into integer,                -- id of the survivor once the record was merged away
    properties text not null            -- JSON object, values are strings; last, so that scans skip the long texts
);
create unique index objects_by_id on objects (object_type, id);
create index objects_by_update on objects (object_type, updated_at, id, archived_at);
create table counters (object_type text primary key, next_id integer not null) without rowid;

-- Every value of a property that is unique per record (contacts' email, custom unique properties), live records only.
create table unique_values (
    object_type text not null, property text not null, value text not null, id integer not null,
    primary key (object_type, property, value)
) without rowid;

create table history (
    seq integer primary key,
    object_type text not null,
    object_id integer not null,
    property text not null,
    value text not null,
    changed_at integer not null,
    source_type text not null,
    source_id text not null,
    user_id text not null
);
create index history_by_object on history (object_type, object_id, property);

-- Both directions of every association are rows.
create table associations (
    from_type text not null, from_id integer not null, to_type text not null, to_id integer not null,
    category text not null, type_id integer not null,
    primary key (from_type, from_id, to_type, to_id, category, type_id)
) without rowid;
create table association_types (
    from_type text not null, to_type text not null, category text not null, type_id integer not null,
    name text not null, label text, inverse_id integer not null,
    primary key (from_type, to_type, category, type_id)
) without rowid;

create table properties (
    object_type text not null, name text not null, definition text not null, archived integer not null default 0,
    primary key (object_type, name)
) without rowid;
create table property_groups (
    object_type text not null, name text not null, label text not null, display_order integer not null,
    archived integer not null default 0,
    primary key (object_type, name)
) without rowid;
create table pipelines (
    object_type text not null, id text not null, definition text not null,
    primary key (object_type, id)
) without rowid;
create table owners (id integer primary key, definition text not null, archived integer not null default 0);
create table unsubscribes (email text primary key, changed_at integer not null, source text not null) without rowid;

-- What the search index still shows of a record changed less than the index lag ago (null properties: not there yet).
create table search_stale (
    seq integer primary key,
    object_type text not null, id integer not null, written_at integer not null,
    properties text, created_at integer, updated_at integer, archived_at integer
);
create index search_stale_by_object on search_stale (object_type, written_at, id);

-- What was really written, for tests and reviewers. One row per property changed; `action` says what a row is about.
create table journal (
    seq integer primary key,
    received_at integer not null,
    method text not null,
    path text not null,
    action text not null,   -- set | create | archive | merge | erase | associate | dissociate | define
    object_type text not null,
    object_id text not null,
    property text not null,             -- '' on rows about the record itself
    before text,
    after text,
    source text not null,
    request_id text not null
);
create table requests (
    seq integer primary key,
    received_at integer not null,
    method text not null,
    path text not null,
    status integer not null,            -- 0 when the connection was dropped instead of answered
    request_id text not null,
    fault text not null default '',
    inputs integer not null default 0,  -- of a batch request, as the client sent it
    trace_ids text not null default ''  -- JSON list of its inputs' objectWriteTraceId
);
"""

# Columns that stores made by earlier releases do not have: (table, column, definition); added when a store is opened.
ADDED = (
    ("requests", "inputs", "integer not null default 0"),
    ("requests", "trace_ids", "text not null default ''"),
)
