-- One row per place in another CRM that the values of a standing record are written to as well: the seed's rows, and the
-- confirmed twins.
with

aliases as (

    select
        record_id,
        stands_for_record_id,
        object_type,
        reason
    from {{ ref('int_record_aliases') }}

),

records as (

    select
        record_id,
        source,
        source_object_type,
        source_record_id
    from {{ ref('int_identity_people') }}

    union all

    select
        record_id,
        source,
        source_object_type,
        source_record_id
    from {{ ref('int_identity_accounts') }}

),

seeded as (

    select
        links.crm,
        links.object_type,
        links.crm_record_id,
        coalesce(aliases.stands_for_record_id, links.record_id) as record_id,
        0 as link_position
    from {{ ref('crm_links') }} as links
    left join aliases
        on links.record_id = aliases.record_id

),

twins as (

    select
        records.source as crm,
        records.source_object_type as object_type,
        records.source_record_id as crm_record_id,
        aliases.stands_for_record_id as record_id,
        1 as link_position
    from aliases
    inner join records
        on aliases.record_id = records.record_id
    where
        aliases.reason in ('same_person', 'same_account')
        and records.source <> split_part(aliases.stands_for_record_id, ':', 1)

),

everything as (

    select * from seeded

    union all

    select * from twins

),

final as (

    select
        crm,
        object_type,
        crm_record_id,
        record_id
    from everything
    where crm || ':' <> left(record_id, length(crm) + 1)
    qualify
        row_number() over (
            partition by
                crm,
                object_type,
                if(crm = 'salesforce', left(crm_record_id, 15), crm_record_id)
            order by link_position asc, record_id asc
        ) = 1

)

select * from final
