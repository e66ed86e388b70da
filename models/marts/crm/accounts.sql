-- One row per live company: merged-away and archived ones are gone.
with

companies as (

    select * from {{ ref('int_source_companies') }}

),

merged as (

    select merged_record_id from {{ ref('merged_records') }}

),

lifecycle_stages as (

    select
        record_id,
        lifecycle_stage
    from {{ ref('int_lifecycle_stages') }}
    where object_type = 'companies'

),

deletions as (

    select record_id from {{ ref('int_source_deletions') }}

),

final as (

    select
        -- ids
        companies.account_id,
        companies.source_record_id,
        companies.owner_id,

        -- text
        {{ plain_field('companies.account_name') }} as account_name,
        companies.domain,
        companies.industry,
        {{ plain_field('companies.country') }} as country,
        {{ plain_field('companies.city') }} as city,
        companies.description,
        lifecycle_stages.lifecycle_stage,
        companies.lifecycle_stage as source_lifecycle_stage,

        -- numerics
        companies.employee_count,
        companies.annual_revenue,

        -- timestamps
        companies.created_at,
        companies.updated_at
    from companies
    left join lifecycle_stages
        on companies.account_id = lifecycle_stages.record_id
    left join merged
        on companies.account_id = merged.merged_record_id
    left join deletions
        on companies.account_id = deletions.record_id
    where
        not companies.is_archived
        and merged.merged_record_id is null
        and deletions.record_id is null

)

select * from final
