-- One row per event of the audit trail, in the order things happened.
select
    sequence,
    occurred_at,
    actor,
    action,
    subject,
    body,
    prev_hash,
    hash
from {{ source('ledger', 'audit_events') }}
