-- One row per pair of records that belong together, merged-away records replaced by the ones that stand for them.
with

associations as (

    select * from {{ ref('int_source_associations') }}

),

merged as (

    select
        merged_record_id,
        surviving_record_id
    from {{ ref('merged_records') }}

),

final as (

    select
        associations.from_object_type,
        coalesce(
            merged_from.surviving_record_id, associations.from_record_id
        ) as from_record_id,
        associations.to_object_type,
        coalesce(
            merged_to.surviving_record_id, associations.to_record_id
        ) as to_record_id,
        -- HubSpot's primary company (type 1) comes first wherever one record has to be chosen.
        min(case associations.association_type_id when 1 then 0 else 1 end)
            as association_rank
    from associations
    left join merged as merged_from
        on associations.from_record_id = merged_from.merged_record_id
    left join merged as merged_to
        on associations.to_record_id = merged_to.merged_record_id
    group by all

)

select * from final
