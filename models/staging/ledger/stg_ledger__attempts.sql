-- One row per call of an agent, answered or not.
select
    attempt_id,
    run_id,
    operation,
    record_type,
    record_id,
    input_hash,
    call_hash,
    agent,
    model,
    status,
    stop_reason,
    input_tokens,
    cache_read_tokens,
    cache_write_tokens,
    output_tokens,
    cost_usd,
    error,
    response_ref,
    requested_at,
    responded_at
from {{ source('ledger', 'attempts') }}
