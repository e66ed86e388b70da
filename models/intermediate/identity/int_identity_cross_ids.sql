-- One row per pair of records that a CRM, or the seed crm_links, says are the same.
with

seeded as (

    select
        record_id as one_record_id,
        crm || ':' || case object_type
            when 'Account' then 'company'
            when 'Lead' then 'lead'
            else lower(object_type)
        end || ':' || crm_record_id as other_record_id
    from {{ ref('crm_links') }}

),

known as (

    select
        record_id,
        'contacts' as object_type
    from {{ ref('int_identity_people') }}

    union all

    select
        record_id,
        'companies' as object_type
    from {{ ref('int_identity_accounts') }}

),

final as (

    select distinct
        known_one.object_type,
        least(seeded.one_record_id, seeded.other_record_id) as left_record_id,
        greatest(seeded.one_record_id, seeded.other_record_id) as right_record_id
    from seeded
    inner join known as known_one
        on seeded.one_record_id = known_one.record_id
    inner join known as known_other
        on
            seeded.other_record_id = known_other.record_id
            and known_one.object_type = known_other.object_type
    where seeded.one_record_id <> seeded.other_record_id

)

select * from final
