-- One row per thing an agent said that failed the evidence check: nobody sees it anywhere else.
select
    rejections.attempt_id,
    rejections.item_kind,
    rejections.item_key,
    rejections.position as item_position,
    attempts.run_id,
    attempts.operation,
    attempts.record_id,
    attempts.agent,
    coalesce(attempts.model, 'none') as model,
    rejections.body,
    rejections.reason,
    attempts.requested_at
from {{ ref('stg_ledger__rejections') }} as rejections
left join {{ ref('stg_ledger__attempts') }} as attempts
    on rejections.attempt_id = attempts.attempt_id
