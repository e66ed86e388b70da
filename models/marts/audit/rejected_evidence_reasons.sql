-- One row per night, operation, agent, kind of item and reason: how often the evidence check threw something away.
select
    run_id,
    operation,
    agent,
    item_kind,
    -- What a reason names in backticks differs from item to item.
    regexp_replace(reason, '`[^`]*`', '...', 'g') as reason,
    count(*) as item_count,
    count(distinct attempt_id) as answer_count,
    count(distinct record_id) as record_count
from {{ ref('rejected_evidence') }}
where run_id is not null
group by all
