-- One row per contact: title, company and their own words, as the judge of leads reads it; gated ones say why.
{{ config(meta={'nightdesk': {'role': 'queue', 'operation': 'lead_quality'}}) }}

with

contacts as (

    select * from {{ ref('int_contacts') }}

),

accounts as (

    select
        account_id,
        account_name,
        industry
    from {{ ref('accounts') }}

),

gates as (

    select * from {{ ref('contact_gates') }}
    where operation = 'lead_quality'

),

engagement as (

    select
        contact_id,
        engagement_points
    from {{ ref('contact_engagement') }}

),

numbers as (

    select token_estimate_chars from {{ ref('stg_policy__numbers') }}

),

{{ packed_facts('lead_quality') }},

contexts as (

    select
        contacts.contact_id as record_id,
        {{ context_of([
            field_line('contact.job_title', 'contacts.job_title'),
            field_line('contact.country', 'contacts.country'),
            field_line('contact.language', 'contacts.language'),
            field_line('account.name', 'accounts.account_name'),
            field_line('account.industry', 'accounts.industry'),
            'packed_facts.fact_lines',
        ]) }} as context,
        gates.gate,
        gates.gate_reason,
        case
            when contacts.job_title is null and packed_facts.fact_lines is null
                then 'job title'
        end as missing,
        coalesce(engagement.engagement_points, 0) * 100 as priority
    from contacts
    left join accounts
        on contacts.account_id = accounts.account_id
    left join gates
        on contacts.contact_id = gates.contact_id
    left join engagement
        on contacts.contact_id = engagement.contact_id
    left join packed_facts
        on contacts.contact_id = packed_facts.record_id

),

final as (

    {{ queue_columns('lead_quality', 'contact', 'contexts', 'numbers') }}

)

select * from final
