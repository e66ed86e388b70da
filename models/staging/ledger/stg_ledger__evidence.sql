-- One row per citation that an answer rests on.
select
    answer_id,
    item_kind,
    item_key,
    position,
    evidence_kind,
    evidence_id,
    quote
from {{ source('ledger', 'evidence') }}
