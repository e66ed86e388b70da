-- One row per rule of what a fact is worth; the lowest position that fits decides. Of the policy in force.
select
    signals_rows.position,
    signals_rows.predicate,
    signals_rows.fact_value,
    signals_rows.strength,
    signals_rows.points
from {{ source('ledger', 'policy_signals') }} as signals_rows
inner join {{ ref('stg_policy__current') }} as policy_in_force
    on signals_rows.policy_hash = policy_in_force.policy_hash
