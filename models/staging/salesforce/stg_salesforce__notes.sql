-- One row per Salesforce note, but for private ones: renamed and cast. A view, so that the text is copied once (documents).
{{ config(materialized='view') }}

select
    -- ids
    {{ salesforce_id('note', 'id') }} as note_id,
    id as source_record_id,
    'Note' as source_object_type,
    {{ salesforce_owner('owner_id') }} as owner_id,

    -- text
    -- A title that only repeats how the text begins is no text.
    case
        when {{ clean('body') }} is null then {{ clean('title') }}
        when
            {{ clean('title') }} is null
            or starts_with(trim(body), rtrim(trim(title), '.… '))
            then body
        else trim(title) || chr(10) || body
    end as body,

    -- booleans
    coalesce(is_deleted, false) as is_archived,

    -- timestamps
    created_date as occurred_at,
    coalesce(last_modified_date, system_modstamp) as updated_at
from {{ source('salesforce', 'notes') }}
where not coalesce(is_private, false)
