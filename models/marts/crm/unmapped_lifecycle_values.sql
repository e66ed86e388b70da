-- One row per CRM, kind of record and word for how far it is that policies/lifecycle.yml does not know, among live
-- records: for them the stage is unknown.
with

live as (

    select contact_id as record_id
    from {{ ref('int_contacts') }}

    union all

    select account_id as record_id
    from {{ ref('accounts') }}

),

final as (

    select
        stages.crm,
        stages.source_object_type,
        stages.source_lifecycle_stage,
        count(*) as record_count,
        min(stages.record_id) as example_record_id
    from {{ ref('int_lifecycle_stages') }} as stages
    inner join live
        on stages.record_id = live.record_id
    where
        stages.source_lifecycle_stage is not null
        and stages.lifecycle_stage is null
    group by stages.crm, stages.source_object_type, stages.source_lifecycle_stage

)

select * from final
