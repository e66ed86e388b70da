-- One row per contact: what they said, in points and counts, held to the policy's cap per document.
with

numbers as (

    select document_max_points from {{ ref('stg_policy__numbers') }}

),

facts as (

    select * from {{ ref('facts') }}
    where contact_id is not null

),

by_document as (

    select
        contact_id,
        document_id,
        sum(counted_points) as document_points,
        count(*) filter (where is_current) as current_fact_count,
        max(valid_date) as last_fact_date
    from facts
    group by contact_id, document_id

),

points as (

    select
        by_document.contact_id,
        cast(
            sum(
                {{ clamp(
                    'by_document.document_points',
                    '-numbers.document_max_points',
                    'numbers.document_max_points',
                ) }}
            ) as decimal(18, 4)
        ) as signal_points,
        cast(sum(by_document.current_fact_count) as bigint) as current_fact_count,
        max(by_document.last_fact_date) as last_fact_date
    from by_document
    cross join numbers
    group by by_document.contact_id

),

final as (

    select
        contacts.contact_id,
        contacts.account_id,
        coalesce(points.signal_points, 0) as signal_points,
        coalesce(points.current_fact_count, 0) as current_fact_count,
        coalesce(engagement.engagement_points, 0) as engagement_points,
        points.last_fact_date,
        engagement.last_engaged_date,
        engagement.last_contact_date
    from {{ ref('int_contacts') }} as contacts
    left join points
        on contacts.contact_id = points.contact_id
    left join {{ ref('contact_engagement') }} as engagement
        on contacts.contact_id = engagement.contact_id

)

select * from final
