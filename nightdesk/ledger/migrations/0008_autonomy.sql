-- Autonomy levels: what each operation, or one property of it, has earned or lost. The level in force is the smaller of
-- this and the ceiling in policies/autonomy.yml; an operation without a row here stands at 2, or lower if its ceiling is.

create table autonomy_changes (            -- append-only; every row has its event in the audit trail, or nothing is planned
    change_id varchar primary key,
    operation varchar not null,
    property varchar,                      -- null: the operation as a whole
    from_level integer not null check (from_level between 1 and 5),
    to_level integer not null check (to_level between 1 and 5),
    kind varchar not null check (kind in ('promoted', 'demoted', 'auto_demoted')),
    changed_by varchar not null,
    role varchar,                          -- null where no person was needed (auto_demoted)
    reason varchar,                        -- null once it spoke of a person who was erased
    proposal_id varchar,                   -- the proposal that was taken
    apply_run_id varchar,                  -- the apply whose end demoted
    evidence json not null,
    policy_hash varchar not null,
    changed_at timestamptz not null
);

create table autonomy_reviews (            -- one row per proposal of a review; what is proposed changes nothing by itself
    proposal_id varchar primary key,
    review_id varchar not null,
    operation varchar not null,
    property varchar,                      -- null: the operation as a whole
    level integer not null,                -- in force when it was reviewed
    ceiling integer not null,              -- the highest it may ever have: policy and the caps in code
    proposal varchar not null check (proposal in ('promote', 'hold', 'demote')),
    to_level integer not null,
    reasons json not null,                 -- what speaks for it, or what is lacking, in words
    evidence json not null,
    proposed_by varchar not null,
    policy_hash varchar not null,
    reviewed_at timestamptz not null
);

-- The highest level of each mapped property, worked out from policies/autonomy.yml and the caps in code.
create table policy_autonomy_properties (policy_hash varchar not null, operation varchar not null, property varchar not null, ceiling integer not null, primary key (policy_hash, operation, property));
