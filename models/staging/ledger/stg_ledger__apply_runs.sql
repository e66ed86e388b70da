-- One row per run that applied a plan.
select
    apply_run_id,
    run_id,
    plan_id,
    digest,
    dry_run,
    actor,
    fencing_token,
    started_at
from {{ source('ledger', 'apply_runs') }}
