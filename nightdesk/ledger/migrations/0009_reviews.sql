-- How people decide: from where a verdict came, what they remark, and what they answered inside the CRM.

-- terminal | file | crm; null in verdicts given before this was asked
alter table approvals add column via varchar;

-- A person's remark on an operation or on a verdict, shown beside it. It never changes what is written.
create table review_notes (
    note_id varchar primary key,
    plan_id varchar not null,
    op_id varchar,                         -- the operation it is on; null when it is on a verdict
    approval_id varchar,                   -- the verdict it is on; null when it is on an operation
    body varchar,                          -- null once a person it named was erased
    author varchar not null,
    noted_at timestamptz not null
);

-- One row per answer that a person gave to a question of ours inside the CRM, with what became of it.
create table review_answers (
    review_plan_id varchar not null,       -- the plan that wrote the question
    op_id varchar not null,                -- its operation: one question on one record
    plan_id varchar not null,              -- the plan asked about
    crm varchar not null,
    object_type varchar not null,
    record_id varchar not null,
    answer varchar,                        -- approve | reject; null when there was none to count
    crm_user varchar,                      -- who set it, as the CRM names them
    answered_at timestamptz,               -- by the CRM's clock
    outcome varchar not null check (outcome in ('approved', 'rejected', 'not_a_person', 'unknown_user', 'wrong_role', 'request_changed', 'plan_gone', 'expired', 'brake_on', 'unanswered')),
    approval_id varchar,                   -- the verdict it became
    message varchar,
    recorded_at timestamptz not null,
    primary key (review_plan_id, op_id, recorded_at)
);
