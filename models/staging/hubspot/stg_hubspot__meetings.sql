-- One row per HubSpot meeting, archived ones included: renamed and cast.
select
    -- ids
    {{ record_id('meeting', 'id') }} as meeting_id,
    id as source_record_id,
    'meetings' as source_object_type,
    {{ record_id('owner', clean('hubspot_owner_id')) }} as owner_id,

    -- text
    {{ clean('hs_meeting_title') }} as title,
    {{ clean('hs_meeting_body') }} as body,
    upper({{ clean('hs_meeting_outcome') }}) as outcome,
    {{ clean('hs_meeting_location') }} as location,
    -- HubSpot shows neither the invitation's id nor the zone it was made in.
    cast(null as varchar) as ical_uid,
    cast(null as varchar) as time_zone,

    -- booleans
    coalesce(archived, false) as is_archived,

    -- timestamps
    coalesce(hs_meeting_start_time, hs_timestamp) as started_at,
    hs_meeting_end_time as ended_at,
    coalesce(hs_lastmodifieddate, updated_at) as updated_at
from {{ source('hubspot', 'meetings') }}
