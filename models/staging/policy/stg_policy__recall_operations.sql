-- One row per operation that is reminded of facts: whose, and how they are weighed. Of the policy in force.
select
    recall_rows.operation,
    recall_rows.record_type,
    recall_rows.facts_of,
    recall_rows.shows_strangers,
    recall_rows.half_life_days,
    recall_rows.token_budget
from {{ source('ledger', 'policy_recall_operations') }} as recall_rows
inner join {{ ref('stg_policy__current') }} as policy_in_force
    on recall_rows.policy_hash = policy_in_force.policy_hash
