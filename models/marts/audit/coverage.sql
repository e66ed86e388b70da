-- One row per operation and segment: how many records have a fresh answer, a stale one, a gate, nothing to judge, or wait.
-- Segments: lifecycle stage of contacts and accounts, type of documents.
with

queues as (
    {% for operation in [
        'extract_facts', 'reply_class', 'icp_fit', 'lead_quality', 'churn_revisit', 'meeting_brief',
        'account_deep_dive', 'contact_background'
    ] %}
    select
        operation,
        record_id,
        gate,
        missing
    from {{ ref('queue_' ~ operation) }}
    {% if not loop.last %}
    union all
    {% endif -%}
    {% endfor %}
),

published as (

    select
        operation,
        record_id,
        is_stale
    from {{ ref('int_published') }}

    union all

    select
        'extract_facts' as operation,
        document_id as record_id,
        is_stale
    from {{ ref('published_extract_facts') }}

),

segments as (

    select
        contact_id as record_id,
        coalesce(lifecycle_stage, 'unknown') as segment
    from {{ ref('contacts') }}

    union all

    select
        account_id as record_id,
        coalesce(lifecycle_stage, 'unknown') as segment
    from {{ ref('accounts') }}

    union all

    select
        document_id as record_id,
        document_type as segment
    from {{ ref('documents') }}

),

placed as (

    select
        queues.operation,
        coalesce(segments.segment, 'all') as segment,
        case
            when queues.gate is not null then 'gated'
            when queues.missing is not null then 'insufficient_data'
            when published.is_stale then 'stale'
            when published.record_id is not null then 'answered'
            else 'waiting'
        end as state
    from queues
    left join published
        on
            queues.operation = published.operation
            and queues.record_id = published.record_id
    left join segments
        on queues.record_id = segments.record_id

),

final as (

    select
        operation,
        segment,
        count(*) as record_count,
        count(*) filter (where state = 'answered') as answered_count,
        count(*) filter (where state = 'stale') as stale_count,
        count(*) filter (where state = 'gated') as gated_count,
        count(*) filter (where state = 'insufficient_data') as insufficient_data_count,
        count(*) filter (where state = 'waiting') as waiting_count,
        cast(count(*) filter (where state = 'answered') as double) / count(*)
            as answered_share
    from placed
    group by operation, segment

)

select * from final
