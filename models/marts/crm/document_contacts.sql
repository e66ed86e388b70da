-- One row per document and contact it belongs to: as the CRM files it, and by the addresses of a mail in a mailbox.
with

documents as (

    select email_id as document_id from {{ ref('emails') }}

    union all

    select call_id as document_id from {{ ref('calls') }}

    union all

    select note_id as document_id from {{ ref('notes') }}

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
