-- One row per command that ran.
select
    run_id,
    command,
    parent_run_id,
    as_of,
    agent,
    policy_hash,
    started_at
from {{ source('ledger', 'runs') }}
