-- One row per fact of an answer, superseded answers included.
select
    fact_id,
    answer_id,
    document_id,
    predicate,
    fact_value,
    polarity,
    fact_date,
    author_side,
    author,
    span_start,
    span_end,
    quote
from {{ source('ledger', 'facts') }}
