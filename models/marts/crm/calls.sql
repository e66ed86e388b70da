-- One row per live call. The transcript is in documents. A transcript of a call that a CRM has is that call's.
with

source_calls as (

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

    select record_id from {{ ref('int_gone_records') }}

),

transcripts as (

    select
        transcript_id,
        call_id,
        owner_id,
        meeting_id,
        duration_ms,
        is_in_crm
    from {{ ref('int_call_transcripts') }}

),

meetings as (

    select
        meeting_id,
        is_held
    from {{ ref('meetings') }}

),

final as (

    select
        -- ids
        source_calls.call_id,
        source_calls.source_record_id,
        coalesce(source_calls.owner_id, transcripts.owner_id) as owner_id,

        -- text
        source_calls.title,
        case source_calls.call_direction
            when 'INBOUND' then 'inbound'
            else 'outbound'
        end as direction,
        source_calls.disposition,
        source_calls.call_status,

        -- numerics
        coalesce(source_calls.duration_ms, transcripts.duration_ms) as duration_ms,

        -- booleans
        source_calls.has_transcript
        or transcripts.transcript_id is not null as has_transcript,
        -- A meeting that was held counts once: the transcript of it is no second talk.
        coalesce(source_calls.call_status = 'COMPLETED', false)
        and not (
            starts_with(source_calls.call_id, 'transcripts:')
            and coalesce(meetings.is_held, false)
        ) as is_held,

        -- timestamps
        source_calls.occurred_at,
        source_calls.updated_at
    from source_calls
    left join deletions
        on source_calls.call_id = deletions.record_id
    left join transcripts
        on source_calls.call_id = transcripts.call_id
    left join transcripts as attached
        on source_calls.call_id = attached.transcript_id and attached.is_in_crm
    left join meetings
        on transcripts.meeting_id = meetings.meeting_id
    where
        deletions.record_id is null
        and attached.transcript_id is null

)

select * from final
