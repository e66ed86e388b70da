-- One row per document and contact it belongs to in the CRM.
with

documents as (

    select email_id as document_id from {{ ref('emails') }}

    union all

    select call_id as document_id from {{ ref('calls') }}

    union all

    select note_id as document_id from {{ ref('notes') }}

),

final as (

    select
        associations.from_record_id as document_id,
        contacts.contact_id,
        contacts.account_id,
        contacts.email
    from {{ ref('int_associations') }} as associations
    inner join documents
        on associations.from_record_id = documents.document_id
    inner join {{ ref('int_contacts') }} as contacts
        on associations.to_record_id = contacts.contact_id
    where associations.to_object_type = 'contacts'

)

select * from final
