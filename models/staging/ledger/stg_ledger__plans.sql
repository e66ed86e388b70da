-- One row per frozen plan.
select
    plan_id,
    run_id,
    crm,
    kind,
    rolls_back_run_id,
    as_of,
    digest,
    policy_hash,
    mapping_hash,
    schema_hash,
    operation_count,
    guards,
    created_by,
    created_at,
    expires_at,
    project_hash
from {{ source('ledger', 'plans') }}
