-- One row per task that Nightdesk has put into the CRM: what we wrote last, and what the last load found there.
with

written as (

    select
        source_record_id as op_key,
        property,
        last_written_value,
        last_written_at
    from {{ ref('int_last_written') }}
    where crm = 'hubspot' and object_type = 'tasks'

),

last_written as (

    select
        op_key,
        max(last_written_value) filter (where property = '@record') as record_state,
        max(last_written_value) filter (where property = '@contacts') as crm_contact_id,
        max(last_written_value) filter (where property = '@companies')
            as crm_company_id,
        max(last_written_value) filter (where property = 'nightdesk_rule') as rule_id,
        max(last_written_value) filter (where property = 'nightdesk_state')
            as delivered_state,
        max(last_written_value) filter (where property = 'hs_task_subject') as subject,
        max(last_written_value) filter (where property = 'hubspot_owner_id')
            as crm_owner_id,
        min(last_written_at) as first_written_at,
        max(last_written_at) as last_written_at
    from written
    group by op_key
    having bool_or(property = '@record')

),

loaded_keys as (

    select
        crm_value as op_key,
        max(source_record_id) as source_record_id
    from {{ ref('int_source_namespaced_values') }}
    where object_type = 'tasks' and property = 'nightdesk_op_key' and crm_value <> ''
    group by crm_value

),

tasks as (

    select * from {{ ref('int_source_tasks') }}

),

finished_loads as (

    select run_id
    from {{ ref('stg_ledger__run_events') }}
    where step = 'load' and event = 'finished'

),

-- Always one row. A load finds new records through an index that lags, so what was written just before it may be missed.
last_load as (

    select max(started.occurred_at) - interval 15 minute as certain_until
    from {{ ref('stg_ledger__run_events') }} as started
    inner join finished_loads
        on started.run_id = finished_loads.run_id
    where started.step = 'load' and started.event = 'started'

),

final as (

    select
        last_written.op_key,
        tasks.task_id,
        last_written.rule_id,
        {{ record_id('contact', 'last_written.crm_contact_id') }} as contact_id,
        {{ record_id('company', 'last_written.crm_company_id') }} as account_id,
        last_written.subject,
        tasks.task_status,
        case
            when last_written.record_state is null then 'withdrawn'
            when last_written.delivered_state = 'superseded' then 'superseded'
            -- A load keeps our key of live records only.
            when tasks.is_archived then 'archived'
            when
                tasks.task_id is null
                and last_written.last_written_at < last_load.certain_until
                then 'archived'
            when tasks.task_status = 'COMPLETED' then 'done'
            -- Started, renamed or given to somebody else: a seller has it, and nothing of ours moves it any more.
            when tasks.task_status <> 'NOT_STARTED' then 'in_hand'
            when coalesce(tasks.subject, '') <> last_written.subject
                then case when tasks.task_id is null then 'open' else 'in_hand' end
            when
                coalesce(tasks.owner_id, '')
                <> {{ record_id('owner', 'last_written.crm_owner_id') }}
                then case when tasks.task_id is null then 'open' else 'in_hand' end
            else 'open'
        end as state,
        last_written.first_written_at as delivered_at
    from last_written
    left join loaded_keys
        on last_written.op_key = loaded_keys.op_key
    left join tasks
        on loaded_keys.source_record_id = tasks.source_record_id
    cross join last_load

)

select * from final
