-- One row per mail of a mailbox, meeting of a calendar or transcript, and address that wrote, was written to or took part.
{{ config(materialized='view') }}

with

mail as (

    select
        email_id as record_id,
        unnest(
            string_split(
                concat_ws(';', from_email, to_email, cc_email), ';'
            )
        ) as email
    from {{ ref('int_source_emails') }}
    -- CRMs say themselves whose a mail is.
    where {{ source_of('email_id') }} = 'mailbox'

),

attendees as (

    select
        meeting_id as record_id,
        email,
        attendee_name as participant_name
    from {{ ref('stg_calendar__attendees') }}

),

voices as (

    select
        call_id as record_id,
        unnest(
            from_json(
                cast(participants_json as json),
                '[{"name": "VARCHAR", "email": "VARCHAR"}]'
            )
        ) as voice
    from {{ ref('stg_transcripts__calls') }}

),

everybody as (

    select
        record_id,
        email
    from mail

    union all by name

    select * from attendees

    union all by name

    select
        record_id,
        voice.email,
        voice.name as participant_name
    from voices

),

final as (

    select
        record_id,
        {{ source_of('record_id') }} as source,
        lower({{ clean('email') }}) as email,
        max({{ clean('participant_name') }}) as participant_name
    from everybody
    where {{ clean('email') }} is not null
    group by all

)

select * from final
