-- One row per predicate that a fact may have. Of the policy in force.
select
    predicates_rows.predicate,
    predicates_rows.cardinality,
    predicates_rows.value_kind,
    predicates_rows.speaker,
    predicates_rows.subject,
    predicates_rows.about
from {{ source('ledger', 'policy_predicates') }} as predicates_rows
inner join {{ ref('stg_policy__current') }} as policy_in_force
    on predicates_rows.policy_hash = policy_in_force.policy_hash
