-- One row per contact and motion (win-back, net-new): what was sent, whether they answered, and what came of it.
with

sent as (

    select
        emails.email_id,
        emails.outreach_motion as motion,
        documents.contact_id,
        documents.account_id,
        emails.occurred_at,
        emails.thread_id
    from {{ ref('emails') }} as emails
    inner join {{ ref('documents') }} as documents
        on emails.email_id = documents.document_id
    where
        emails.outreach_motion is not null
        and emails.direction = 'outbound'
        and documents.contact_id is not null

),

sequences as (

    select
        contact_id,
        motion,
        min_by(account_id, row(occurred_at, email_id)) as account_id,
        min(occurred_at) as first_sent_at,
        max(occurred_at) as last_sent_at,
        count(*) as email_count
    from sent
    group by contact_id, motion

),

replies as (

    select
        documents.document_id,
        documents.contact_id,
        documents.occurred_at,
        published.reply_class
    from {{ ref('documents') }} as documents
    left join {{ ref('published_reply_class') }} as published
        on documents.document_id = published.document_id
    where
        documents.document_type = 'email'
        and documents.direction = 'inbound'
        and not documents.is_machine_reply
        and documents.author_is_known_contact

),

-- A reply belongs to the motion whose mail came last before it, within 30 days of that mail.
first_replies as (

    select
        sent.contact_id,
        sent.motion,
        replies.document_id,
        replies.occurred_at,
        replies.reply_class
    from replies
    inner join sent
        on
            replies.contact_id = sent.contact_id
            and replies.occurred_at > sent.occurred_at
            and replies.occurred_at <= sent.occurred_at + interval 30 day
    qualify
        row_number() over (
            partition by replies.document_id
            order by sent.occurred_at desc, sent.email_id asc
        ) = 1

),

replied as (

    select
        contact_id,
        motion,
        min(occurred_at) as replied_at,
        min_by(reply_class, row(occurred_at, document_id)) as reply_class
    from first_replies
    group by contact_id, motion

),

meetings as (

    select
        sequences.contact_id,
        sequences.motion,
        min(meetings.started_at) as met_at
    from sequences
    inner join {{ ref('meeting_attendees') }} as meeting_attendees
        on sequences.contact_id = meeting_attendees.contact_id
    inner join {{ ref('meetings') }} as meetings
        on
            meeting_attendees.meeting_id = meetings.meeting_id
            and coalesce(
                meetings.outcome not in ('CANCELED', 'NO_SHOW', 'RESCHEDULED'), true
            )
            and sequences.first_sent_at < meetings.started_at
            and sequences.last_sent_at + interval 30 day >= meetings.started_at
    group by sequences.contact_id, sequences.motion

),

deals as (

    select
        sequences.contact_id,
        sequences.motion,
        min_by(deals.deal_id, row(deals.created_at, deals.deal_id)) as deal_id,
        min_by(deals.amount, row(deals.created_at, deals.deal_id)) as deal_amount,
        bool_or(deals.is_won) as is_won
    from sequences
    inner join {{ ref('deals') }} as deals
        on
            sequences.account_id = deals.account_id
            and sequences.first_sent_at < deals.created_at
            and sequences.last_sent_at + interval 90 day >= deals.created_at
    group by sequences.contact_id, sequences.motion

),

final as (

    select
        -- ids
        sequences.contact_id,
        sequences.motion,
        sequences.account_id,
        deals.deal_id,

        -- text
        coalesce(accounts.industry, 'unknown') as industry,
        coalesce(lead_scores.tier, 'none') as lead_tier,
        coalesce(icp_scores.tier, 'none') as icp_tier,
        replied.reply_class,

        -- numerics
        sequences.email_count,
        deals.deal_amount,

        -- booleans
        replied.contact_id is not null as has_replied,
        coalesce(replied.reply_class in ('positive', 'question', 'referral'), false)
            as has_replied_positively,
        meetings.contact_id is not null as has_met_30d,
        deals.deal_id is not null as has_deal_90d,
        coalesce(deals.is_won, false) as has_won_90d,

        -- timestamps
        sequences.first_sent_at,
        sequences.last_sent_at,
        replied.replied_at,
        meetings.met_at
    from sequences
    left join {{ ref('accounts') }} as accounts
        on sequences.account_id = accounts.account_id
    left join {{ ref('lead_scores') }} as lead_scores
        on sequences.contact_id = lead_scores.contact_id
    left join {{ ref('icp_scores') }} as icp_scores
        on sequences.account_id = icp_scores.account_id
    left join replied
        on
            sequences.contact_id = replied.contact_id
            and sequences.motion = replied.motion
    left join meetings
        on
            sequences.contact_id = meetings.contact_id
            and sequences.motion = meetings.motion
    left join deals
        on
            sequences.contact_id = deals.contact_id
            and sequences.motion = deals.motion

)

select * from final
