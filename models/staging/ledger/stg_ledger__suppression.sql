-- One row per contact and source that an opt-out was recorded from, for good.
select
    contact_id,
    source,
    evidence_id,
    quote,
    run_id,
    suppressed_at
from {{ source('ledger', 'suppression') }}
