-- One row per pair of records that a CRM, or the seed crm_links, says are the same. Salesforce's ids are compared by
-- their first 15 characters: the last three are a checksum that some exports leave out.
with

told as (

    select
        record_id,
        crm,
        object_type,
        crm_record_id
    from {{ ref('crm_links') }}

    union

    select
        record_id,
        crm,
        object_type,
        crm_record_id
    from {{ ref('stg_hubspot__cross_ids') }}

),

named as (

    select
        record_id as one_record_id,
        crm || ':' || case object_type
            when 'Account' then 'company'
            when 'Lead' then 'lead'
            else lower(object_type)
        end || ':' || if(crm = 'salesforce', left(crm_record_id, 15), crm_record_id)
            as other_key
    from told

),

records as (

    select
        record_id,
        source,
        source_record_id,
        'contacts' as object_type
    from {{ ref('int_identity_people') }}
    where record_kind = 'record'

    union all

    select
        record_id,
        source,
        source_record_id,
        'companies' as object_type
    from {{ ref('int_identity_accounts') }}

),

known as (

    select
        record_id,
        object_type,
        source || ':' || split_part(record_id, ':', 2) || ':'
        || if(source = 'salesforce', left(source_record_id, 15), source_record_id)
            as record_key
    from records

),

final as (

    select distinct
        known_one.object_type,
        least(known_one.record_id, known_other.record_id) as left_record_id,
        greatest(known_one.record_id, known_other.record_id) as right_record_id
    from named
    inner join known as known_one
        on named.one_record_id = known_one.record_id
    inner join known as known_other
        on
            named.other_key = known_other.record_key
            and known_one.object_type = known_other.object_type
    where known_one.record_id <> known_other.record_id

)

select * from final
