-- One row per Salesforce user who is staff: renamed and cast. Users of communities and portals are customers or partners,
-- whose mail domains must not count as ours.
{{ config(materialized='view') }}

select
    -- ids
    {{ salesforce_id('owner', 'id') }} as owner_id,
    id as source_record_id,
    id as source_user_id,

    -- text
    {{ clean('lower(email)') }} as email,
    {{ clean('first_name') }} as first_name,
    {{ clean('last_name') }} as last_name,
    {{ clean('team') }} as team,
    {{ clean('time_zone_sid_key') }} as time_zone,

    -- booleans
    not coalesce(is_active, true) as is_archived
from {{ source('salesforce', 'users') }}
where coalesce({{ clean('user_type') }}, 'Standard') = 'Standard'
