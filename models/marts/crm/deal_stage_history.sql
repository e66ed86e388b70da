-- One row per stage that a deal has been in, and when it came there and left it.
with

history as (

    select
        record_id as deal_id,
        property_value as stage_id,
        changed_at,
        source_type
    from {{ ref('int_source_property_history') }}
    where object_type = 'deals' and property = 'dealstage'

),

deals as (

    select
        deal_id,
        pipeline_id
    from {{ ref('deals') }}

),

stages as (

    select
        pipeline_id,
        stage_id,
        stage_label,
        display_order
    from {{ ref('int_source_pipeline_stages') }}
    where object_type = 'deals'

),

final as (

    select
        history.deal_id,
        history.stage_id,
        coalesce(stages.stage_label, history.stage_id) as stage_label,
        stages.display_order as stage_position,
        history.source_type,
        history.changed_at as entered_at,
        lead(history.changed_at) over (
            partition by history.deal_id
            order by history.changed_at asc, history.stage_id asc
        ) as left_at
    from history
    inner join deals
        on history.deal_id = deals.deal_id
    left join stages
        on
            deals.pipeline_id = stages.pipeline_id
            and history.stage_id = stages.stage_id

)

select * from final
