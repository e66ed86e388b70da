-- What an operation was reminded of about a record when it was asked, and what was left out and why. One row per
-- candidate fact of a question; no primary key, rows are appended in bulk once per question.
create table recall_log (
    operation varchar not null,
    record_id varchar not null,
    context_hash varchar not null,         -- the question: with the operation it leads to the answer
    fact_id varchar not null,
    position integer,                      -- order among what was included; null when left out
    usefulness decimal(18, 9) not null,
    estimated_tokens integer not null,
    decision varchar not null,             -- included | over_quota | over_budget | superseded | not_trusted | not_relevant
    run_id varchar not null,
    logged_at timestamptz not null
);
