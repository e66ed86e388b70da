-- One row per address that said no to all mail in a way that the org notes apart from the flag: renamed and cast.
{{ config(materialized='view') }}

with

people as (

    select
        id,
        email,
        email_opted_out_at,
        email_opt_out_source
    from {{ source('salesforce', 'contacts') }}
    where not coalesce(is_deleted, false)

    union all by name

    select
        id,
        email,
        email_opted_out_at,
        email_opt_out_source
    from {{ source('salesforce', 'leads') }}
    where not coalesce(is_deleted, false)

),

said_no as (

    select
        {{ clean('lower(email)') }} as email,
        {{ clean('email_opt_out_source') }} as unsubscribe_source,
        true as is_unsubscribed,
        email_opted_out_at as changed_at,
        id
    from people
    where
        email_opted_out_at is not null
        or {{ clean('email_opt_out_source') }} is not null

),

final as (

    select
        'salesforce' as crm,
        email,
        unsubscribe_source,
        is_unsubscribed,
        changed_at
    from said_no
    where email is not null
    qualify
        row_number() over (
            partition by email
            order by changed_at asc nulls last, id asc
        ) = 1

)

select * from final
