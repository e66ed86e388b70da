-- One row per tier and its lowest score. Of the policy in force.
select
    tiers_rows.tier,
    tiers_rows.min_score
from {{ source('ledger', 'policy_tiers') }} as tiers_rows
inner join {{ ref('stg_policy__current') }} as policy_in_force
    on tiers_rows.policy_hash = policy_in_force.policy_hash
