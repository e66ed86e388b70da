-- One row per erasure of a person, as numbers: nothing in it says who it was.
select
    erasure_id,
    run_id,
    requested_by,
    reason,
    removed,
    started_at,
    finished_at
from {{ source('ledger', 'erasures') }}
