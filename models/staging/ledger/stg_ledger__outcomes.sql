-- One row per record of an operation's queue per run.
select
    run_id,
    operation,
    record_type,
    record_id,
    outcome,
    reason,
    answer_id,
    recorded_at
from {{ source('ledger', 'outcomes') }}
