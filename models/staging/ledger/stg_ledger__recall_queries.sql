-- One row per operation: the query that facts are compared with now.
select
    operation,
    query_hash,
    model_hash,
    asked_since
from {{ source('ledger', 'recall_queries') }}
qualify
    row_number() over (
        partition by operation
        order by asked_since desc, query_hash desc
    ) = 1
