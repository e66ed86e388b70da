-- One row per event of a run's steps.
select
    run_id,
    sequence,
    step,
    event,
    occurred_at,
    numbers,
    message
from {{ source('ledger', 'run_events') }}
