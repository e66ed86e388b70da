-- One row per record that was deleted in Salesforce: renamed and cast.
{{ config(materialized='view') }}

with

deletions as (

    select * from {{ source('salesforce', 'deletions') }}
    where
        object_type in (
            'Account',
            'Contact',
            'Lead',
            'Opportunity',
            'Task',
            'Event',
            'EmailMessage',
            'Note'
        )

),

kinds as (

    select
        source_record_id,
        record_id
    from {{ ref('stg_salesforce__task_kinds') }}
    -- With its task a mail may be gone from the activities; the message itself says whether it was deleted.
    where not has_own_message

),

named as (

    select
        case
            when deletions.object_type = 'Task'
                then coalesce(
                    kinds.record_id, {{ salesforce_id('task', 'deletions.object_id') }}
                )
            else {{ salesforce_object_id(
                'deletions.object_type', 'deletions.object_id'
            ) }}
        end as record_id,
        deletions.deleted_at as archived_at
    from deletions
    left join kinds
        on
            deletions.object_type = 'Task'
            and deletions.object_id = kinds.source_record_id

),

final as (

    select
        {{ plural_of_record_id('record_id') }} as object_type,
        record_id,
        archived_at
    from named

)

select * from final
