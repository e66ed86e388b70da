-- One row per Salesforce task that is neither a call nor an email, deleted ones included: renamed and cast. Left out: the
-- master of a series, which is not itself to be done.
{{ config(materialized='view') }}

with

tasks as (

    select
        *,
        {{ code_of_label('status') }} as status_code,
        {{ code_of_label('type') }} as type_code
    from {{ source('salesforce', 'tasks') }}
    where not coalesce(is_recurrence, false)

),

kinds as (

    select
        source_record_id,
        record_id
    from {{ ref('stg_salesforce__task_kinds') }}
    where object_type = 'tasks'

),

final as (

    select
        -- ids
        kinds.record_id as task_id,
        tasks.id as source_record_id,
        'Task' as source_object_type,
        {{ salesforce_owner('tasks.owner_id') }} as owner_id,

        -- text
        {{ clean('tasks.subject') }} as subject,
        {{ clean('tasks.description') }} as body,
        -- An org may name its states as it likes; whether they end a task it has to say.
        case
            when tasks.is_closed then 'COMPLETED'
            when tasks.status_code like 'WAITING%' then 'WAITING'
            else tasks.status_code
        end as task_status,
        case {{ code_of_label('tasks.priority') }}
            when 'NORMAL' then 'MEDIUM'
            else {{ code_of_label('tasks.priority') }}
        end as priority,
        case
            when tasks.type_code in ('EMAIL', 'CALL') then tasks.type_code
            when tasks.task_subtype = 'Call' then 'CALL'
            when tasks.task_subtype in ('Email', 'ListEmail') then 'EMAIL'
            else 'TODO'
        end as task_type,

        -- booleans
        -- `IsArchived` only says that it is long ago.
        coalesce(tasks.is_deleted, false) as is_archived,

        -- timestamps
        -- The moment, where the org keeps one and it is of the day that Salesforce says, give or take a time zone.
        case
            when
                abs(
                    date_diff(
                        'day',
                        {{ utc_date('tasks.due_at') }},
                        tasks.activity_date
                    )
                ) <= 1
                then tasks.due_at
            else timezone('UTC', cast(tasks.activity_date as timestamp))
        end as due_at,
        coalesce(tasks.last_modified_date, tasks.system_modstamp) as updated_at
    from tasks
    inner join kinds
        on tasks.id = kinds.source_record_id

)

select * from final
