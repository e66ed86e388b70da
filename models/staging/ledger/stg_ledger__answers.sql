-- One row per input that an agent has answered.
select
    answer_id,
    operation,
    record_type,
    record_id,
    input_hash,
    context_hash,
    agent,
    model,
    operation_hash,
    policy_hash,
    run_id,
    attempt_id,
    outcome,
    reason,
    confidence,
    evidence_count,
    dropped_count,
    answered_at
from {{ source('ledger', 'answers') }}
