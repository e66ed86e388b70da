-- One row per thing an agent said that failed the evidence check.
select
    attempt_id,
    item_kind,
    item_key,
    position,
    body,
    reason
from {{ source('ledger', 'rejections') }}
