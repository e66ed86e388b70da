-- One row per change of an autonomy level.
select
    change_id,
    operation,
    property,
    from_level,
    to_level,
    kind,
    changed_by,
    role,
    reason,
    proposal_id,
    apply_run_id,
    evidence,
    policy_hash,
    changed_at
from {{ source('ledger', 'autonomy_changes') }}
