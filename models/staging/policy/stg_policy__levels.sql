-- One row per level an agent may choose and its share of the component's weight. Of the policy in force.
select
    levels_rows.operation,
    levels_rows.component,
    levels_rows.level,
    levels_rows.share
from {{ source('ledger', 'policy_levels') }} as levels_rows
inner join {{ ref('stg_policy__current') }} as policy_in_force
    on levels_rows.policy_hash = policy_in_force.policy_hash
