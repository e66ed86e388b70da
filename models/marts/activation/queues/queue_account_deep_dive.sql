-- One row per account: who and what it is, and how much there is to look up. Asked once a month or quarter by tier, on a
-- signal below, and whenever a document or a fact changed; the others say why not.
{{ config(
    meta={'nightdesk': {'role': 'queue', 'operation': 'account_deep_dive'}}
) }}

with

accounts as (

    select * from {{ ref('accounts') }}

),

gates as (

    select * from {{ ref('account_gates') }}
    where operation = 'account_deep_dive'

),

scores as (

    select
        account_id,
        tier,
        score
    from {{ ref('int_icp_scores') }}

),

again as (

    select
        item as tier,
        parameter as period
    from {{ ref('stg_policy__lists') }}
    where list_name = 'research_account_again'

),

on_signal as (

    select item as tier
    from {{ ref('stg_policy__lists') }}
    where list_name = 'research_account_on_signal'

),

signalling as (

    select distinct facts.account_id
    from {{ ref('facts') }} as facts
    inner join {{ ref('stg_policy__lists') }} as strengths
        on
            strengths.list_name = 'research_signal_strengths'
            and facts.strength = strengths.item
    where facts.is_current and facts.is_trusted and facts.decay_share > 0

),

open_deals as (

    select
        account_id,
        deal_name,
        stage_label,
        amount,
        currency_code
    from {{ ref('deals') }}
    where not is_closed
    qualify
        row_number() over (
            partition by account_id
            order by created_at desc nulls last, deal_id asc
        ) = 1

),

owners as (

    select
        owner_id,
        full_name
    from {{ ref('owners') }}

),

{{ research_reach('account') }},

people_documents as (

    select
        record_id as contact_id,
        count(*) as document_count
    from {{ ref('research_documents') }}
    where record_type = 'contact'
    group by record_id

),

-- Whoever said no is nobody's stakeholder to us.
ranked_people as (

    select
        contacts.account_id,
        contacts.full_name || coalesce(' (' || contacts.job_title || ')', '') as person,
        row_number() over (
            partition by contacts.account_id
            order by
                coalesce(people_documents.document_count, 0) desc,
                contacts.contact_id asc
        ) as person_number
    from {{ ref('contacts') }} as contacts
    left join people_documents
        on contacts.contact_id = people_documents.contact_id
    where not contacts.is_opted_out and contacts.full_name is not null

),

people as (

    select
        account_id,
        string_agg(person, '; ' order by person_number asc) as people
    from ranked_people
    where person_number <= 12
    group by account_id

),

numbers as (

    select token_estimate_chars from {{ ref('stg_policy__numbers') }}

),

contexts as (

    select
        accounts.account_id as record_id,
        {{ context_of([
            field_line('account.name', 'accounts.account_name'),
            field_line('account.industry', 'accounts.industry'),
            field_line('account.country', 'accounts.country'),
            field_line('account.employees', 'accounts.employee_count'),
            field_line('account.description', 'accounts.description'),
            field_line('account.people', 'people.people'),
            field_line('owner.name', 'owners.full_name'),
            field_line('deal.name', 'open_deals.deal_name'),
            field_line('deal.stage', 'open_deals.stage_label'),
            field_line(
                'deal.amount',
                canonical_number('open_deals.amount')
                ~ " || coalesce(' ' || open_deals.currency_code, '')",
            ),
            field_line('record.documents', 'reach.document_count'),
            field_line('record.facts', 'reach.fact_count'),
            field_line('record.fingerprint', 'reach.fingerprint'),
            field_line(
                'research.period',
                "case again.period when 'month' then strftime(" ~ as_of() ~ ", '%Y-%m') "
                ~ "when 'quarter' then strftime(" ~ as_of() ~ ", '%Y') || '-Q' || "
                ~ "cast(quarter(" ~ as_of() ~ ") as varchar) end",
            ),
        ]) }} as context,
        coalesce(
            gates.gate,
            case
                when scores.tier is null then 'not_scored'
                when again.tier is not null then null
                when on_signal.tier is null then 'tier_not_researched'
                when signalling.account_id is null then 'no_signal'
            end
        ) as gate,
        coalesce(
            gates.gate_reason,
            case
                when scores.tier is null then 'No ICP score: not researched'
                when again.tier is not null then null
                when on_signal.tier is null
                    then 'Tier ' || scores.tier || ' is not researched'
                when signalling.account_id is null
                    then
                        'Tier ' || scores.tier
                        || ' is researched on a signal, and there is none'
            end
        ) as gate_reason,
        case when reach.document_count is null then 'anything said or written' end
            as missing,
        coalesce(scores.score, 0) as priority
    from accounts
    left join gates
        on accounts.account_id = gates.account_id
    left join scores
        on accounts.account_id = scores.account_id
    left join again
        on scores.tier = again.tier
    left join on_signal
        on scores.tier = on_signal.tier
    left join signalling
        on accounts.account_id = signalling.account_id
    left join reach
        on accounts.account_id = reach.record_id
    left join people
        on accounts.account_id = people.account_id
    left join open_deals
        on accounts.account_id = open_deals.account_id
    left join owners
        on accounts.owner_id = owners.owner_id

),

final as (

    {{ queue_columns('account_deep_dive', 'account', 'contexts', 'numbers') }}

)

select * from final
