-- One row per operation, and per operation and CRM property it writes: the autonomy level in force, since when, by whom,
-- on what evidence, and what the last review proposes.
with

operations as (

    select
        operation,
        ceiling
    from {{ ref('stg_policy__autonomy') }}

),

properties as (

    select
        operation,
        property,
        ceiling
    from {{ ref('stg_policy__autonomy_properties') }}

),

-- The audit trail orders the changes, whatever a clock says; one that it does not know counts for nothing.
last_changes as (

    select
        changes.* exclude (property),
        coalesce(changes.property, '*') as property
    from {{ ref('stg_ledger__autonomy_changes') }} as changes
    inner join {{ ref('stg_ledger__audit_events') }} as events
        on
            events.action in (
                'autonomy_promoted', 'autonomy_demoted', 'autonomy_auto_demoted'
            )
            and changes.change_id = json_extract_string(events.body, '$.change_id')
    qualify
        row_number() over (
            partition by changes.operation, changes.property
            order by events.sequence desc
        ) = 1

),

last_reviews as (

    select
        * exclude (property),
        coalesce(property, '*') as property
    from {{ ref('stg_ledger__autonomy_reviews') }}
    qualify
        row_number() over (
            partition by operation, property
            order by reviewed_at desc, proposal_id asc
        ) = 1

),

-- What nobody has promoted stands at 2, or at its ceiling if that is lower.
of_operations as (

    select
        operations.operation,
        '*' as property,
        least(coalesce(changes.to_level, 2), operations.ceiling) as level,
        operations.ceiling,
        changes.change_id
    from operations
    left join last_changes as changes
        on
            operations.operation = changes.operation
            and changes.property = '*'

),

-- A property without a level of its own has its operation's.
of_properties as (

    select
        properties.operation,
        properties.property,
        least(
            coalesce(changes.to_level, of_operations.level), properties.ceiling
        ) as level,
        properties.ceiling,
        coalesce(changes.change_id, of_operations.change_id) as change_id
    from properties
    inner join of_operations
        on properties.operation = of_operations.operation
    left join last_changes as changes
        on
            properties.operation = changes.operation
            and properties.property = changes.property

),

standing as (

    select * from of_operations
    union all by name
    select * from of_properties

),

final as (

    select
        -- ids
        standing.operation,
        standing.property,
        changes.apply_run_id,

        -- text
        changes.kind as last_change,
        changes.changed_by,
        changes.role,
        changes.reason,
        cast(changes.evidence as varchar) as evidence,
        reviews.proposal,
        cast(reviews.reasons as varchar) as proposal_reasons,
        cast(reviews.evidence as varchar) as proposal_evidence,

        -- numerics
        standing.level,
        standing.ceiling,
        reviews.to_level as proposed_level,

        -- timestamps
        changes.changed_at as entered_at,
        reviews.reviewed_at
    from standing
    left join last_changes as changes
        on standing.change_id = changes.change_id
    left join last_reviews as reviews
        on
            standing.operation = reviews.operation
            and standing.property = reviews.property

)

select * from final
