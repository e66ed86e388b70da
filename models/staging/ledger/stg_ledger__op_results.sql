-- One row per operation of an apply run: how it ended.
select
    apply_run_id,
    op_id,
    result,
    crm_before,
    crm_after,
    message,
    refusal,
    recorded_at
from {{ source('ledger', 'op_results') }}
