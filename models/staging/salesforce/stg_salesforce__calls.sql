-- One row per call logged as a Salesforce task: renamed and cast. A view, so that transcripts are copied once (documents).
{{ config(materialized='view') }}

with

tasks as (

    select * from {{ source('salesforce', 'tasks') }}

),

kinds as (

    select
        source_record_id,
        record_id
    from {{ ref('stg_salesforce__task_kinds') }}
    where object_type = 'calls'

),

final as (

    select
        -- ids
        kinds.record_id as call_id,
        tasks.id as source_record_id,
        'Task' as source_object_type,
        {{ salesforce_owner('tasks.owner_id') }} as owner_id,

        -- text
        tasks.subject as title,
        case
            when {{ clean('tasks.call_transcript') }} is not null
                then tasks.call_transcript
            else tasks.description
        end as body,
        upper({{ clean('tasks.call_type') }}) as call_direction,
        {{ clean('tasks.call_disposition') }} as disposition,
        case when tasks.is_closed then 'COMPLETED' end as call_status,

        -- numerics
        coalesce(
            tasks.call_duration_ms, tasks.call_duration_in_seconds * 1000
        ) as duration_ms,

        -- booleans
        {{ clean('tasks.call_transcript') }} is not null as has_transcript,
        coalesce(tasks.is_deleted, false) as is_archived,

        -- timestamps
        {{ salesforce_done_at('tasks') }} as occurred_at,
        coalesce(tasks.last_modified_date, tasks.system_modstamp) as updated_at
    from tasks
    inner join kinds
        on tasks.id = kinds.source_record_id

)

select * from final
