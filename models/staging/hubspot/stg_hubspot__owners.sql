-- One row per HubSpot owner (our sellers), archived ones included: renamed and cast.
select
    -- ids
    {{ record_id('owner', 'id') }} as owner_id,
    id as source_record_id,
    user_id as source_user_id,

    -- text
    {{ clean('lower(email)') }} as email,
    {{ clean('first_name') }} as first_name,
    {{ clean('last_name') }} as last_name,
    {{ clean('team') }} as team,
    cast(null as varchar) as time_zone,

    -- booleans
    coalesce(archived, false) as is_archived
from {{ source('hubspot', 'owners') }}
