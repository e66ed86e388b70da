-- One row per hard gate and operation, in order. Of the policy in force.
select
    gates_rows.operation,
    gates_rows.gate,
    gates_rows.position,
    gates_rows.reason
from {{ source('ledger', 'policy_gates') }} as gates_rows
inner join {{ ref('stg_policy__current') }} as policy_in_force
    on gates_rows.policy_hash = policy_in_force.policy_hash
