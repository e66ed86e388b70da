-- One row per address with a say on all mail: renamed and cast.
select
    'hubspot' as crm,
    {{ clean('lower(email)') }} as email,
    {{ clean('source') }} as unsubscribe_source,
    coalesce(is_unsubscribed, true) as is_unsubscribed,
    changed_at
from {{ source('hubspot', 'unsubscribes') }}
