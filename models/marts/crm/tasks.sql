-- One row per live task of a seller; those that Nightdesk recommended are in recommendations.
with

tasks as (

    select * from {{ ref('int_source_tasks') }}
    where not is_archived

),

deletions as (

    select record_id from {{ ref('int_gone_records') }}

),

-- What Nightdesk put there itself is nobody's word: it must not come back as evidence.
own_records as (

    select source_record_id
    from {{ ref('int_source_namespaced_values') }}
    where
        object_type = 'tasks'
        and {{ is_op_key('property') }}
        and crm_value <> ''

),

final as (

    select
        tasks.task_id,
        tasks.source_record_id,
        tasks.owner_id,
        tasks.subject,
        tasks.body,
        tasks.task_status,
        tasks.priority,
        tasks.task_type,
        tasks.due_at,
        tasks.updated_at
    from tasks
    left join deletions
        on tasks.task_id = deletions.record_id
    left join own_records
        on tasks.source_record_id = own_records.source_record_id
    where deletions.record_id is null and own_records.source_record_id is null

)

select * from final
