-- One row per proposal of an autonomy review.
select
    proposal_id,
    review_id,
    operation,
    property,
    level,
    ceiling,
    proposal,
    to_level,
    reasons,
    evidence,
    proposed_by,
    policy_hash,
    reviewed_at
from {{ source('ledger', 'autonomy_reviews') }}
