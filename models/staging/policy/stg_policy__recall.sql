-- One row per operation and predicate it is reminded of. Of the policy in force.
select
    recall_rows.operation,
    recall_rows.predicate,
    recall_rows.relevance,
    recall_rows.quota,
    recall_rows.token_budget
from {{ source('ledger', 'policy_recall') }} as recall_rows
inner join {{ ref('stg_policy__current') }} as policy_in_force
    on recall_rows.policy_hash = policy_in_force.policy_hash
