-- One row per operation and CRM property it writes, with the highest autonomy level that may ever have. Of the policy in
-- force.
select
    autonomy_rows.operation,
    autonomy_rows.property,
    autonomy_rows.ceiling
from {{ source('ledger', 'policy_autonomy_properties') }} as autonomy_rows
inner join {{ ref('stg_policy__current') }} as policy_in_force
    on autonomy_rows.policy_hash = policy_in_force.policy_hash
