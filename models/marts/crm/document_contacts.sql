-- One row per document and contact it belongs to: as the CRM files it, and by the addresses of a mail in a mailbox. Of
-- those only addresses of outsiders count: a seller who is a contact as well would open every mail of their own to all.
with

documents as (

    select email_id as document_id from {{ ref('emails') }}

    union all

    select call_id as document_id from {{ ref('calls') }}

    union all

    select note_id as document_id from {{ ref('notes') }}

),

-- Whoever has a mailbox of ours, or owns records, is ours, whatever domain they write from.
ours as (

    select email
    from {{ ref('int_source_owners') }}
    where email is not null

    union

    select mailbox_owner_email as email
    from {{ ref('int_source_emails') }}
    where mailbox_owner_email is not null

),

linked as (

    select
        from_record_id as document_id,
        to_record_id as contact_id
    from {{ ref('int_associations') }}
    where to_object_type = 'contacts'

    union

    select
        participants.record_id as document_id,
        addresses.contact_id
    from {{ ref('int_source_participants') }} as participants
    inner join {{ ref('int_contact_addresses') }} as addresses
        on participants.email = addresses.email
    left join {{ ref('int_internal_domains') }} as internal_domains
        on split_part(participants.email, '@', 2) = internal_domains.domain
    left join ours
        on participants.email = ours.email
    where internal_domains.domain is null and ours.email is null

    union

    select
        call_id as document_id,
        contact_id
    from {{ ref('int_call_speakers') }}
    where contact_id is not null

),

final as (

    select
        linked.document_id,
        contacts.contact_id,
        contacts.account_id,
        contacts.email
    from linked
    inner join documents
        on linked.document_id = documents.document_id
    inner join {{ ref('int_contacts') }} as contacts
        on linked.contact_id = contacts.contact_id

)

select * from final
