-- One row per HubSpot deal, archived ones included: renamed and cast.
select
    -- ids
    {{ record_id('deal', 'id') }} as deal_id,
    id as source_record_id,
    'deals' as source_object_type,
    {{ record_id('owner', clean('hubspot_owner_id')) }} as owner_id,
    {{ clean('pipeline') }} as pipeline_id,
    {{ clean('dealstage') }} as stage_id,

    -- text
    {{ clean('dealname') }} as deal_name,
    {{ clean('dealtype') }} as deal_type,
    {{ clean('closed_lost_reason') }} as closed_lost_reason,
    {{ clean('deal_currency_code') }} as currency_code,

    -- numerics
    cast(amount as decimal(18, 2)) as amount,

    -- booleans
    coalesce(hs_is_closed, false) as is_closed,
    coalesce(hs_is_closed_won, false) as is_won,
    coalesce(archived, false) as is_archived,

    -- timestamps
    closedate as closed_at,
    coalesce(createdate, created_at) as created_at,
    coalesce(hs_lastmodifieddate, updated_at) as updated_at
from {{ source('hubspot', 'deals') }}
