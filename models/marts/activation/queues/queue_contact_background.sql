-- One row per contact: who it is, and how much there is to look up. Asked of those worth the look (lead tier, open deal,
-- meeting ahead), once per period of days and whenever a document or a fact changed; the others say why not.
{{ config(
    meta={'nightdesk': {'role': 'queue', 'operation': 'contact_background'}}
) }}

with

contacts as (

    select * from {{ ref('contacts') }}

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
    where operation = 'contact_background'

),

good_leads as (

    select
        lead_scores.contact_id,
        lead_scores.score
    from {{ ref('int_lead_scores') }} as lead_scores
    inner join {{ ref('stg_policy__lists') }} as tiers
        on
            tiers.list_name = 'research_contact_tiers'
            and lead_scores.tier = tiers.item

),

in_open_deals as (

    select distinct associations.to_record_id as contact_id
    from {{ ref('int_associations') }} as associations
    inner join {{ ref('deals') }} as deals
        on associations.from_record_id = deals.deal_id
    where associations.to_object_type = 'contacts' and not deals.is_closed

),

with_meetings as (

    select distinct meeting_attendees.contact_id
    from {{ ref('meeting_attendees') }} as meeting_attendees
    inner join {{ ref('meetings') }} as meetings
        on meeting_attendees.meeting_id = meetings.meeting_id
    where meetings.is_scheduled and meetings.meeting_date >= {{ as_of() }}

),

{{ research_reach('contact') }},

numbers as (

    select
        token_estimate_chars,
        contact_research_days
    from {{ ref('stg_policy__numbers') }}

),

contexts as (

    select
        contacts.contact_id as record_id,
        {{ context_of([
            field_line('contact.name', 'contacts.full_name'),
            field_line('contact.job_title', 'contacts.job_title'),
            field_line('contact.country', 'contacts.country'),
            field_line('contact.language', 'contacts.language'),
            field_line('account.name', 'accounts.account_name'),
            field_line('account.industry', 'accounts.industry'),
            field_line('record.documents', 'reach.document_count'),
            field_line('record.facts', 'reach.fact_count'),
            field_line('record.fingerprint', 'reach.fingerprint'),
            field_line(
                'research.period', period_start('numbers.contact_research_days')
            ),
        ]) }} as context,
        coalesce(
            gates.gate,
            case
                when
                    good_leads.contact_id is null
                    and in_open_deals.contact_id is null
                    and with_meetings.contact_id is null
                    then 'not_worth_a_look'
            end
        ) as gate,
        coalesce(
            gates.gate_reason,
            case
                when
                    good_leads.contact_id is null
                    and in_open_deals.contact_id is null
                    and with_meetings.contact_id is null
                    then 'Not among the best leads, in no open deal, no meeting ahead'
            end
        ) as gate_reason,
        case when reach.document_count is null then 'anything said or written' end
            as missing,
        -- Who comes to a meeting cannot wait for tomorrow's budget.
        case when with_meetings.contact_id is not null then 1000 else 0 end
        + case when in_open_deals.contact_id is not null then 500 else 0 end
        + coalesce(good_leads.score, 0) as priority
    from contacts
    cross join numbers
    left join accounts
        on contacts.account_id = accounts.account_id
    left join gates
        on contacts.contact_id = gates.contact_id
    left join good_leads
        on contacts.contact_id = good_leads.contact_id
    left join in_open_deals
        on contacts.contact_id = in_open_deals.contact_id
    left join with_meetings
        on contacts.contact_id = with_meetings.contact_id
    left join reach
        on contacts.contact_id = reach.record_id

),

final as (

    {{ queue_columns('contact_background', 'contact', 'contexts', 'numbers') }}

)

select * from final
