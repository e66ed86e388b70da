-- One row per fact that was weighed for a question an agent was asked, and one per reason for facts only counted.
select
    operation,
    record_id,
    context_hash,
    decision,
    fact_id,
    position,
    usefulness,
    estimated_tokens,
    fact_count,
    run_id,
    logged_at
from {{ source('ledger', 'recall_log') }}
