-- One row per record and published field that has a value: what the CRM should show, as canonical text.
{%- set contact_fields = [
    ('ai_lead_score', 'lead_quality', canonical_number('ai_lead_score')),
    ('ai_lead_tier', 'lead_quality', 'ai_lead_tier'),
    ('ai_lead_reason', 'lead_quality', 'ai_lead_reason'),
    ('ai_lead_evidence', 'lead_quality', 'ai_lead_evidence'),
    ('ai_lead_answered_date', 'lead_quality', 'cast(ai_lead_answered_date as varchar)'),
    ('ai_reply_class', 'reply_class', 'ai_reply_class'),
    ('ai_contact_role', 'contact_background', 'ai_contact_role'),
    ('ai_contact_influence', 'contact_background', 'ai_contact_influence'),
    ('ai_contact_style', 'contact_background', 'ai_contact_style'),
    ('ai_contact_background', 'contact_background', 'ai_contact_background'),
    ('ai_contact_background_evidence', 'contact_background', 'ai_contact_background_evidence'),
] %}
{%- set account_fields = [
    ('ai_icp_score', 'icp_fit', canonical_number('ai_icp_score')),
    ('ai_icp_tier', 'icp_fit', 'ai_icp_tier'),
    ('ai_icp_reason', 'icp_fit', 'ai_icp_reason'),
    ('ai_icp_evidence', 'icp_fit', 'ai_icp_evidence'),
    ('ai_icp_answered_date', 'icp_fit', 'cast(ai_icp_answered_date as varchar)'),
    ('ai_revisit_trigger', 'churn_revisit', 'ai_revisit_trigger'),
    ('ai_revisit_reason', 'churn_revisit', 'ai_revisit_reason'),
    ('ai_account_summary', 'account_deep_dive', 'ai_account_summary'),
    ('ai_account_trigger', 'account_deep_dive', 'ai_account_trigger'),
    ('ai_account_hypothesis', 'account_deep_dive', 'ai_account_hypothesis'),
    ('ai_account_stakeholders', 'account_deep_dive', 'ai_account_stakeholders'),
    ('ai_account_unknowns', 'account_deep_dive', 'ai_account_unknowns'),
    ('ai_account_research_evidence', 'account_deep_dive', 'ai_account_research_evidence'),
] %}
{%- set meeting_fields = [
    ('ai_brief', 'meeting_brief', 'ai_brief'),
    ('ai_brief_evidence', 'meeting_brief', 'ai_brief_evidence'),
] %}

with

contacts as (

    select * from {{ ref('contacts_enriched') }}

),

accounts as (

    select * from {{ ref('accounts_enriched') }}

),

meetings as (

    select * from {{ ref('meetings_enriched') }}

),

final as (
    {% for field, operation, value in contact_fields %}
    select
        'contacts' as object_type,
        source_record_id,
        contact_id as record_id,
        contact_id as subject_id,
        lifecycle_stage as segment,
        coalesce(full_name, email, contact_id) as record_label,
        '{{ field }}' as field,
        '{{ operation }}' as operation,
        {% if operation == 'reply_class' -%}
        ai_reply_document_id as evidence_record_id,
        'Reply of ' || cast(ai_reply_date as varchar) as reason,
        {%- elif operation == 'contact_background' -%}
        contact_id as evidence_record_id,
        'Their own documents, read on '
        || cast(ai_contact_researched_date as varchar) as reason,
        {%- else -%}
        contact_id as evidence_record_id,
        ai_lead_reason as reason,
        {%- endif %}
        {{ value }} as desired_value,
        is_opted_out as is_suppressed
    from contacts
    where {{ field }} is not null

    union all
    {% endfor %}
    {%- for field, operation, value in account_fields %}
    select
        'companies' as object_type,
        source_record_id,
        account_id as record_id,
        account_id as subject_id,
        case when churned_on is null then lifecycle_stage else 'churned' end as segment,
        coalesce(account_name, account_id) as record_label,
        '{{ field }}' as field,
        '{{ operation }}' as operation,
        account_id as evidence_record_id,
        {% if operation == 'icp_fit' -%}
        ai_icp_reason as reason,
        {%- elif operation == 'account_deep_dive' -%}
        'The account''s own documents, read on '
        || cast(ai_account_researched_date as varchar) as reason,
        {%- else -%}
        ai_revisit_reason as reason,
        {%- endif %}
        {{ value }} as desired_value,
        false as is_suppressed
    from accounts
    where {{ field }} is not null

    union all
    {% endfor %}
    {%- for field, operation, value in meeting_fields %}
    select
        'meetings' as object_type,
        source_record_id,
        meeting_id as record_id,
        account_id as subject_id,
        cast(null as varchar) as segment,
        coalesce({{ plain_field('title') }}, meeting_id) as record_label,
        '{{ field }}' as field,
        '{{ operation }}' as operation,
        meeting_id as evidence_record_id,
        'Meeting on ' || cast(meeting_date as varchar) as reason,
        {{ value }} as desired_value,
        false as is_suppressed
    from meetings
    -- What stands in a calendar alone is no record of the CRM, so there is nothing to write to.
    where {{ field }} is not null and not starts_with(meeting_id, 'calendar:')
    {% if not loop.last %}
    union all
    {% endif %}
    {%- endfor %}
)

select * from final
