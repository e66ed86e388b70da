-- One row per closed choice of an answer.
select
    answer_id,
    component,
    level,
    evidence_count
from {{ source('ledger', 'judgements') }}
