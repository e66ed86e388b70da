-- One row once a policy is loaded, none before: the policy in force, which is the newest load.
select
    policy_hash,
    loaded_at
from {{ source('ledger', 'policy_loads') }}
qualify row_number() over (order by loaded_at desc, policy_hash asc) = 1
