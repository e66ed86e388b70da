-- What an operation was reminded of about a record when it was asked, and what was left out and why. One row per fact
-- that was weighed (included, over_quota, over_budget), and one row per reason for those that were not, with their
-- number. No primary key: rows are appended in bulk, once per question.
create table recall_log (
    operation varchar not null,
    record_id varchar not null,
    context_hash varchar not null,         -- the question: with the operation it leads to the answer
    decision varchar not null check (decision in ('included', 'over_quota', 'over_budget', 'superseded', 'not_trusted', 'not_relevant')),
    fact_id varchar not null,              -- * in rows that only count
    position integer,                      -- order among what was included; null when left out
    usefulness decimal(18, 9),             -- relevance x trust x recency; null in rows that only count
    estimated_tokens bigint not null,      -- what the line takes or would take; the sum in rows that only count
    fact_count bigint not null,            -- 1, or how many facts the row counts
    run_id varchar not null,
    logged_at timestamptz not null
);
-- How an operation remembers: whose facts, whether strangers' words are shown, how fast a remark fades, how much fits.
create table policy_recall_operations (
    policy_hash varchar not null, operation varchar not null, record_type varchar not null, facts_of varchar not null, shows_strangers boolean not null,
    half_life_days integer not null, token_budget integer not null,
    primary key (policy_hash, operation)
);
-- Whom a predicate is about: the person who speaks, or the firm. Null in policies loaded before it was a setting.
alter table policy_predicates add column subject varchar;
