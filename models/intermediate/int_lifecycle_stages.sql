-- One row per contact or company record of a CRM: how far it is, in one vocabulary for all CRMs and in the CRM's own words
-- (policies/lifecycle.yml).
with

records as (

    select
        'contacts' as object_type,
        contact_id as record_id,
        source_object_type,
        lifecycle_stage as source_lifecycle_stage
    from {{ ref('int_source_contacts') }}

    union all by name

    select
        'companies' as object_type,
        account_id as record_id,
        source_object_type,
        lifecycle_stage as source_lifecycle_stage
    from {{ ref('int_source_companies') }}

),

lifecycle_values as (

    select * from {{ ref('stg_policy__lifecycle_values') }}

),

lifecycle_rules as (

    select * from {{ ref('stg_policy__lifecycle_rules') }}

),

-- Without a policy a word of the vocabulary means itself, and no other word means anything.
without_policy as (

    select count(*) = 0 as is_without_policy
    from {{ ref('stg_policy__current') }}

),

merged as (

    select
        merged_record_id,
        surviving_record_id
    from {{ ref('merged_records') }}

),

mapped as (

    select
        records.object_type,
        records.record_id,
        records.source_object_type,
        records.source_lifecycle_stage,
        split_part(records.record_id, ':', 1) as crm,
        coalesce(
            lifecycle_values.lifecycle_stage,
            case
                when
                    without_policy.is_without_policy
                    and lower(records.source_lifecycle_stage)
                    in {{ lifecycle_stages() }}
                    then lower(records.source_lifecycle_stage)
            end
        ) as lifecycle_stage
    from records
    cross join without_policy
    left join lifecycle_values
        on
            split_part(records.record_id, ':', 1) = lifecycle_values.crm
            and records.source_object_type = lifecycle_values.source_object_type
            and lower(records.source_lifecycle_stage) = lifecycle_values.source_value

),

-- For whom the CRM says nothing, and policy lets something else speak.
silent as (

    select
        mapped.object_type,
        mapped.record_id,
        lifecycle_rules.lifecycle_rule,
        lifecycle_rules.rule_position,
        lifecycle_rules.lifecycle_stage
    from mapped
    inner join lifecycle_rules
        on
            mapped.crm = lifecycle_rules.crm
            and mapped.source_object_type = lifecycle_rules.source_object_type
    where mapped.source_lifecycle_stage is null

),

associations as (

    select
        from_object_type,
        from_record_id,
        to_object_type,
        to_record_id
    from {{ ref('int_associations') }}

),

deals as (

    select
        deals.deal_id,
        deals.deal_type,
        deals.is_closed,
        deals.is_won,
        deals.closed_at
    from {{ ref('int_source_deals') }} as deals
    left join {{ ref('int_source_deletions') }} as deletions
        on deals.deal_id = deletions.record_id
    where not deals.is_archived and deletions.record_id is null

),

record_deals as (

    select
        associations.to_record_id as record_id,
        deals.deal_id,
        deals.is_closed,
        deals.is_won,
        deals.deal_type,
        deals.closed_at
    from associations
    inner join deals
        on associations.from_record_id = deals.deal_id
    where
        associations.from_object_type = 'deals'
        and associations.to_object_type in ('contacts', 'companies')

),

-- Won, and no renewal lost since.
customers as (

    select record_id
    from record_deals
    where is_won or (is_closed and deal_type = 'renewal')
    group by record_id
    having max_by(is_won, row(closed_at, is_won, deal_id))

),

buyers as (

    select distinct record_id
    from record_deals
    where not is_closed

),

conversions as (

    select coalesce(merged.surviving_record_id, pairs.surviving_record_id) as record_id
    from {{ ref('int_source_merges') }} as pairs
    left join merged
        on pairs.merged_record_id = merged.merged_record_id
    where pairs.reason = 'converted'
    group by all

),

spoken_for_companies as (

    select
        silent.record_id,
        min_by(silent.lifecycle_stage, silent.rule_position) as lifecycle_stage
    from silent
    left join customers
        on silent.record_id = customers.record_id
    left join buyers
        on silent.record_id = buyers.record_id
    where
        silent.object_type = 'companies'
        and (
            (
                silent.lifecycle_rule = 'won_deal'
                and customers.record_id is not null
            )
            or (
                silent.lifecycle_rule = 'open_deal'
                and buyers.record_id is not null
            )
        )
    group by silent.record_id

),

customer_companies as (

    select mapped.record_id
    from mapped
    left join spoken_for_companies
        on mapped.record_id = spoken_for_companies.record_id
    where
        mapped.object_type = 'companies'
        and coalesce(
            mapped.lifecycle_stage, spoken_for_companies.lifecycle_stage
        ) = 'customer'

),

contacts_of_customers as (

    select distinct associations.from_record_id as record_id
    from associations
    inner join customer_companies
        on associations.to_record_id = customer_companies.record_id
    where associations.from_object_type = 'contacts'

),

spoken_for_contacts as (

    select
        silent.record_id,
        min_by(silent.lifecycle_stage, silent.rule_position) as lifecycle_stage
    from silent
    left join customers
        on silent.record_id = customers.record_id
    left join buyers
        on silent.record_id = buyers.record_id
    left join contacts_of_customers
        on silent.record_id = contacts_of_customers.record_id
    left join conversions
        on silent.record_id = conversions.record_id
    where
        silent.object_type = 'contacts'
        and (
            (
                silent.lifecycle_rule = 'won_deal'
                and customers.record_id is not null
            )
            or (
                silent.lifecycle_rule = 'open_deal'
                and buyers.record_id is not null
            )
            or (
                silent.lifecycle_rule = 'customer_account'
                and contacts_of_customers.record_id is not null
            )
            or (
                silent.lifecycle_rule = 'converted'
                and conversions.record_id is not null
            )
        )
    group by silent.record_id

),

final as (

    select
        mapped.object_type,
        mapped.record_id,
        mapped.crm,
        mapped.source_object_type,
        mapped.source_lifecycle_stage,
        coalesce(
            mapped.lifecycle_stage,
            spoken_for_companies.lifecycle_stage,
            spoken_for_contacts.lifecycle_stage
        ) as lifecycle_stage
    from mapped
    left join spoken_for_companies
        on mapped.record_id = spoken_for_companies.record_id
    left join spoken_for_contacts
        on mapped.record_id = spoken_for_contacts.record_id

)

select * from final
