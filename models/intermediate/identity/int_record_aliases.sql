-- One row per record that another one stands for: merged away or converted by its CRM, or confirmed to be the same
-- person or account as a record of another CRM. The one that stands is never itself in here.
with

crm_merges as (

    select
        object_type,
        merged_record_id,
        surviving_record_id,
        reason
    from {{ ref('int_identity_merges') }}

),

-- A record of the same CRM as the one that stands stays on its own: duplicates inside one CRM are the CRM's to merge.
twins as (

    select
        record_id,
        object_type,
        standing_record_id
    from {{ ref('int_identity_clusters') }}
    where
        record_id <> standing_record_id
        and source <> split_part(standing_record_id, ':', 1)
        and source <> 'address'

),

final as (

    select
        crm_merges.merged_record_id as record_id,
        coalesce(twins.standing_record_id, crm_merges.surviving_record_id)
            as stands_for_record_id,
        crm_merges.object_type,
        crm_merges.reason
    from crm_merges
    left join twins
        on crm_merges.surviving_record_id = twins.record_id

    union all

    select
        twins.record_id,
        twins.standing_record_id as stands_for_record_id,
        twins.object_type,
        case twins.object_type
            when 'contacts' then 'same_person'
            else 'same_account'
        end as reason
    from twins
    left join crm_merges
        on twins.record_id = crm_merges.merged_record_id
    where crm_merges.merged_record_id is null

)

select * from final
