-- One row per operation and the highest autonomy level it may ever have. Of the policy in force.
select
    autonomy_rows.operation,
    autonomy_rows.autonomy_level as ceiling
from {{ source('ledger', 'policy_autonomy') }} as autonomy_rows
inner join {{ ref('stg_policy__current') }} as policy_in_force
    on autonomy_rows.policy_hash = policy_in_force.policy_hash
