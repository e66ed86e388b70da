-- One row per live call. The transcript is in documents.
with

calls as (

    select
        call_id,
        source_record_id,
        owner_id,
        title,
        call_direction,
        disposition,
        call_status,
        duration_ms,
        has_transcript,
        occurred_at,
        updated_at
    from {{ ref('int_source_calls') }}
    where not is_archived

),

deletions as (

    select record_id from {{ ref('int_source_deletions') }}

),

final as (

    select
        -- ids
        calls.call_id,
        calls.source_record_id,
        calls.owner_id,

        -- text
        calls.title,
        case calls.call_direction
            when 'INBOUND' then 'inbound'
            else 'outbound'
        end as direction,
        calls.disposition,
        calls.call_status,

        -- numerics
        calls.duration_ms,

        -- booleans
        calls.has_transcript,
        coalesce(calls.call_status = 'COMPLETED', false) as is_held,

        -- timestamps
        calls.occurred_at,
        calls.updated_at
    from calls
    left join deletions
        on calls.call_id = deletions.record_id
    where deletions.record_id is null

)

select * from final
