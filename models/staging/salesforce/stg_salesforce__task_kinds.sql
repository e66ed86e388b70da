-- One row per Salesforce task: which canonical thing it is. A task is also how Salesforce files calls and emails.
{{ config(materialized='view') }}

with

tasks as (

    select
        id,
        subject,
        description,
        task_subtype,
        coalesce(is_closed, false) as is_closed,
        lower({{ clean('type') }}) as task_type,
        -- Filled in only where a call was logged, whatever the task's subtype.
        call_type is not null
        or call_duration_in_seconds is not null
        or call_disposition is not null
        or call_object is not null
        or call_transcript is not null as has_call_fields,
        -- The lines that Salesforce and the mail programs write above a logged email, or before its subject.
        coalesce(
            regexp_matches(
                description,
                '^\s*(?i:additional to|from|to|cc|bcc|subject|body|sent|date):'
            )
            or regexp_matches(subject, '(?i)^email:|\[email\]'),
            false
        ) as looks_like_email
    from {{ source('salesforce', 'tasks') }}

),

-- With enhanced email, each mail is an EmailMessage and has a task that only points at it.
messages as (

    select
        activity_id,
        min(id) as message_id
    from {{ source('salesforce', 'email_messages') }}
    where activity_id is not null
    group by activity_id

),

sorted as (

    select
        tasks.id,
        messages.message_id,
        case
            when messages.message_id is not null then 'emails'
            -- What is still to be done is a task, of whatever kind.
            when not tasks.is_closed then 'tasks'
            when tasks.task_subtype in ('Email', 'ListEmail') then 'emails'
            when tasks.task_subtype = 'Call' then 'calls'
            when tasks.task_type = 'email' and tasks.looks_like_email then 'emails'
            when tasks.task_type = 'call' and tasks.has_call_fields then 'calls'
            else 'tasks'
        end as object_type
    from tasks
    left join messages
        on tasks.id = messages.activity_id

),

final as (

    select
        id as source_record_id,
        object_type,
        case object_type
            when 'emails' then {{ salesforce_id('email', 'coalesce(message_id, id)') }}
            when 'calls' then {{ salesforce_id('call', 'id') }}
            else {{ salesforce_id('task', 'id') }}
        end as record_id,
        message_id is not null as has_own_message
    from sorted

)

select * from final
