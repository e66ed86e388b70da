-- One row per Salesforce email, as a message or logged as a task: renamed and cast. A view, so that the bodies are copied
-- once (documents).
{{ config(materialized='view') }}

with

email_messages as (

    select
        *,
        -- A mail that has a text is not asked for its HTML.
        case
            when {{ clean('text_body') }} is null
                then {{ html_without_tags('html_body') }}
        end as html_text
    from {{ source('salesforce', 'email_messages') }}
    -- A draft was not sent.
    where status is distinct from '5'

),

tasks as (

    select * from {{ source('salesforce', 'tasks') }}

),

kinds as (

    select * from {{ ref('stg_salesforce__task_kinds') }}
    where object_type = 'emails'

),

owners as (

    select
        source_record_id,
        email
    from {{ ref('stg_salesforce__owners') }}

),

our_addresses as (

    select distinct email from owners

),

sent_messages as (

    select
        -- ids
        {{ salesforce_id('email', 'email_messages.id') }} as email_id,
        email_messages.id as source_record_id,
        'EmailMessage' as source_object_type,
        -- Whoever the mail's task belongs to; a mail that came by a connector was created by the connector's user.
        {{ salesforce_owner(
            'coalesce(tasks.owner_id, email_messages.created_by_id)'
        ) }} as owner_id,
        {{ clean('email_messages.thread_identifier') }} as thread_id,
        {{ message_id('email_messages.message_identifier') }}
            as internet_message_id,

        -- text
        email_messages.subject,
        -- The text as it is; a mail without any is read from its HTML.
        case
            when {{ clean('email_messages.text_body') }} is not null
                then email_messages.text_body
            else coalesce(
                {{ entities_as_text('email_messages.html_text') }},
                email_messages.text_body
            )
        end as body,
        case
            when not coalesce(email_messages.incoming, false) then 'EMAIL'
            -- Somebody passed it on to us: who sent it says whose it is.
            when email_messages.status = '4' then 'FORWARDED_EMAIL'
            else 'INCOMING_EMAIL'
        end as email_direction,
        case
            when email_messages.is_bounced then 'BOUNCED'
            else 'SENT'
        end as email_status,
        {{ mail_headers_json('email_messages.headers') }} as headers_json,
        {{ clean('lower(email_messages.from_address)') }} as from_email,
        {{ address_list('email_messages.to_address') }} as to_email,
        {{ address_list('email_messages.cc_address') }} as cc_email,
        {{ clean('email_messages.outreach_motion') }} as outreach_motion,
        {{ clean('email_messages.sequence_step') }} as sequence_step,

        -- booleans
        coalesce(email_messages.is_deleted, false) as is_archived,

        -- timestamps
        coalesce(
            email_messages.message_date, email_messages.created_date
        ) as occurred_at,
        coalesce(
            email_messages.last_modified_date, email_messages.system_modstamp
        ) as updated_at
    from email_messages
    left join tasks
        on email_messages.activity_id = tasks.id

),

heads as (

    select
        tasks.*,
        kinds.record_id,
        {{ logged_email_head('tasks.description') }} as head
    from tasks
    inner join kinds
        on tasks.id = kinds.source_record_id
    where not kinds.has_own_message

),

read_heads as (

    select
        *,
        {{ logged_email_addresses('head', 'from') }} as sender,
        {{ logged_email_addresses('head', '(?:additional )?to') }} as recipients,
        {{ logged_email_addresses('head', 'cc') }} as copied,
        -- What Salesforce itself writes when a seller sends a mail from it.
        regexp_matches(head, '(?im)^[ \t]*additional to:')
        or coalesce(regexp_matches(subject, '(?i)^email:'), false)
            as is_sent_from_here
    from heads

),

logged_emails as (

    select
        -- ids
        read_heads.record_id as email_id,
        read_heads.id as source_record_id,
        'Task' as source_object_type,
        {{ salesforce_owner('read_heads.owner_id') }} as owner_id,
        cast(null as varchar) as thread_id,
        cast(null as varchar) as internet_message_id,

        -- text
        {{ clean("regexp_replace(read_heads.subject, '(?i)^email:', '')") }}
            as subject,
        {{ clean(
            "regexp_replace("
            ~ "substr(read_heads.description, length(read_heads.head) + 1), "
            ~ "'^[ \\t]*(?i:body):[ \\t]*\\r?\\n?', '')"
        ) }} as body,
        case
            when read_heads.sender is null and read_heads.is_sent_from_here
                then 'EMAIL'
            -- Nothing says who wrote it.
            when read_heads.sender is null then 'FORWARDED_EMAIL'
            when our_addresses.email is not null then 'EMAIL'
            else 'INCOMING_EMAIL'
        end as email_direction,
        'SENT' as email_status,
        cast(null as varchar) as headers_json,
        coalesce(
            read_heads.sender,
            case when read_heads.is_sent_from_here then owners.email end
        ) as from_email,
        read_heads.recipients as to_email,
        read_heads.copied as cc_email,
        {{ clean('read_heads.outreach_motion') }} as outreach_motion,
        {{ clean('read_heads.sequence_step') }} as sequence_step,

        -- booleans
        coalesce(read_heads.is_deleted, false) as is_archived,

        -- timestamps
        {{ salesforce_done_at('read_heads') }} as occurred_at,
        coalesce(
            read_heads.last_modified_date, read_heads.system_modstamp
        ) as updated_at
    from read_heads
    left join owners
        on read_heads.owner_id = owners.source_record_id
    left join our_addresses
        on read_heads.sender = our_addresses.email

)

select * from sent_messages

union all by name

select * from logged_emails
