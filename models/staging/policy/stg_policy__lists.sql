-- One row per word of a policy's list. Of the policy in force.
select
    lists_rows.list_name,
    lists_rows.item,
    lists_rows.parameter
from {{ source('ledger', 'policy_lists') }} as lists_rows
inner join {{ ref('stg_policy__current') }} as policy_in_force
    on lists_rows.policy_hash = policy_in_force.policy_hash
