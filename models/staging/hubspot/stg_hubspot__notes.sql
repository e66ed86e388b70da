-- One row per HubSpot note: renamed and cast. A view, so that the text is copied once (documents).
{{ config(materialized='view') }}

select
    -- ids
    {{ record_id('note', 'id') }} as note_id,
    id as source_record_id,
    'notes' as source_object_type,
    {{ record_id('owner', clean('hubspot_owner_id')) }} as owner_id,

    -- text
    hs_note_body as body,

    -- booleans
    coalesce(archived, false) as is_archived,

    -- timestamps
    coalesce(hs_timestamp, created_at) as occurred_at,
    coalesce(hs_lastmodifieddate, updated_at) as updated_at
from {{ source('hubspot', 'notes') }}
