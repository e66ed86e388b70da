-- One row per HubSpot email: renamed and cast. A view, so that the bodies are copied once (documents).
{{ config(materialized='view') }}

select
    -- ids
    {{ record_id('email', 'id') }} as email_id,
    id as source_record_id,
    'emails' as source_object_type,
    {{ record_id('owner', clean('hubspot_owner_id')) }} as owner_id,
    {{ clean('hs_email_thread_id') }} as thread_id,
    coalesce(
        {{ message_id('hs_email_message_id') }},
        {{ message_id(email_header('hs_email_headers', 'Message-ID')) }}
    ) as internet_message_id,

    -- text
    hs_email_subject as subject,
    hs_email_text as body,
    upper({{ clean('hs_email_direction') }}) as email_direction,
    upper({{ clean('hs_email_status') }}) as email_status,
    hs_email_headers as headers_json,
    {{ clean('lower(hs_email_from_email)') }} as from_email,
    {{ clean('lower(hs_email_to_email)') }} as to_email,
    {{ clean('lower(hs_email_cc_email)') }} as cc_email,
    {{ clean('hs_outreach_motion') }} as outreach_motion,
    {{ clean('hs_sequence_step') }} as sequence_step,

    -- booleans
    coalesce(archived, false) as is_archived,

    -- timestamps
    coalesce(hs_timestamp, created_at) as occurred_at,
    coalesce(hs_lastmodifieddate, updated_at) as updated_at
from {{ source('hubspot', 'emails') }}
