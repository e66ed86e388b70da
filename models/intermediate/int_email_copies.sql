-- One row per email that stands elsewhere as well and gives way: HubSpot's stands before Salesforce's before a
-- mailbox's. Two rows are one mail when they carry one Message-ID; where one of them shows none, when sender, subject
-- and a recipient are the same within a minute.
with

deletions as (

    select record_id from {{ ref('int_source_deletions') }}

),

-- What was deleted in the CRM stands for nothing: a mailbox that still has it does.
live as (

    select
        emails.email_id,
        emails.internet_message_id,
        emails.from_email,
        emails.thread_id,
        emails.email_direction,
        emails.occurred_at,
        string_split(emails.to_email, ';') as recipients,
        {{ normal_subject('emails.subject') }} as normal_subject,
        case {{ source_of('emails.email_id') }}
            when 'hubspot' then 1
            when 'salesforce' then 2
            else 3
        end as source_rank
    from {{ ref('int_source_emails') }} as emails
    left join deletions
        on emails.email_id = deletions.record_id
    where
        not emails.is_archived
        and deletions.record_id is null

),

by_message_id as (

    select
        email_id,
        first_value(email_id) over same_mail as standing_email_id,
        source_rank,
        first_value(source_rank) over same_mail as standing_rank,
        'message_id' as rule
    from live
    where internet_message_id is not null
    window same_mail as (
        partition by internet_message_id
        order by source_rank, email_id
    )

),

described as (

    select
        *,
        cast(floor(epoch(occurred_at) / 60) as bigint) as occurred_minute
    from live
    where
        from_email is not null
        and recipients is not null
        and occurred_at is not null

),

nearby as (

    select
        described.*,
        unnest([occurred_minute - 1, occurred_minute, occurred_minute + 1])
            as near_minute
    from described

),

by_description as (

    select
        later.email_id,
        first_value(earlier.email_id) over same_mail as standing_email_id,
        later.source_rank,
        first_value(earlier.source_rank) over same_mail as standing_rank,
        'description' as rule
    from described as later
    inner join nearby as earlier
        on
            later.occurred_minute = earlier.near_minute
            and later.from_email = earlier.from_email
            and later.normal_subject = earlier.normal_subject
    where
        earlier.source_rank < later.source_rank
        and abs(epoch(later.occurred_at) - epoch(earlier.occurred_at)) <= 60
        and list_has_any(later.recipients, earlier.recipients)
        -- Two Message-IDs are two mails, however alike they look.
        and (
            later.internet_message_id is null
            or earlier.internet_message_id is null
        )
    window same_mail as (
        partition by later.email_id
        order by earlier.source_rank, earlier.email_id
    )

),

copies as (

    select * from by_message_id
    where standing_rank < source_rank

    union all

    select * from by_description

),

chosen as (

    select *
    from copies
    -- The Message-ID is the better witness.
    qualify row_number() over (
        partition by email_id
        order by rule = 'description', standing_email_id
    ) = 1

),

final as (

    select
        -- ids
        chosen.email_id,
        -- What it gives way to may give way itself, to a CRM before it.
        coalesce(further.standing_email_id, chosen.standing_email_id)
            as standing_email_id,
        live.thread_id,

        -- text
        chosen.rule,
        live.email_direction
    from chosen
    inner join live
        on chosen.email_id = live.email_id
    left join chosen as further
        on chosen.standing_email_id = further.email_id

)

select * from final
