-- One row per sentence of an answer that passed the evidence check.
select
    answer_id,
    section,
    position,
    body
from {{ source('ledger', 'sentences') }}
