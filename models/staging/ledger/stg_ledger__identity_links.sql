-- One row per pair of records and time that it was weighed anew; the newest row of a link holds.
select
    -- ids
    link_id,
    identity_run_id,
    object_type,
    kind,
    left_record_id,
    right_record_id,

    -- numerics
    match_probability,
    match_weight,

    -- text
    weights,
    inputs_hash,
    model_hash,

    -- booleans
    is_withdrawn,

    -- timestamps
    suggested_at
from {{ source('ledger', 'identity_links') }}
