-- One row per verdict of a person on a plan.
select
    approval_id,
    plan_id,
    digest,
    verdict,
    op_ids,
    approver,
    role,
    note,
    approved_at,
    expires_at,
    via
from {{ source('ledger', 'approvals') }}
