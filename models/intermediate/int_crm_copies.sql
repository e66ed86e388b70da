-- One row per deal, call, meeting, note or task that stands in two CRMs: the record that gives way, and the one that
-- stands for it (HubSpot's). They are one when they carry the same words at the same time about the same person or
-- account, and no other record fits either of them. Emails have rules of their own (int_email_copies).
with

deletions as (

    select record_id from {{ ref('int_source_deletions') }}

),

records as (

    select
        'deal' as record_kind,
        deal_id as record_id,
        deal_name as said,
        coalesce(cast(amount as varchar), '') as moment
    from {{ ref('int_source_deals') }}
    where not is_archived

    union all

    select
        'call' as record_kind,
        call_id as record_id,
        title as said,
        cast(date_trunc('minute', occurred_at) as varchar) as moment
    from {{ ref('int_source_calls') }}
    where not is_archived

    union all

    select
        'meeting' as record_kind,
        meeting_id as record_id,
        title as said,
        cast(date_trunc('minute', started_at) as varchar) as moment
    from {{ ref('int_source_meetings') }}
    where not is_archived

    union all

    select
        'note' as record_kind,
        note_id as record_id,
        sha256(body) as said,
        cast({{ utc_date('occurred_at') }} as varchar) as moment
    from {{ ref('int_source_notes') }}
    where not is_archived

    union all

    select
        'task' as record_kind,
        task_id as record_id,
        subject as said,
        cast({{ utc_date('due_at') }} as varchar) as moment
    from {{ ref('int_source_tasks') }}
    where not is_archived

),

keyed as (

    select
        records.record_kind,
        records.record_id,
        {{ source_of('records.record_id') }} as crm,
        regexp_replace(lower(records.said), '[^\p{L}\p{N}]+', ' ', 'g') as plain_said,
        records.moment
    from records
    left join deletions
        on records.record_id = deletions.record_id
    where
        deletions.record_id is null
        and {{ source_of('records.record_id') }} in ('hubspot', 'salesforce')
        and trim(records.said) <> ''
        and records.moment is not null

),

about as (

    select distinct
        from_record_id as record_id,
        to_record_id as subject_id
    from {{ ref('int_associations') }}
    where to_object_type in ('contacts', 'companies')

),

pairs as (

    select distinct
        other.record_id,
        standing.record_id as stands_for_record_id,
        standing.record_kind
    from keyed as standing
    inner join keyed as other
        on
            standing.record_kind = other.record_kind
            and standing.plain_said = other.plain_said
            and standing.moment = other.moment
    inner join about as standing_about
        on standing.record_id = standing_about.record_id
    inner join about as other_about
        on
            other.record_id = other_about.record_id
            and standing_about.subject_id = other_about.subject_id
    where standing.crm = 'hubspot' and other.crm = 'salesforce'

),

final as (

    select
        record_id,
        stands_for_record_id,
        record_kind
    from pairs
    qualify
        count(*) over (partition by record_id) = 1
        and count(*) over (partition by stands_for_record_id) = 1

)

select * from final
