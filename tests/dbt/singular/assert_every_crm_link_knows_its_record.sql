-- A row of crm_links that names no record of ours would write nothing, without a word.
{{ config(severity='warn') }}
with

known as (

    select contact_id as record_id from {{ ref('contacts') }}

    union all

    select account_id from {{ ref('accounts') }}

    union all

    select meeting_id from {{ ref('meetings') }}

)

select
    crm_links.crm,
    crm_links.crm_record_id,
    crm_links.record_id
from {{ ref('crm_links') }} as crm_links
left join known
    on crm_links.record_id = known.record_id
where known.record_id is null
