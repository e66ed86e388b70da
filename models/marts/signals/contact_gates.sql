-- One row per operation and contact that a hard gate answers: the first gate that fits (policies/gates.yml).
with

contacts as (

    select * from {{ ref('contacts') }}

),

lists as (

    select
        list_name,
        item
    from {{ ref('stg_policy__lists') }}

),

conditions as (

    select
        contact_id,
        'opted_out' as gate
    from contacts
    where is_opted_out

    union all

    select
        contacts.contact_id,
        'objected_to_scoring' as gate
    from contacts
    inner join lists
        on
            lists.list_name = 'suppression_lead_status'
            and contacts.lead_status = lists.item

    union all

    select
        contact_id,
        'invalid_email' as gate
    from contacts
    where not has_valid_email

    union all

    select
        contact_id,
        'freemail' as gate
    from contacts
    where is_freemail

    union all

    select
        contacts.contact_id,
        'customer_or_disqualified' as gate
    from contacts
    inner join lists
        on
            lists.list_name = 'lifecycle_gated'
            and contacts.lifecycle_stage = lists.item

    union all

    -- What holds for an account's industry, size and stage holds for its people.
    select
        contacts.contact_id,
        account_conditions.gate
    from contacts
    inner join {{ ref('int_account_conditions') }} as account_conditions
        on contacts.account_id = account_conditions.account_id

),

final as (

    select
        gates.operation,
        conditions.contact_id,
        conditions.gate,
        gates.reason as gate_reason,
        gates.position as gate_position
    from conditions
    inner join {{ ref('stg_policy__gates') }} as gates
        on conditions.gate = gates.gate
    qualify
        row_number() over (
            partition by gates.operation, conditions.contact_id
            order by gates.position asc, gates.gate asc
        ) = 1

)

select * from final
