-- One row per live email: who wrote to whom, and whether a machine did. The text is in documents.
with

emails as (

    select
        email_id,
        source_record_id,
        owner_id,
        thread_id,
        subject,
        email_direction,
        email_status,
        from_email,
        to_email,
        cc_email,
        outreach_motion,
        sequence_step,
        occurred_at,
        updated_at,
        {{ email_header('headers_json', 'Auto-Submitted') }} as auto_submitted,
        coalesce(
            {{ email_header('headers_json', 'X-Autoreply') }},
            {{ email_header('headers_json', 'X-Autorespond') }}
        ) as auto_reply,
        {{ email_header('headers_json', 'Precedence') }} as precedence
    from {{ ref('int_source_emails') }}
    where not is_archived

),

deletions as (

    select record_id from {{ ref('int_source_deletions') }}

),

internal_domains as (

    select domain from {{ ref('int_internal_domains') }}

),

placed as (

    select
        emails.*,
        sender.domain is not null as is_from_us,
        case
            when emails.email_direction = 'EMAIL' and recipient.domain is not null
                then 'internal'
            when emails.email_direction = 'EMAIL' then 'outbound'
            when emails.email_direction = 'INCOMING_EMAIL' then 'inbound'
            when sender.domain is not null then 'internal'
            else 'inbound'
        end as direction
    from emails
    left join internal_domains as sender
        on split_part(emails.from_email, '@', 2) = sender.domain
    left join internal_domains as recipient
        on regexp_extract(emails.to_email, '@([^;,\s>]+)', 1) = recipient.domain
    left join deletions
        on emails.email_id = deletions.record_id
    where deletions.record_id is null

),

final as (

    select
        -- ids
        email_id,
        source_record_id,
        owner_id,
        thread_id,

        -- text
        subject,
        direction,
        case
            when direction in ('outbound', 'internal') then 'ours'
            -- Mail from outside that claims to be from us proves nothing.
            when from_email is null or is_from_us then 'unknown'
            else 'theirs'
        end as author_side,
        email_status,
        from_email,
        to_email,
        cc_email,
        auto_submitted,
        outreach_motion,
        sequence_step,

        -- booleans
        direction = 'inbound'
        and (
            {{ is_machine_reply(
                'auto_submitted', 'auto_reply', 'precedence', 'from_email'
            ) }}
        ) as is_machine_reply,

        -- timestamps
        occurred_at,
        updated_at
    from placed

)

select * from final
