-- One row per address and live contact it belongs to: a merged-away record's address stays its survivor's.
with

addresses as (

    select
        contacts.email,
        coalesce(merged.surviving_record_id, contacts.contact_id) as contact_id
    from {{ ref('int_source_contacts') }} as contacts
    left join {{ ref('merged_records') }} as merged
        on contacts.contact_id = merged.merged_record_id
    where contacts.email is not null

),

final as (

    select distinct
        addresses.email,
        live.contact_id,
        live.account_id
    from addresses
    inner join {{ ref('int_contacts') }} as live
        on addresses.contact_id = live.contact_id

)

select * from final
