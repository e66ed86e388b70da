-- The ledger: what was asked, answered, decided and written. Append-only; the one file to back up.
-- Times are UTC. Money is decimal. Every row that a policy influenced carries that policy's hash.

-- runs -----------------------------------------------------------------------------------------------------------

create table runs (
    run_id varchar primary key,
    command varchar not null,              -- refresh | load | enrich | plan | apply | rollback | crm_setup
    parent_run_id varchar,
    as_of date not null,
    agent varchar,
    policy_hash varchar,
    started_at timestamptz not null
);

create table run_events (
    run_id varchar not null,
    sequence bigint not null,
    step varchar not null,
    event varchar not null check (event in ('started', 'finished', 'failed')),
    occurred_at timestamptz not null,
    numbers json,                          -- {"name": number}
    message varchar,
    primary key (run_id, sequence)
);

-- policy as tables: dbt reads the rows of the newest load ------------------------------------------------------------

create table policy_loads (
    policy_hash varchar not null,
    loaded_at timestamptz not null,
    files json not null,                   -- {"scoring.yml": "<sha256>"}
    primary key (policy_hash, loaded_at)
);
create table policy_settings (policy_hash varchar not null, policy varchar not null, setting varchar not null, setting_value varchar not null, primary key (policy_hash, policy, setting));
create table policy_lists (policy_hash varchar not null, list_name varchar not null, item varchar not null, parameter varchar, primary key (policy_hash, list_name, item));
create table policy_predicates (policy_hash varchar not null, predicate varchar not null, cardinality varchar not null, value_kind varchar not null, speaker varchar not null, about varchar not null, primary key (policy_hash, predicate));
create table policy_signals (policy_hash varchar not null, position integer not null, predicate varchar not null, fact_value varchar, strength varchar not null, points integer not null, primary key (policy_hash, position));
create table policy_weights (policy_hash varchar not null, operation varchar not null, component varchar not null, weight decimal(9, 4) not null, primary key (policy_hash, operation, component));
create table policy_levels (policy_hash varchar not null, operation varchar not null, component varchar not null, level varchar not null, share decimal(9, 4) not null, primary key (policy_hash, operation, component, level));
create table policy_tiers (policy_hash varchar not null, tier varchar not null, min_score integer not null, primary key (policy_hash, tier));
create table policy_gates (policy_hash varchar not null, operation varchar not null, gate varchar not null, position integer not null, reason varchar not null, primary key (policy_hash, operation, gate));
create table policy_recall (policy_hash varchar not null, operation varchar not null, predicate varchar not null, relevance decimal(9, 4) not null, quota integer not null, token_budget integer not null, primary key (policy_hash, operation, predicate));
create table policy_autonomy (policy_hash varchar not null, operation varchar not null, autonomy_level integer not null, primary key (policy_hash, operation));
create table policy_field_map (
    policy_hash varchar not null, crm varchar not null, object_type varchar not null, field varchar not null, property varchar not null,
    label varchar not null, value_type varchar not null, operation varchar not null, field_class varchar not null, risk varchar not null, min_change decimal(9, 4),
    primary key (policy_hash, crm, object_type, property)
);
create table policy_write_rules (policy_hash varchar not null, rule_id varchar not null, effect varchar not null, decision varchar, conditions json not null, reason varchar not null, primary key (policy_hash, rule_id));
create table policy_guards (policy_hash varchar not null, guard varchar not null, guard_limit decimal(18, 6) not null, about varchar not null, primary key (policy_hash, guard));

-- enrichment ---------------------------------------------------------------------------------------------------------

create table attempts (                    -- one row per model call (or per batch of rules-agent work on one record)
    attempt_id varchar primary key,
    run_id varchar not null,
    operation varchar not null,
    record_type varchar not null,
    record_id varchar not null,
    input_hash varchar not null,
    agent varchar not null,                -- rules | claude | recorded
    model varchar,
    status varchar not null check (status in ('ok', 'invalid', 'refused', 'truncated', 'provider_error')),
    stop_reason varchar,
    input_tokens bigint not null default 0,
    cache_read_tokens bigint not null default 0,
    cache_write_tokens bigint not null default 0,
    output_tokens bigint not null default 0,
    cost_usd decimal(18, 8) not null default 0,
    error varchar,
    response_ref varchar,                  -- spool segment and line that hold the raw response
    requested_at timestamptz not null,
    responded_at timestamptz
);

create table answers (                     -- one row per input that an agent has answered; never updated
    answer_id varchar primary key,
    operation varchar not null,
    record_type varchar not null,
    record_id varchar not null,
    input_hash varchar not null,           -- context + prompt + schema + policy + agent + model
    context_hash varchar not null,         -- the context alone, as the queue model computed it
    agent varchar not null,
    model varchar,
    operation_hash varchar not null,       -- prompt + schema + policy + agent + model
    policy_hash varchar not null,
    run_id varchar not null,
    attempt_id varchar not null,
    outcome varchar not null check (outcome in ('enriched', 'insufficient_data', 'rejected')),
    reason varchar,
    confidence decimal(6, 4),
    evidence_count integer not null,
    dropped_count integer not null,        -- sentences, facts or judgements that failed the evidence check
    answered_at timestamptz not null
);

create table judgements (                  -- closed choices of an answer, after the evidence check
    answer_id varchar not null,
    component varchar not null,
    level varchar not null,
    evidence_count integer not null,
    primary key (answer_id, component)
);

create table sentences (                   -- free text of an answer: only sentences that passed the evidence check
    answer_id varchar not null,
    section varchar not null,
    position integer not null,
    body varchar not null,
    primary key (answer_id, section, position)
);

create table facts (
    fact_id varchar not null,              -- sha256 of document, predicate, value, polarity, span (12 hex, prefixed f_)
    answer_id varchar not null,
    document_id varchar not null,
    predicate varchar not null,
    fact_value varchar not null,
    polarity varchar not null check (polarity in ('affirmed', 'negated')),
    fact_date date,                        -- the day the remark speaks of, if it names one
    author_side varchar not null check (author_side in ('theirs', 'ours', 'unknown')),
    author varchar,                        -- speaker name or email address as found
    span_start integer not null,           -- character offsets into the document's text as the queue shows it
    span_end integer not null,
    quote varchar not null,                -- copied by code from the span
    primary key (fact_id, answer_id)
);

create table evidence (                    -- every citation that an answer rests on
    answer_id varchar not null,
    item_kind varchar not null check (item_kind in ('judgement', 'sentence', 'fact')),
    item_key varchar not null,             -- component, or section/position, or fact_id
    position integer not null,
    evidence_kind varchar not null check (evidence_kind in ('fact', 'field', 'span')),
    evidence_id varchar not null,          -- fact_id, field name, or document_id#start-end
    quote varchar not null,                -- quote of the fact or span, or the field's value
    primary key (answer_id, item_kind, item_key, position)
);

create table rejections (                  -- what an agent said and nobody will see, with why
    attempt_id varchar not null,
    item_kind varchar not null,
    item_key varchar not null,
    position integer not null,
    body varchar not null,
    reason varchar not null,
    primary key (attempt_id, item_kind, item_key, position)
);

create table outcomes (                    -- one row per record of an operation's queue per run: the numbers that add up
    run_id varchar not null,
    operation varchar not null,
    record_type varchar not null,
    record_id varchar not null,
    outcome varchar not null check (outcome in ('enriched', 'unchanged', 'gated', 'insufficient_data', 'rejected', 'failed', 'over_budget')),
    reason varchar,
    answer_id varchar,
    recorded_at timestamptz not null,
    primary key (run_id, operation, record_id)
);

-- write-back ---------------------------------------------------------------------------------------------------------

create table schema_snapshots (snapshot_hash varchar not null, crm varchar not null, object_type varchar not null, properties json not null, taken_at timestamptz not null, primary key (snapshot_hash, object_type));

create table plans (
    plan_id varchar primary key,
    run_id varchar not null,
    crm varchar not null,
    kind varchar not null check (kind in ('sync', 'rollback')),
    rolls_back_run_id varchar,
    as_of date not null,
    digest varchar not null,               -- sha256 over every operation in canonical order, mapping, policy and schema
    policy_hash varchar not null,
    mapping_hash varchar not null,
    schema_hash varchar not null,
    operation_count bigint not null,
    guards json not null,                  -- [{"guard", "limit", "measured", "tripped"}]
    created_by varchar not null,
    created_at timestamptz not null,
    expires_at timestamptz not null
);

create table plan_ops (
    plan_id varchar not null,
    op_id varchar not null,                -- sha256 of plan-independent content: crm, object, record, property, before, desired
    crm varchar not null,
    object_type varchar not null,
    record_id varchar not null,            -- the CRM's own id
    record_label varchar,
    property varchar not null,
    value_type varchar not null,
    before_value varchar,                  -- canonical; null = never set, '' = empty in the CRM
    last_written_value varchar,
    desired_value varchar,                 -- canonical; null only for a clear
    wire_value varchar not null,           -- exactly what is sent
    conflict_class varchar not null,       -- new | ours | changed_by_other
    reason varchar not null,
    confidence decimal(6, 4),
    evidence json not null,                -- [{"id", "quote", "url"}]
    evidence_count integer not null,
    answer_id varchar,
    operation varchar not null,
    field_class varchar not null,
    risk varchar not null,
    autonomy_level integer not null,
    is_stale boolean not null,
    is_suppressed boolean not null,
    is_namespaced boolean not null,
    decision varchar not null check (decision in ('auto', 'require_approval', 'denied')),
    deciding_rule varchar not null,
    primary key (plan_id, op_id)
);

create table approvals (
    approval_id varchar primary key,
    plan_id varchar not null,
    digest varchar not null,
    verdict varchar not null check (verdict in ('approved', 'rejected')),
    op_ids json,                           -- null = every operation of the plan that waits for approval
    approver varchar not null,
    role varchar not null,
    note varchar,
    approved_at timestamptz not null,
    expires_at timestamptz not null
);

create table apply_runs (apply_run_id varchar primary key, run_id varchar not null, plan_id varchar not null, digest varchar not null, dry_run boolean not null, actor varchar not null, fencing_token bigint not null, started_at timestamptz not null);

create table write_attempts (              -- the write-ahead journal, one row per operation and state, in order
    apply_run_id varchar not null,
    op_id varchar not null,
    sequence bigint not null,
    state varchar not null check (state in ('intent', 'sent', 'acknowledged', 'rejected', 'unknown', 'skipped_conflict', 'verified', 'mismatch', 'skipped_denied', 'skipped_unapproved', 'skipped_done')),
    trace_id varchar,
    crm_value varchar,                     -- what the CRM held when it was read in this state
    message varchar,
    recorded_at timestamptz not null,
    primary key (apply_run_id, op_id, sequence)
);

create table op_results (                  -- the one end of each operation of an apply run
    apply_run_id varchar not null,
    op_id varchar not null,
    result varchar not null check (result in ('applied', 'already_there', 'ignored', 'altered', 'refused', 'conflict', 'unknown', 'denied', 'not_approved')),
    crm_before varchar,
    crm_after varchar,
    message varchar,
    recorded_at timestamptz not null,
    primary key (apply_run_id, op_id)
);

create table quarantine (crm varchar not null, object_type varchar not null, record_id varchar not null, property varchar not null, reason varchar not null, quarantined_at timestamptz not null, released_at timestamptz, primary key (crm, object_type, record_id, property, quarantined_at));

create table suppression (contact_id varchar not null, source varchar not null, evidence_id varchar, quote varchar, run_id varchar not null, suppressed_at timestamptz not null, primary key (contact_id, source));

create table audit_events (                -- hash chain: hash = sha256(prev_hash || canonical body)
    sequence bigint primary key,
    occurred_at timestamptz not null,
    actor varchar not null,
    action varchar not null,               -- plan_created | approved | rejected | apply_started | write_intent | write_result | apply_finished | rollback_planned | ...
    subject varchar not null,
    body json not null,
    prev_hash varchar not null,
    hash varchar not null
);
create table audit_anchors (sequence bigint not null, hash varchar not null, anchored_at timestamptz not null, location varchar not null, primary key (sequence, location));

create table leases (lease_name varchar not null, fencing_token bigint not null, holder varchar not null, acquired_at timestamptz not null, expires_at timestamptz not null, released_at timestamptz, primary key (lease_name, fencing_token));
