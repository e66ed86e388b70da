-- Plausibility: somebody typed a company on the contact, but the record hangs on none. Warns beyond one in twenty.
{{ config(severity='warn', store_failures=true) }}

with

shares as (

    select
        count(*) as contact_count,
        count(*) filter (where account_id is null) as unlinked_count
    from {{ ref('contacts') }}
    where company_name is not null

)

select *
from shares
where unlinked_count > contact_count * 0.05
