-- One row per reason for a next step that holds today: a reply nobody answered, a promise of ours past its day, a reason
-- to win a customer back, a meeting nobody can be briefed for. The closed list that policies/delivery.yml chooses from.
with

rules as (

    select * from {{ ref('stg_policy__recommendation_rules') }}

),

documents as (

    select
        document_id,
        contact_id,
        account_id,
        occurred_at,
        document_date,
        author_is_known_contact,
        is_machine_reply
    from {{ ref('documents') }}

),

-- What went out to somebody, or took place with them: after it, nothing is unanswered.
outreach as (

    select
        contact_id,
        account_id,
        occurred_at
    from {{ ref('int_engagement_events') }}
    where event_type in ('email_sent', 'call_held', 'meeting_held')

),

contact_outreach as (

    select
        contact_id,
        max(occurred_at) as last_outreach_at
    from outreach
    group by contact_id

),

account_outreach as (

    select
        account_id,
        max(occurred_at) as last_outreach_at
    from outreach
    group by account_id

),

newest_replies as (

    select
        documents.*,
        published.reply_class,
        published.answer_id,
        published.confidence,
        published.is_stale
    from {{ ref('published_reply_class') }} as published
    inner join documents
        on published.document_id = documents.document_id
    where
        documents.contact_id is not null
        and documents.author_is_known_contact
        and not documents.is_machine_reply
    qualify
        row_number() over (
            partition by documents.contact_id
            order by documents.occurred_at desc, documents.document_id asc
        ) = 1

),

unanswered_replies as (

    select
        'reply_unanswered' as signal,
        newest_replies.contact_id,
        newest_replies.account_id,
        newest_replies.document_id as rests_on,
        newest_replies.document_date as signal_date,
        newest_replies.reply_class,
        'reply_class' as evidence_operation,
        newest_replies.document_id as evidence_record_id,
        newest_replies.answer_id,
        newest_replies.confidence,
        newest_replies.is_stale
    from newest_replies
    left join contact_outreach
        on newest_replies.contact_id = contact_outreach.contact_id
    where
        contact_outreach.last_outreach_at is null
        or contact_outreach.last_outreach_at <= newest_replies.occurred_at

),

overdue_promises as (

    select
        'promise_overdue' as signal,
        facts.contact_id,
        facts.account_id,
        facts.fact_id as rests_on,
        facts.fact_date as signal_date,
        facts.valid_date as said_date,
        facts.fact_date as promised_date,
        'fact' as evidence_operation,
        facts.fact_id as evidence_record_id,
        facts.answer_id,
        false as is_stale
    from {{ ref('facts') }} as facts
    left join account_outreach
        on facts.account_id = account_outreach.account_id
    where
        facts.predicate = 'commitment'
        and facts.fact_value = 'ours'
        and facts.author_side = 'ours'
        and facts.polarity = 'affirmed'
        and facts.is_current
        and facts.account_id is not null
        and facts.fact_date < {{ as_of() }}
        and (
            account_outreach.last_outreach_at is null
            or account_outreach.last_outreach_at <= facts.occurred_at
        )
    -- One promise is often said twice; the last time counts.
    qualify
        row_number() over (
            partition by facts.account_id, facts.fact_date
            order by facts.occurred_at desc, facts.fact_id asc
        ) = 1

),

fired_win_backs as (

    select
        'win_back_fired' as signal,
        facts.contact_id,
        triggers.account_id,
        triggers.fact_id as rests_on,
        greatest(
            triggers.said_date,
            coalesce(triggers.budget_opens_date, triggers.said_date)
        ) as signal_date,
        triggers.said_date,
        triggers.churned_on as since_date,
        date_diff(
            'day', {{ utc_date('account_outreach.last_outreach_at') }}, {{ as_of() }}
        ) as quiet_days,
        'churn_revisit' as evidence_operation,
        triggers.account_id as evidence_record_id,
        triggers.answer_id,
        triggers.confidence,
        triggers.is_stale
    from {{ ref('revisit_triggers') }} as triggers
    inner join {{ ref('facts') }} as facts
        on triggers.fact_id = facts.fact_id
    left join account_outreach
        on triggers.account_id = account_outreach.account_id
    where triggers.state = 'fired'

),

unprepared_meetings as (

    select
        'meeting_without_brief' as signal,
        cast(null as varchar) as contact_id,
        meetings.account_id,
        meetings.meeting_id as rests_on,
        meetings.meeting_date as signal_date,
        meetings.owner_id,
        meetings.title as meeting_title,
        'meeting' as evidence_operation,
        meetings.meeting_id as evidence_record_id,
        false as is_stale
    from {{ ref('meeting_signals') }} as meetings
    left join {{ ref('meeting_briefs') }} as meeting_briefs
        on meetings.meeting_id = meeting_briefs.meeting_id
    where
        meeting_briefs.meeting_id is null
        and meetings.account_id is not null
        and meetings.meeting_date = {{ as_of() }}

),

signals as (

    select * from unanswered_replies

    union all by name

    select * from overdue_promises

    union all by name

    select * from fired_win_backs

    union all by name

    select * from unprepared_meetings

),

placed as (

    select
        signals.* exclude (account_id, owner_id),
        coalesce(signals.account_id, contacts.account_id) as account_id,
        coalesce(signals.owner_id, contacts.owner_id, accounts.owner_id) as owner_id,
        coalesce(contacts.full_name, contacts.email) as person_name,
        accounts.account_name,
        coalesce(contacts.is_opted_out, false) as is_opted_out,
        coalesce(
            contacts.contact_id, signals.account_id
        ) as subject_record_id
    from signals
    left join {{ ref('contacts') }} as contacts
        on signals.contact_id = contacts.contact_id
    left join {{ ref('accounts') }} as accounts
        on
            coalesce(signals.account_id, contacts.account_id)
            = accounts.account_id
    -- Of somebody who is no longer in the CRM nothing is recommended.
    where signals.contact_id is null or contacts.contact_id is not null

),

final as (

    select
        -- ids
        {{ delivery_key([
            "'task'", 'placed.signal', 'placed.subject_record_id', 'placed.rests_on'
        ]) }} as op_key,
        rules.rule_id,
        placed.subject_record_id,
        placed.contact_id,
        placed.account_id,
        owners.source_record_id as crm_owner_id,
        placed.rests_on,
        placed.answer_id,
        placed.evidence_operation,
        placed.evidence_record_id,

        -- text
        placed.signal,
        rules.operation,
        placed.person_name,
        placed.account_name,
        placed.reply_class,
        placed.meeting_title,

        -- numerics
        placed.confidence,

        -- booleans
        placed.is_stale,

        -- dates
        placed.signal_date,
        placed.said_date,
        placed.promised_date,
        placed.since_date
    from placed
    inner join rules
        on
            placed.signal = rules.signal
            and (
                placed.reply_class is null
                or list_contains(rules.reply_classes, placed.reply_class)
            )
            and date_diff('day', placed.signal_date, {{ as_of() }})
            between 0 and rules.within_days
            and (
                rules.quiet_days is null
                or placed.quiet_days is null
                or placed.quiet_days >= rules.quiet_days
            )
    left join {{ ref('owners') }} as owners
        on placed.owner_id = owners.owner_id and not owners.is_archived
    left join {{ ref('contact_gates') }} as contact_gates
        on
            rules.operation = contact_gates.operation
            and placed.contact_id = contact_gates.contact_id
    left join {{ ref('account_gates') }} as account_gates
        on
            rules.operation = account_gates.operation
            and placed.account_id = account_gates.account_id
    where
        -- Tasks are put into HubSpot, and only its own records have a page there.
        placed.subject_record_id not like 'salesforce:%'
        and not placed.is_opted_out
        and contact_gates.contact_id is null
        and account_gates.account_id is null
    -- Where two rules ask for the same thing, the first one does.
    qualify
        row_number() over (
            partition by placed.signal, placed.subject_record_id, placed.rests_on
            order by rules.rule_position asc
        ) = 1

)

select * from final
