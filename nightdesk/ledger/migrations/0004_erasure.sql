-- Proof that a person was erased, without the person: keyed hashes only. Loads are held against them.
create table tombstones (
    erasure_id varchar not null,
    subject_kind varchar not null,         -- contact | email | document
    subject_hash varchar not null,         -- HMAC-SHA256 of the canonical id or address under the ledger's erasure key
    requested_by varchar not null,
    reason varchar not null,
    erased_at timestamptz not null,
    primary key (subject_kind, subject_hash)
);
create table erasures (
    erasure_id varchar primary key,
    run_id varchar not null,
    requested_by varchar not null,
    reason varchar not null,
    removed json not null,                 -- {"documents": n, "facts": n, ...}
    started_at timestamptz not null,
    finished_at timestamptz
);
create table erasure_key (erasure_key varchar not null, created_at timestamptz not null);
