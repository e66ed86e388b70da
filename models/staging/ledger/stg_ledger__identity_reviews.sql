-- One row per decision of a person about a pair of records; the newest row of a link holds.
select
    -- ids
    review_id,
    link_id,
    object_type,
    kind,
    left_record_id,
    right_record_id,

    -- text
    decision,
    reason,
    reviewed_by,
    inputs_hash,

    -- numerics
    sequence,

    -- timestamps
    reviewed_at
from {{ source('ledger', 'identity_reviews') }}
