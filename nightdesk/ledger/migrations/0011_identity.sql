-- Who is who: what was suggested, with which weights, and what people said to it. Record ids and numbers only; names and
-- addresses stay in the warehouse. Links by rule are not here: dbt works them out of the records every time.

create table identity_runs (               -- one row per time that pairs were weighed; a night with the same inputs adds none
    identity_run_id varchar primary key,
    run_id varchar,                        -- the night it belongs to; null for a run by hand
    inputs_hash varchar not null,          -- over every record, link by rule and decision that was looked at
    model_hash varchar not null,           -- over fields, outcomes, weights and thresholds
    records bigint not null,
    pairs bigint not null,                 -- pairs that were weighed
    suggested bigint not null,             -- pairs at or above the threshold for suggestions
    cautioned bigint not null,             -- pairs below it, at or above the one for opt-outs
    ran_at timestamptz not null
);

create table identity_links (              -- append-only: the newest row of a link is the one that holds
    link_id varchar not null,              -- of the two records: the same pair has the same id for good
    identity_run_id varchar not null,
    object_type varchar not null check (object_type in ('contacts', 'companies')),
    kind varchar not null check (kind in ('same_person', 'same_account', 'related_account')),
    left_record_id varchar not null,       -- the smaller id of the two
    right_record_id varchar not null,
    match_probability double not null,
    match_weight double not null,          -- sum of the weights and the prior, in bits
    weights json not null,                 -- [{"field", "outcome", "says", "weight"}], the prior first
    inputs_hash varchar not null,          -- of the two records
    model_hash varchar not null,
    is_withdrawn boolean not null,         -- the pair no longer reaches any threshold
    suggested_at timestamptz not null,
    primary key (link_id, identity_run_id),
    check (left_record_id < right_record_id)
);

create table identity_reviews (            -- append-only: the newest row of a link is the decision that holds
    review_id varchar primary key,
    link_id varchar not null,
    object_type varchar not null check (object_type in ('contacts', 'companies')),
    kind varchar not null check (kind in ('same_person', 'same_account', 'related_account')),
    left_record_id varchar not null,
    right_record_id varchar not null,
    decision varchar not null check (decision in ('confirmed', 'rejected')),
    reason varchar,                        -- null where none was given, or once it spoke of a person who was erased
    reviewed_by varchar not null,
    inputs_hash varchar not null,          -- of the two records as they were looked at
    sequence bigint not null,              -- decisions are in this order
    reviewed_at timestamptz not null
);
