-- One row per record that is not to be shown for itself: deleted in its CRM, or a copy of what another CRM has as well.
select record_id
from {{ ref('int_source_deletions') }}

union

select record_id
from {{ ref('int_crm_copies') }}
