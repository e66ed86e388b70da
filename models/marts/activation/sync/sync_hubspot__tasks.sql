-- One row per task of ours and property that should change: a new recommendation with all its fields, a field of one
-- that never got into the CRM, or the end of one whose reason is gone. What was written once is the seller's.
with

recommendations as (

    select * from {{ ref('int_recommendations') }}

),

field_map as (

    select * from {{ ref('stg_policy__field_map') }}
    where crm = 'hubspot' and object_type = 'tasks'

),

last_written as (

    select
        source_record_id,
        property,
        last_written_value
    from {{ ref('int_last_written') }}
    where crm = 'hubspot' and object_type = 'tasks'

),

delivery as (

    select due_hour_utc from {{ ref('stg_policy__delivery') }}

),

opened as (

    select
        recommendations.*,
        {
            '@record': 'present',
            '@contacts': split_part(recommendations.contact_id, ':', 3),
            '@companies': split_part(recommendations.account_id, ':', 3),
            'hs_task_subject': recommendations.subject,
            'hs_task_body': recommendations.body,
            'hs_task_status': 'NOT_STARTED',
            'hs_task_priority': recommendations.priority,
            'hs_task_type': recommendations.task_type,
            'hs_timestamp': cast(recommendations.due_date as varchar) || 'T'
            || lpad(cast(delivery.due_hour_utc as varchar), 2, '0') || ':00:00Z',
            'hubspot_owner_id': recommendations.crm_owner_id,
            'nightdesk_rule': recommendations.rule_id,
            'nightdesk_state': 'open'
        } as properties
    from recommendations
    cross join delivery
    where
        recommendations.is_open
        and recommendations.holds_today
        and recommendations.delivery_state in ('new', 'open')

),

ended as (

    select
        recommendations.*,
        {
            'hs_task_status': 'COMPLETED',
            'nightdesk_state': 'superseded',
            'nightdesk_why': recommendations.superseded_because
        } as properties
    from recommendations
    where recommendations.superseded_because is not null

),

wanted as (

    select
        * exclude (properties),
        unnest(map_entries(cast(to_json(properties) as map (varchar, varchar))))
            as entry,
        false as is_end
    from opened

    union all

    select
        * exclude (properties),
        unnest(map_entries(cast(to_json(properties) as map (varchar, varchar))))
            as entry,
        true as is_end
    from ended

),

final as (

    select
        'tasks' as object_type,
        wanted.op_key as record_id,
        -- The end of a task says nothing of the person it was about: they may have opted out since.
        case
            when wanted.is_end then coalesce(wanted.rule_id, 'task') || ' (ended)'
            else wanted.subject
        end as record_label,
        field_map.property,
        field_map.value_type,
        field_map.field,
        cast(null as varchar) as crm_value,
        last_written.last_written_value,
        wanted.entry['value'] as desired_value,
        wanted.operation,
        wanted.answer_id,
        coalesce(
            wanted.superseded_because,
            'Rule ' || wanted.rule_id || ', '
            || cast(wanted.account_rank as varchar) || ' of at most '
            || cast(limits.open_per_account as varchar) || ' for the account'
        ) as reason,
        wanted.confidence,
        case
            when wanted.is_end
                then cast(
                    to_json(
                        [
                            {
                                'id': wanted.op_key,
                                'quote': wanted.superseded_because,
                                'url': cast(null as varchar)
                            }
                        ]
                    ) as varchar
                )
            else wanted.evidence_json
        end as evidence,
        case when wanted.is_end then 1 else wanted.evidence_count end as evidence_count,
        wanted.is_stale and not wanted.is_end as is_stale,
        false as is_suppressed,
        field_map.field_class,
        field_map.risk,
        cast(null as varchar) as segment,
        case
            when wanted.is_end then wanted.account_id
            else coalesce(wanted.contact_id, wanted.account_id)
        end as subject_id
    from wanted
    inner join field_map
        on wanted.entry['key'] = field_map.property
    left join last_written
        on
            wanted.op_key = last_written.source_record_id
            and field_map.property = last_written.property
    cross join {{ ref('stg_policy__delivery') }} as limits
    where
        wanted.entry['value'] <> ''
        and (
            wanted.is_end
            or (wanted.delivery_state = 'new' and last_written.property is null)
            or (wanted.delivery_state = 'open' and last_written.property is null)
        )

)

select * from final
