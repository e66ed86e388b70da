-- One row per operation: the question it asks now.
select
    operation,
    operation_hash,
    agent,
    model,
    run_id,
    asked_since
from {{ source('ledger', 'questions') }}
qualify
    row_number() over (
        partition by operation
        order by asked_since desc, run_id desc
    ) = 1
