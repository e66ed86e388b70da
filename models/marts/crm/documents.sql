-- One row per text that somebody wrote or said: emails, calls, notes; with who it is from and whom it concerns.
with

emails as (

    select
        email_id as document_id,
        'email' as document_type,
        source_record_id,
        occurred_at,
        direction,
        author_side,
        from_email as author_email,
        to_email,
        thread_id,
        auto_submitted,
        is_machine_reply,
        is_list_mail
    from {{ ref('emails') }}

),

calls as (

    select
        call_id as document_id,
        'call' as document_type,
        source_record_id,
        occurred_at,
        direction,
        -- Both sides speak; the turns say who.
        'unknown' as author_side,
        title as subject
    from {{ ref('calls') }}

),

notes as (

    select
        notes.note_id as document_id,
        'note' as document_type,
        notes.source_record_id,
        notes.occurred_at,
        'internal' as direction,
        'ours' as author_side,
        owners.email as author_email
    from {{ ref('notes') }} as notes
    left join {{ ref('owners') }} as owners
        on notes.owner_id = owners.owner_id

),

accounts as (

    select account_id from {{ ref('accounts') }}

),

document_contacts as (

    select * from {{ ref('document_contacts') }}

),

addresses as (

    select * from {{ ref('int_contact_addresses') }}

),

associated_accounts as (

    select
        associations.from_record_id as document_id,
        min_by(
            accounts.account_id,
            row(associations.association_rank, accounts.account_id)
        ) as account_id
    from {{ ref('int_associations') }} as associations
    inner join accounts
        on associations.to_record_id = accounts.account_id
    where associations.from_object_type in ('emails', 'calls', 'notes')
    group by associations.from_record_id

),

associated_deals as (

    select
        associations.from_record_id as document_id,
        min(
            coalesce(copies.stands_for_record_id, associations.to_record_id)
        ) as deal_id
    from {{ ref('int_associations') }} as associations
    left join {{ ref('int_crm_copies') }} as copies
        on associations.to_record_id = copies.record_id
    where
        associations.from_object_type in ('emails', 'calls', 'notes')
        and associations.to_object_type = 'deals'
    group by associations.from_record_id

),

associated_contacts as (

    select
        document_contacts.document_id,
        -- Whoever wrote it or was written to comes before others in copy.
        min_by(
            document_contacts.contact_id,
            row(
                case
                    when document_contacts.email = emails.author_email then 0
                    when
                        contains(
                            ';' || replace(emails.to_email, ' ', '') || ';',
                            ';' || document_contacts.email || ';'
                        )
                        then 0
                    else 1
                end,
                document_contacts.contact_id
            )
        ) as contact_id
    from document_contacts
    left join emails
        on document_contacts.document_id = emails.document_id
    group by document_contacts.document_id

),

authors as (

    select
        emails.document_id,
        min_by(
            addresses.contact_id,
            row(
                case
                    when document_contacts.contact_id is not null then 0
                    when addresses.account_id = associated_accounts.account_id then 1
                    else 2
                end,
                addresses.contact_id
            )
        ) as contact_id,
        list(distinct addresses.account_id) as account_ids
    from emails
    inner join addresses
        on emails.author_email = addresses.email
    left join document_contacts
        on
            emails.document_id = document_contacts.document_id
            and addresses.contact_id = document_contacts.contact_id
    left join associated_accounts
        on emails.document_id = associated_accounts.document_id
    where emails.author_side = 'theirs'
    group by emails.document_id

),

everything as (

    select
        document_id,
        document_type,
        source_record_id,
        occurred_at,
        direction,
        author_side,
        author_email,
        thread_id,
        auto_submitted,
        is_machine_reply,
        is_list_mail
    from emails

    union all by name

    select
        document_id,
        document_type,
        source_record_id,
        occurred_at,
        direction,
        author_side,
        false as is_machine_reply,
        false as is_list_mail
    from calls

    union all by name

    select
        document_id,
        document_type,
        source_record_id,
        occurred_at,
        direction,
        author_side,
        author_email,
        false as is_machine_reply,
        false as is_list_mail
    from notes

),

-- Of two transcripts of one call the fuller one counts.
transcripts as (

    select
        call_id,
        max_by(body, row(length(body), transcript_id)) as body,
        max_by(account_id, row(length(body), transcript_id)) as account_id,
        max_by(deal_id, row(length(body), transcript_id)) as deal_id
    from {{ ref('int_call_transcripts') }}
    group by call_id

),

texts as (

    select
        email_id as document_id,
        subject,
        body
    from {{ ref('int_source_emails') }}

    union all

    select
        source_calls.call_id as document_id,
        source_calls.title as subject,
        -- What a recorder wrote down comes before what somebody noted, unless the CRM has the words itself. A file's
        -- own lines never count: in them guests may call themselves one of ours.
        case
            when
                {{ source_of('source_calls.call_id') }} <> 'transcripts'
                and regexp_matches(source_calls.body, '^\[[0-9:]+\] [^\n:]+:')
                then source_calls.body
            else coalesce(transcripts.body, source_calls.body)
        end as body
    from {{ ref('int_source_calls') }} as source_calls
    left join transcripts
        on source_calls.call_id = transcripts.call_id

    union all

    select
        note_id as document_id,
        cast(null as varchar) as subject,
        body
    from {{ ref('int_source_notes') }}

),

linked as (

    select
        everything.*,
        coalesce(authors.contact_id, associated_contacts.contact_id) as contact_id,
        coalesce(
            associated_accounts.account_id,
            author_contact.account_id,
            associated_contact.account_id,
            transcripts.account_id
        ) as account_id,
        coalesce(associated_deals.deal_id, transcripts.deal_id) as deal_id,
        authors.contact_id is not null as is_author_a_contact,
        authors.account_ids as author_account_ids
    from everything
    left join authors
        on everything.document_id = authors.document_id
    left join {{ ref('int_contacts') }} as author_contact
        on authors.contact_id = author_contact.contact_id
    left join associated_contacts
        on everything.document_id = associated_contacts.document_id
    left join {{ ref('int_contacts') }} as associated_contact
        on associated_contacts.contact_id = associated_contact.contact_id
    left join associated_accounts
        on everything.document_id = associated_accounts.document_id
    left join associated_deals
        on everything.document_id = associated_deals.document_id
    left join transcripts
        on everything.document_id = transcripts.call_id

),

final as (

    select
        -- ids
        linked.document_id,
        linked.source_record_id,
        linked.contact_id,
        linked.account_id,
        linked.deal_id,
        linked.thread_id,

        -- text
        linked.document_type,
        linked.direction,
        linked.author_side,
        linked.author_email,
        linked.auto_submitted,
        texts.subject,
        texts.body,

        -- booleans
        linked.is_author_a_contact
        and (
            linked.account_id is null
            or list_contains(linked.author_account_ids, linked.account_id)
        ) as author_is_known_contact,
        linked.is_machine_reply,
        linked.is_list_mail,

        -- timestamps
        linked.occurred_at,
        {{ utc_date('linked.occurred_at') }} as document_date
    from linked
    inner join texts
        on linked.document_id = texts.document_id
    -- What no CRM holds is read only if somebody we know takes part: a seller's mailbox is full of other people's mail.
    where
        {{ source_of('linked.document_id') }} in ('hubspot', 'salesforce')
        or linked.contact_id is not null
        or linked.account_id is not null

)

select * from final
