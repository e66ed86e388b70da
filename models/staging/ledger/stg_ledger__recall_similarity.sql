-- One row per operation, query, fact and text: how near the words are to what the operation asks.
select
    operation,
    query_hash,
    fact_id,
    text_id,
    similarity,
    computed_at
from {{ source('ledger', 'recall_similarity') }}
