-- One row per record and document its research may read: an account's own documents, and those a contact wrote, got or
-- was on. Machine replies are left out. Numbered oldest first, so that a new document renames none.
with

documents as (

    select
        document_id,
        document_type,
        document_date,
        occurred_at,
        direction,
        -- Mail of people we don't know is nobody's word; in a call the turns say who speaks.
        case
            when
                document_type = 'email'
                and author_side = 'theirs'
                and not coalesce(author_is_known_contact, false)
                then 'unknown'
            else author_side
        end as author_side,
        author_email,
        account_id,
        contact_id,
        {{ single_line('subject') }} as subject,
        sha256(coalesce(body, '')) as body_hash,
        left(sha256(coalesce(lower({{ single_line('body') }}), document_id)), 16)
            as content_key
    from {{ ref('documents') }}
    where not coalesce(is_machine_reply, false)

),

-- Names of people who said no to us or to profiling are not shown.
authors as (

    select
        documents.document_id,
        min_by(
            contacts.full_name,
            row(
                case
                    when contacts.contact_id = documents.contact_id then 0
                    when contacts.account_id = documents.account_id then 1
                    else 2
                end,
                contacts.contact_id
            )
        ) as author_name
    from documents
    inner join {{ ref('int_contact_addresses') }} as addresses
        on documents.author_email = addresses.email
    inner join {{ ref('contacts') }} as contacts
        on addresses.contact_id = contacts.contact_id
    where
        documents.author_side = 'theirs'
        and not contacts.is_opted_out
        and contacts.full_name is not null
    group by documents.document_id

),

sellers as (

    select
        lower(email) as email,
        min(full_name) as full_name
    from {{ ref('owners') }}
    where email is not null
    group by lower(email)

),

reachable as (

    select
        'account' as record_type,
        account_id as record_id,
        document_id
    from documents
    where account_id is not null

    union

    select
        'contact' as record_type,
        contact_id as record_id,
        document_id
    from documents
    where contact_id is not null

    union

    select
        'contact' as record_type,
        document_contacts.contact_id as record_id,
        document_contacts.document_id
    from {{ ref('document_contacts') }} as document_contacts
    inner join documents
        on document_contacts.document_id = documents.document_id

),

final as (

    select
        -- ids
        reachable.record_type,
        reachable.record_id,
        reachable.document_id,
        row_number() over (
            partition by reachable.record_type, reachable.record_id
            order by documents.occurred_at asc nulls first, reachable.document_id asc
        ) as document_number,

        -- text
        documents.document_type,
        coalesce(documents.author_side, 'unknown') as author_side,
        coalesce(
            authors.author_name,
            case when documents.author_side = 'ours' then sellers.full_name end
        ) as author_name,
        documents.author_email,
        documents.direction,
        documents.subject,
        documents.body_hash,
        documents.content_key,

        -- timestamps
        documents.document_date
    from reachable
    inner join documents
        on reachable.document_id = documents.document_id
    left join authors
        on reachable.document_id = authors.document_id
    left join sellers
        on documents.author_email = sellers.email

)

select * from final
-- Looked up record by record: kept together on disk.
order by record_type asc, record_id asc, document_number asc
