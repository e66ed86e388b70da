-- One row per component of a score and its weight. Of the policy in force.
select
    weights_rows.operation,
    weights_rows.component,
    weights_rows.weight
from {{ source('ledger', 'policy_weights') }} as weights_rows
inner join {{ ref('stg_policy__current') }} as policy_in_force
    on weights_rows.policy_hash = policy_in_force.policy_hash
