-- One row per recommended next step that holds today or was ever delivered: what it says, why, how urgent it is within
-- its account, and what became of the task.
select
    -- ids
    op_key,
    account_id,
    contact_id,
    task_id,
    rests_on,
    answer_id,

    -- text
    rule_id,
    operation,
    priority,
    subject,
    case
        when delivery_state in ('new', 'open') and is_open
            then case delivery_state when 'new' then 'proposed' else 'open' end
        when delivery_state = 'new' then 'waiting'
        when delivery_state = 'open' then 'ending'
        else delivery_state
    end as state,
    superseded_because,

    -- numerics
    account_rank,
    evidence_count,

    -- booleans
    holds_today,
    is_open,

    -- dates
    signal_date,
    due_date,
    delivered_at
from {{ ref('int_recommendations') }}
