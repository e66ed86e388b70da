-- One row per HubSpot call: renamed and cast. A view, so that transcripts are copied once (documents).
{{ config(materialized='view') }}

select
    -- ids
    {{ record_id('call', 'id') }} as call_id,
    id as source_record_id,
    'calls' as source_object_type,
    {{ record_id('owner', clean('hubspot_owner_id')) }} as owner_id,

    -- text
    hs_call_title as title,
    hs_call_body as body,
    upper({{ clean('hs_call_direction') }}) as call_direction,
    {{ clean('hs_call_disposition') }} as disposition,
    upper({{ clean('hs_call_status') }}) as call_status,

    -- numerics
    hs_call_duration as duration_ms,

    -- booleans
    coalesce(hs_call_has_transcript, false) as has_transcript,
    coalesce(archived, false) as is_archived,

    -- timestamps
    coalesce(hs_timestamp, created_at) as occurred_at,
    coalesce(hs_lastmodifieddate, updated_at) as updated_at
from {{ source('hubspot', 'calls') }}
