-- Proof that a person was erased, without the person: keyed hashes only. Loads are held against them.
create table tombstones (
    erasure_id varchar not null,
    subject_kind varchar not null,         -- contact | email | document | thread | speaker | value
    subject_hash varchar not null,         -- HMAC-SHA256 of the canonical id, address or name under the ledger's erasure key
    requested_by varchar not null,
    reason varchar not null,
    erased_at timestamptz not null,
    primary key (subject_kind, subject_hash)
);
create table erasures (                    -- one row per erasure; while `finished_at` is null it has to be gone on with
    erasure_id varchar primary key,
    run_id varchar not null,               -- its steps are in `run_events`
    requested_by varchar not null,
    reason varchar not null,
    removed json not null,                 -- {"documents": n, "facts": n, ...}
    started_at timestamptz not null,
    finished_at timestamptz
);
-- The key lives with the hashes: without it no load could be held against them, and a backup of the ledger brings both.
-- It never leaves the ledger; hashes that do (an export, a mart) tell nothing without it.
create table erasure_key (erasure_key varchar not null, created_at timestamptz not null);
-- Plans of which operations were removed or emptied: nothing of them may be approved or applied any more.
create table redacted_plans (
    plan_id varchar not null,
    erasure_id varchar not null,
    redacted_at timestamptz not null,
    primary key (plan_id, erasure_id)
);
