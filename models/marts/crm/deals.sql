-- One row per live deal, with its account and the name of its stage.
with

deals as (

    select * from {{ ref('int_source_deals') }}

),

stages as (

    select
        pipeline_id,
        stage_id,
        stage_label,
        probability
    from {{ ref('int_source_pipeline_stages') }}
    where object_type = 'deals'

),

deletions as (

    select record_id from {{ ref('int_gone_records') }}

),

deal_accounts as (

    select
        associations.from_record_id as deal_id,
        min_by(
            accounts.account_id,
            row(associations.association_rank, accounts.account_id)
        ) as account_id
    from {{ ref('int_associations') }} as associations
    inner join {{ ref('accounts') }} as accounts
        on associations.to_record_id = accounts.account_id
    where associations.from_object_type = 'deals'
    group by associations.from_record_id

),

final as (

    select
        -- ids
        deals.deal_id,
        deals.source_record_id,
        deal_accounts.account_id,
        deals.owner_id,
        deals.pipeline_id,
        deals.stage_id,

        -- text
        {{ plain_field('deals.deal_name') }} as deal_name,
        coalesce(stages.stage_label, deals.stage_id) as stage_label,
        deals.deal_type,
        deals.closed_lost_reason,
        deals.currency_code,
        deals.corporate_currency_code,

        -- numerics
        deals.amount,
        deals.corporate_amount,
        stages.probability,

        -- booleans
        deals.is_closed,
        deals.is_won,

        -- timestamps
        deals.closed_at,
        {{ utc_date('deals.closed_at') }} as closed_date,
        deals.created_at,
        deals.updated_at
    from deals
    left join stages
        on
            deals.pipeline_id = stages.pipeline_id
            and deals.stage_id = stages.stage_id
    left join deal_accounts
        on deals.deal_id = deal_accounts.deal_id
    left join deletions
        on deals.deal_id = deletions.record_id
    where not deals.is_archived and deletions.record_id is null

)

select * from final
