-- One row per live email, once however many systems have it: who wrote to whom, and whether a machine did. The text is
-- in documents.
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
        {{ email_header('headers_json', 'Precedence') }} as precedence,
        message_class,
        class_header,
        mailbox_owner_email
    from {{ ref('int_source_emails') }}
    where not is_archived

),

copies as (

    select
        email_id,
        standing_email_id,
        thread_id,
        email_direction
    from {{ ref('int_email_copies') }}

),

-- What the copies know and the standing mail may lack.
known_of_copies as (

    select
        copies.standing_email_id,
        min_by(copies.thread_id, copies.email_id) as thread_id,
        min_by(copies.email_direction, copies.email_id) as email_direction,
        -- A CRM drops the headers by which a mailbox knows what a machine sent.
        min_by(emails.message_class, copies.email_id) as message_class,
        min_by(emails.class_header, copies.email_id) as class_header
    from copies
    inner join emails
        on copies.email_id = emails.email_id
    group by copies.standing_email_id

),

-- A conversation that the CRM names keeps its name for the mails that only a mailbox has.
named_threads as (

    select
        copies.thread_id,
        min_by(
            emails.thread_id, row(emails.occurred_at, emails.email_id)
        ) as crm_thread_id
    from copies
    inner join emails
        on copies.standing_email_id = emails.email_id
    where
        copies.thread_id is not null
        and emails.thread_id is not null
    group by copies.thread_id

),

owners as (

    select
        email,
        min(owner_id) as owner_id
    from {{ ref('int_source_owners') }}
    where email is not null
    group by email

),

standing as (

    select
        emails.email_id,
        emails.source_record_id,
        emails.subject,
        emails.email_status,
        emails.from_email,
        emails.to_email,
        emails.cc_email,
        emails.outreach_motion,
        emails.sequence_step,
        emails.occurred_at,
        emails.updated_at,
        emails.auto_submitted,
        emails.auto_reply,
        emails.precedence,
        coalesce(emails.message_class, known_of_copies.message_class)
            as message_class,
        coalesce(emails.class_header, known_of_copies.class_header) as class_header,
        coalesce(emails.owner_id, owners.owner_id) as owner_id,
        coalesce(
            emails_thread.crm_thread_id,
            emails.thread_id,
            copies_thread.crm_thread_id,
            known_of_copies.thread_id
        ) as thread_id,
        case
            -- Passed on to the CRM: the mailbox knows who sent it.
            when
                emails.email_direction is null
                or emails.email_direction = 'FORWARDED_EMAIL'
                then
                    coalesce(
                        known_of_copies.email_direction, emails.email_direction
                    )
            else emails.email_direction
        end as email_direction
    from emails
    left join copies
        on emails.email_id = copies.email_id
    left join known_of_copies
        on emails.email_id = known_of_copies.standing_email_id
    left join named_threads as emails_thread
        on emails.thread_id = emails_thread.thread_id
    left join named_threads as copies_thread
        on known_of_copies.thread_id = copies_thread.thread_id
    left join owners
        on emails.mailbox_owner_email = owners.email
    where copies.email_id is null

),

deletions as (

    select record_id from {{ ref('int_source_deletions') }}

),

internal_domains as (

    select domain from {{ ref('int_internal_domains') }}

),

-- Who is written to, by domain; a seller's own address is ours under any.
recipients as (

    select
        email_id,
        unnest(regexp_extract_all(to_email, '[^;,\s<>]+@[^;,\s<>]+')) as email
    from standing

),

-- A mail to nobody but us is internal, whoever of us is named first.
reached as (

    select
        recipients.email_id,
        bool_and(internal_domains.domain is not null or owners.email is not null)
            as is_to_us_alone
    from recipients
    left join internal_domains
        on split_part(recipients.email, '@', 2) = internal_domains.domain
    left join owners
        on recipients.email = owners.email
    group by recipients.email_id

),

-- A list of ours (sales@ as a group) passes on what people write; any other list sends.
own_lists as (

    select distinct standing.email_id
    from standing
    inner join internal_domains
        on contains(lower(standing.class_header), internal_domains.domain)
    where standing.message_class = 'list'

),

placed as (

    select
        standing.*,
        sender.domain is not null or seller.email is not null as is_from_us,
        coalesce(standing.message_class = 'list', false)
        and own_lists.email_id is null as is_list_mail,
        case
            when
                standing.email_direction = 'EMAIL'
                and coalesce(reached.is_to_us_alone, false)
                then 'internal'
            when standing.email_direction = 'EMAIL' then 'outbound'
            when standing.email_direction = 'INCOMING_EMAIL' then 'inbound'
            when sender.domain is not null or seller.email is not null
                then 'internal'
            else 'inbound'
        end as direction
    from standing
    left join internal_domains as sender
        on split_part(standing.from_email, '@', 2) = sender.domain
    left join owners as seller
        on standing.from_email = seller.email
    left join reached
        on standing.email_id = reached.email_id
    left join own_lists
        on standing.email_id = own_lists.email_id
    left join deletions
        on standing.email_id = deletions.record_id
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
            is_list_mail
            or {{ is_machine_reply(
                'auto_submitted',
                'auto_reply',
                'precedence',
                'from_email',
                'message_class'
            ) }}
        ) as is_machine_reply,
        direction = 'inbound' and is_list_mail as is_list_mail,

        -- timestamps
        occurred_at,
        updated_at
    from placed

)

select * from final
