-- One row per recommendation that holds today or stands in the CRM: how urgent it is within its account, and whether it
-- is among the few that may be open there. What ended once, by a seller or by us, never comes back under the same key.
with

delivery as (

    select * from {{ ref('stg_policy__delivery') }}

),

rules as (

    select * from {{ ref('stg_policy__recommendation_rules') }}

),

signals as (

    select * from {{ ref('int_recommendation_signals') }}

),

delivered as (

    select * from {{ ref('int_delivered_tasks') }}

),

contacts as (

    select
        contact_id,
        account_id,
        is_opted_out
    from {{ ref('contacts') }}

),

sources as (

    select
        sources.op_key,
        string_agg(
            '[' || cast(sources.source_position as varchar) || '] '
            || coalesce(cast(sources.evidence_date as varchar) || ' ', '')
            || sources.source_type || ': "'
            || replace(
                {{ delivered_text('sources.quote', 'delivery.quote_chars') }},
                '"',
                ''''
            )
            || '"' || coalesce(' ' || sources.url, ''),
            chr(10)
            order by sources.source_position asc
        ) as source_lines,
        cast(
            to_json(
                list(
                    {
                        'id': sources.evidence_id,
                        'quote': sources.quote,
                        'url': sources.url
                    }
                    order by sources.source_position asc
                )
            ) as varchar
        ) as evidence_json,
        count(*) as evidence_count
    from (
        select
            *,
            row_number() over (
                partition by op_key order by source_position asc, evidence_id asc
            ) as listed_position
        from {{ ref('int_recommendation_sources') }}
    ) as sources
    cross join delivery
    where sources.listed_position <= delivery.sources_per_task
    group by sources.op_key

),

everything as (

    select
        coalesce(signals.op_key, delivered.op_key) as op_key,
        coalesce(delivered.rule_id, signals.rule_id) as rule_id,
        coalesce(signals.contact_id, delivered.contact_id) as contact_id,
        coalesce(signals.account_id, delivered.account_id) as account_id,
        coalesce(delivered.state, 'new') as delivery_state,
        signals.op_key is not null as holds_today,
        delivered.task_id,
        delivered.delivered_at,
        delivered.subject as delivered_subject,
        signals.* exclude (op_key, rule_id, contact_id, account_id)
    from signals
    full outer join delivered
        on signals.op_key = delivered.op_key

),

placed as (

    select
        everything.*,
        coalesce(
            everything.account_id, contacts.account_id, everything.contact_id
        ) as account_group_id,
        coalesce(contacts.is_opted_out, false) as is_opted_out,
        coalesce(rules.rule_position, 1000) as rule_position,
        rules.priority,
        case rules.priority when 'HIGH' then 0 when 'MEDIUM' then 1 else 2 end
            as urgency,
        -- A seller's own place is kept; what ended does not stand in anybody's way.
        everything.delivery_state = 'in_hand'
        or (everything.delivery_state in ('new', 'open') and everything.holds_today)
            as is_contender
    from everything
    left join rules
        on everything.rule_id = rules.rule_id
    left join contacts
        on everything.contact_id = contacts.contact_id

),

ranked as (

    select
        *,
        case
            when is_contender
                then row_number() over (
                    partition by account_group_id, is_contender
                    order by
                        (delivery_state = 'in_hand') desc,
                        urgency asc,
                        -- What stands in the CRM is not taken down for its like.
                        (delivery_state = 'open') desc,
                        rule_position asc,
                        signal_date desc nulls last,
                        op_key asc
                )
        end as account_rank
    from placed

),

-- A seller can only do so much: of what its account leaves room for, the most urgent.
within_account as (

    select
        ranked.*,
        coalesce(
            ranked.is_contender
            and ranked.account_rank <= delivery.open_per_account,
            false
        ) as has_room
    from ranked
    cross join delivery

),

shared_out as (

    select
        within_account.*,
        within_account.has_room
        and (
            within_account.crm_owner_id is null
            or row_number() over (
                partition by within_account.crm_owner_id, within_account.has_room
                order by
                    (within_account.delivery_state = 'in_hand') desc,
                    within_account.urgency asc,
                    (within_account.delivery_state = 'open') desc,
                    within_account.rule_position asc,
                    within_account.signal_date desc nulls last,
                    within_account.op_key asc
            ) <= delivery.open_per_owner
        ) as is_open
    from within_account
    cross join delivery

),

final as (

    select
        -- ids
        ranked.op_key,
        ranked.rule_id,
        ranked.account_group_id,
        ranked.account_id,
        ranked.contact_id,
        ranked.subject_record_id,
        ranked.crm_owner_id,
        ranked.task_id,
        ranked.rests_on,
        ranked.answer_id,

        -- text
        ranked.signal,
        coalesce(ranked.operation, rules.operation) as operation,
        ranked.priority,
        nullif(rules.task_type, 'OTHER') as task_type,
        -- Of what stands in the CRM, its own words: the names it was made with may be unknown by now.
        coalesce(
            ranked.delivered_subject,
            {{ filled_in('rules.subject_template', {
                'person': delivered_text('ranked.person_name', '80'),
                'account': delivered_text('ranked.account_name', '80'),
                'class': 'ranked.reply_class',
                'meeting': delivered_text('ranked.meeting_title', '80'),
                'date': 'cast(coalesce(ranked.said_date, ranked.signal_date) as varchar)',
                'due': 'cast(ranked.promised_date as varchar)',
                'since': 'cast(ranked.since_date as varchar)',
            }) }}
        ) as subject,
        {{ filled_in('rules.body_template', {
            'person': delivered_text('ranked.person_name', '80'),
            'account': delivered_text('ranked.account_name', '80'),
            'class': 'ranked.reply_class',
            'meeting': delivered_text('ranked.meeting_title', '80'),
            'date': 'cast(coalesce(ranked.said_date, ranked.signal_date) as varchar)',
            'due': 'cast(ranked.promised_date as varchar)',
            'since': 'cast(ranked.since_date as varchar)',
        }) }} || coalesce(chr(10) || chr(10) || sources.source_lines, '') as body,
        ranked.delivery_state,
        case
            when ranked.delivery_state <> 'open' then null
            when ranked.is_open then null
            when ranked.is_contender then 'More urgent recommendations took its place'
            when ranked.is_opted_out then 'The person has opted out'
            else 'Its reason is gone: ' || coalesce(
                case rules.signal
                    when 'reply_unanswered'
                        then 'answered, written to again, or too long ago'
                    when 'promise_overdue'
                        then 'something went out to them, or it is too long ago'
                    when 'win_back_fired'
                        then 'somebody is in touch, or the trigger no longer holds'
                    when 'meeting_without_brief'
                        then 'the meeting is over, or there is a brief'
                end,
                'the rule is no longer in the playbook'
            )
        end as superseded_because,
        coalesce(sources.evidence_json, '[]') as evidence_json,

        -- numerics
        ranked.account_rank,
        coalesce(sources.evidence_count, 0) as evidence_count,
        ranked.confidence,

        -- booleans
        ranked.holds_today,
        ranked.is_open,
        coalesce(ranked.is_stale, false) as is_stale,

        -- dates
        ranked.signal_date,
        business_days.due_date,
        ranked.delivered_at
    from shared_out as ranked
    left join rules
        on ranked.rule_id = rules.rule_id
    left join sources
        on ranked.op_key = sources.op_key
    left join {{ ref('int_business_days') }} as business_days
        on rules.due_business_days = business_days.business_days_ahead

)

select * from final
