-- One row per scheduled meeting in the policy's window: who comes, the open deal, what was said and written before.
{{ config(meta={'nightdesk': {'role': 'queue', 'operation': 'meeting_brief'}}) }}

with

meetings as (

    select * from {{ ref('meeting_signals') }}

),

accounts as (

    select
        account_id,
        account_name,
        industry
    from {{ ref('accounts') }}

),

numbers as (

    select token_estimate_chars from {{ ref('stg_policy__numbers') }}

),

recent_documents as (

    select
        meetings.meeting_id,
        documents.document_id,
        documents.document_date,
        documents.occurred_at,
        '[document.' || documents.document_id || '] '
        || cast(documents.document_date as varchar)
        || ' ' || documents.author_side
        || ' ' || documents.document_type
        || ' "'
        || coalesce(replace({{ single_line('documents.subject') }}, '"', ''''), '')
        || '"' as line
    from meetings
    inner join {{ ref('documents') }} as documents
        on
            meetings.account_id = documents.account_id
            and meetings.started_at > documents.occurred_at
    where not documents.is_machine_reply
    qualify
        row_number() over (
            partition by meetings.meeting_id
            order by documents.occurred_at desc, documents.document_id asc
        ) <= 6

),

document_lines as (

    select
        meeting_id,
        string_agg(line, chr(10) order by occurred_at desc, document_id asc) as lines
    from recent_documents
    group by meeting_id

),

{{ packed_facts('meeting_brief') }},

contexts as (

    select
        meetings.meeting_id as record_id,
        {{ context_of([
            field_line('meeting.title', 'meetings.title'),
            field_line(
                'meeting.start',
                "strftime(timezone(coalesce(meetings.seller_time_zone, 'UTC'), meetings.started_at), '%Y-%m-%d %H:%M')"
                ~ " || case when meetings.seller_time_zone <> 'UTC' "
                ~ "then ' ' || meetings.seller_time_zone else '' end",
            ),
            field_line('meeting.attendees', 'meetings.attendees'),
            field_line('account.name', 'accounts.account_name'),
            field_line('account.industry', 'accounts.industry'),
            field_line('owner.name', 'meetings.owner_name'),
            field_line('contact.last_contact', 'meetings.last_contact_date'),
            field_line('deal.name', 'meetings.deal_name'),
            field_line('deal.stage', 'meetings.deal_stage_label'),
            field_line(
                'deal.amount',
                canonical_number('meetings.deal_amount')
                ~ " || coalesce(' ' || meetings.deal_currency_code, '')",
            ),
            'packed_facts.fact_lines',
            'document_lines.lines',
        ]) }} as context,
        cast(null as varchar) as gate,
        cast(null as varchar) as gate_reason,
        case
            when packed_facts.fact_lines is null and document_lines.lines is null
                then 'anything said or written before'
        end as missing,
        -epoch(meetings.started_at) as priority
    from meetings
    left join accounts
        on meetings.account_id = accounts.account_id
    left join packed_facts
        on meetings.meeting_id = packed_facts.record_id
    left join document_lines
        on meetings.meeting_id = document_lines.meeting_id

),

final as (

    {{ queue_columns('meeting_brief', 'meeting', 'contexts', 'numbers') }}

)

select * from final
