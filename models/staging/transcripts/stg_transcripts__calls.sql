-- One row per call of which there are transcripts in files: renamed and cast. A view, so that words are copied once.
{{ config(materialized='view') }}

select
    -- ids
    'transcripts:call:' || call_key as call_id,
    call_key as source_record_id,
    'transcript' as source_object_type,
    -- A transcript knows names and addresses, not sellers' records: int_call_transcripts finds the owner.
    cast(null as varchar) as owner_id,
    crm_call_id as external_call_id,

    -- text
    {{ clean('title') }} as title,
    body,
    {{ clean('direction') }} as call_direction,
    cast(null as varchar) as disposition,
    'COMPLETED' as call_status,
    platform,
    language,
    lower({{ clean('owner_email') }}) as owner_email,
    started_how,
    speakers as participants_json,
    turns as turns_json,

    -- numerics
    duration_ms,

    -- booleans
    true as has_transcript,
    false as is_archived,

    -- timestamps
    started_at as occurred_at,
    updated_at
from {{ source('transcripts', 'calls') }}
