-- Both borders: what was expected of the raw tables and of each plan, and what became of it. Counts, shares, ids and
-- short values of closed lists; an erasure empties what names a person.

create table border_checks (               -- one row per expectation and time it was looked at
    check_id varchar primary key,
    run_id varchar,                        -- null when it was checked outside of a run
    border varchar not null check (border in ('raw', 'plan')),
    dataset varchar not null,              -- the source, or the CRM a plan is for
    plan_id varchar,                       -- null at the raw border
    suite varchar not null,                -- the file in tests/expectations
    table_name varchar not null,           -- the raw table; empty for a check over many
    expectation varchar not null,          -- such as expect_column_values_to_be_in_set(direction)
    meaning varchar not null,
    severity varchar not null check (severity in ('stop', 'warn')),
    success boolean not null,
    is_repeated boolean not null,          -- nothing had changed since it was judged last; that verdict holds again
    failures json not null,                -- ["table: column is value (ids)", ...], empty when it held
    checked_at timestamptz not null
);

create table border_measures (             -- numbers to compare the next load with; only of loads that passed
    dataset varchar not null,
    measure varchar not null,
    measured double not null,
    run_id varchar,
    measured_at timestamptz not null,
    sequence bigint not null,              -- the highest of a measure is the latest
    primary key (dataset, measure, sequence)
);

-- Whether a plan may pass. Held when it is stored, then passed or refused; the row with the highest sequence holds. A plan
-- without a row was not made by a night or by `nightdesk plan`.
create table border_verdicts (
    sequence bigint primary key,
    plan_id varchar not null,
    digest varchar not null,               -- the plan's, as it was judged
    verdict varchar not null check (verdict in ('held', 'passed', 'refused')),
    failed json not null,                  -- what a refused plan broke, in words
    run_id varchar,
    recorded_at timestamptz not null
);
