-- One row per transcript: the call or meeting of a CRM or calendar that it is of, if exactly one can be meant.
with

transcripts as (

    select
        call_id as transcript_id,
        external_call_id,
        occurred_at,
        -- When a file was written says little about when people spoke.
        started_how <> 'file_time' as is_start_known
    from {{ ref('stg_transcripts__calls') }}

),

deletions as (

    select record_id from {{ ref('int_gone_records') }}

),

merged as (

    select
        merged_record_id,
        surviving_record_id
    from {{ ref('merged_records') }}

),

owners as (

    select
        owner_id,
        email,
        {{ plain_name("concat_ws(' ', first_name, last_name)") }} as plain_name
    from {{ ref('int_source_owners') }}

),

contacts as (

    select
        contact_id,
        email,
        {{ plain_name('full_name') }} as plain_name
    from {{ ref('int_contacts') }}

),

events as (

    select
        'call' as event_type,
        calls.call_id as event_id,
        calls.source_record_id,
        calls.owner_id,
        calls.occurred_at
    from {{ ref('int_source_calls') }} as calls
    left join deletions
        on calls.call_id = deletions.record_id
    where
        not calls.is_archived
        and deletions.record_id is null
        and not starts_with(calls.call_id, 'transcripts:')

    union all

    select
        'meeting' as event_type,
        meeting_id as event_id,
        source_record_id,
        owner_id,
        started_at as occurred_at
    from {{ ref('meetings') }}

),

event_contacts as (

    select
        from_record_id as event_id,
        to_record_id as contact_id
    from {{ ref('int_associations') }}
    where from_object_type = 'calls' and to_object_type = 'contacts'

    union

    select
        meeting_id as event_id,
        contact_id
    from {{ ref('meeting_attendees') }}

),

people as (

    select
        transcript_id,
        speaker_name,
        {{ plain_name('speaker_name') }} as plain_name,
        email,
        owner_id,
        contact_id,
        side
    from {{ ref('int_call_speakers_known') }}

),

-- 1. A file names the record, as a canonical id or as the CRM's own id where only one record has it.
named_events as (

    select
        transcripts.transcript_id,
        events.event_id,
        events.event_type
    from transcripts
    left join merged
        on transcripts.external_call_id = merged.merged_record_id
    inner join events
        on
            coalesce(merged.surviving_record_id, transcripts.external_call_id)
            = events.event_id

    union

    select
        transcripts.transcript_id,
        events.event_id,
        events.event_type
    from transcripts
    inner join events
        on transcripts.external_call_id = events.source_record_id

),

named as (

    select * from named_events
    qualify count(*) over (partition by transcript_id) = 1

),

-- 2. Within ten minutes, and with the people it should have.
near as (

    select
        transcripts.transcript_id,
        events.event_id,
        events.event_type,
        events.owner_id
    from transcripts
    inner join events
        on
            events.occurred_at
            between transcripts.occurred_at - interval 10 minute
            and transcripts.occurred_at + interval 10 minute
    left join named
        on transcripts.transcript_id = named.transcript_id
    where transcripts.is_start_known and named.transcript_id is null

),

near_owners as (

    select distinct
        near.transcript_id,
        near.event_id
    from near
    inner join owners
        on near.owner_id = owners.owner_id
    inner join people
        on
            near.transcript_id = people.transcript_id
            and (
                owners.owner_id = people.owner_id
                or owners.email = people.email
                or (
                    -- One word is no full name.
                    contains(people.plain_name, ' ')
                    and owners.plain_name = people.plain_name
                    and people.side <> 'theirs'
                )
            )

),

near_contacts as (

    select
        near.transcript_id,
        near.event_id,
        count(distinct contacts.contact_id) filter (
            where
            people.contact_id = contacts.contact_id
            or people.email = contacts.email
            or (
                contains(people.plain_name, ' ')
                and people.plain_name = contacts.plain_name
                and people.side <> 'ours'
            )
        ) as present_count
    from near
    inner join event_contacts
        on near.event_id = event_contacts.event_id
    inner join contacts
        on event_contacts.contact_id = contacts.contact_id
    left join people
        on near.transcript_id = people.transcript_id
    group by near.transcript_id, near.event_id

),

-- People of the transcript who are known by name or address and are not ours: if the record is of other people, it is
-- another call of the same seller.
strangers as (

    select distinct people.transcript_id
    from people
    left join owners
        on people.plain_name = owners.plain_name
    where
        people.side <> 'ours'
        and owners.owner_id is null
        and (
            people.email is not null
            or people.contact_id is not null
            or regexp_matches(people.plain_name, '^\p{L}{2,}( \p{L}+)+$')
        )
        and not regexp_matches(people.plain_name, '^(speaker|unknown|guest) ')

),

candidates as (

    select
        near.transcript_id,
        near.event_id,
        near.event_type,
        near_owners.event_id is not null as has_owner,
        coalesce(near_contacts.present_count, 0) > 0 as has_contact
    from near
    left join near_owners
        on
            near.transcript_id = near_owners.transcript_id
            and near.event_id = near_owners.event_id
    left join near_contacts
        on
            near.transcript_id = near_contacts.transcript_id
            and near.event_id = near_contacts.event_id
    left join strangers
        on near.transcript_id = strangers.transcript_id
    where
        near_contacts.present_count > 0
        or (
            near_owners.event_id is not null
            and (near_contacts.event_id is null or strangers.transcript_id is null)
        )

),

-- A call comes before the meeting it was held in; who is there on both sides before who is there on one.
ranked as (

    select
        *,
        case
            when has_contact and has_owner then 0
            when has_contact then 1
            else 2
        end as evidence_rank
    from candidates
    qualify
        evidence_rank
        = min(evidence_rank) over (partition by transcript_id, event_type)

),

single as (

    select
        transcript_id,
        event_id,
        event_type,
        case when has_contact then 'people_and_time' else 'owner_and_time' end
            as how_matched
    from ranked
    qualify count(*) over (partition by transcript_id, event_type) = 1

),

found as (

    select
        transcript_id,
        event_id,
        event_type,
        'crm_id' as how_matched,
        0 as rank
    from named

    union all

    select
        transcript_id,
        event_id,
        event_type,
        how_matched,
        case when event_type = 'call' then 1 else 2 end as rank
    from single

),

-- Two transcripts that could each be of one record are of neither, unless one names it.
claims as (

    select
        *,
        count(*) filter (where rank > 0) over (partition by event_id) as claim_count,
        min(rank) over (partition by event_id) as best_rank,
        row_number() over (
            partition by event_id, rank
            order by transcript_id asc
        ) as claim_number
    from found

),

allowed as (

    select
        transcript_id,
        event_id,
        event_type,
        how_matched
    from claims
    where
        (rank = 0 and claim_number = 1)
        or (rank > 0 and best_rank > 0 and claim_count = 1)

),

final as (

    select
        transcripts.transcript_id,
        max(allowed.event_id) filter (where allowed.event_type = 'call')
            as crm_call_id,
        max(allowed.event_id) filter (where allowed.event_type = 'meeting')
            as meeting_id,
        coalesce(
            max(allowed.how_matched) filter (where allowed.event_type = 'call'),
            max(allowed.how_matched) filter (where allowed.event_type = 'meeting'),
            case
                when count(claims.transcript_id) > 0 then 'claimed_twice'
                when count(candidates.transcript_id) > 0 then 'several_fit'
                else 'none_fits'
            end
        ) as how_matched
    from transcripts
    left join allowed
        on transcripts.transcript_id = allowed.transcript_id
    left join claims
        on transcripts.transcript_id = claims.transcript_id
    left join candidates
        on transcripts.transcript_id = candidates.transcript_id
    group by transcripts.transcript_id

)

select * from final
