-- One row per live task of a seller.
with

tasks as (

    select * from {{ ref('stg_hubspot__tasks') }}
    where not is_archived

),

deletions as (

    select record_id from {{ ref('stg_hubspot__deletions') }}

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
    where deletions.record_id is null

)

select * from final
