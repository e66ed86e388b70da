-- Always one row: the single numbers of the policy in force, typed. All null before a policy is loaded.
{%- set numbers = [
    ('signals', 'decay.factor', 'decay_factor', 'decimal(9, 4)'),
    ('signals', 'decay.per_days', 'decay_per_days', 'integer'),
    ('signals', 'decay.nothing_after_days', 'nothing_after_days', 'integer'),
    ('signals', 'engagement.email_received', 'email_received_points', 'decimal(9, 4)'),
    ('signals', 'engagement.email_sent', 'email_sent_points', 'decimal(9, 4)'),
    ('signals', 'engagement.call_held', 'call_held_points', 'decimal(9, 4)'),
    ('signals', 'engagement.meeting_held', 'meeting_held_points', 'decimal(9, 4)'),
    ('signals', 'trust.max_points_per_document', 'document_max_points', 'decimal(9, 4)'),
    ('signals', 'trust.untrusted_share', 'untrusted_share', 'decimal(9, 4)'),
    ('signals', 'trust.untrusted_max_points', 'untrusted_max_points', 'decimal(9, 4)'),
    ('scoring', 'icp_fit.signals.full_at_points', 'icp_signals_full_at', 'decimal(9, 4)'),
    ('scoring', 'icp_fit.engagement.full_at_points', 'icp_engagement_full_at', 'decimal(9, 4)'),
    ('scoring', 'lead_quality.engagement.full_at_points', 'lead_engagement_full_at', 'decimal(9, 4)'),
    ('icp', 'employees_minimum', 'employees_minimum', 'bigint'),
    ('recall', 'token_estimate_chars', 'token_estimate_chars', 'integer'),
    ('recall', 'churn_revisit.churned_within_days', 'churned_within_days', 'integer'),
    ('recall', 'meeting_brief.window_days', 'meeting_window_days', 'integer'),
    ('field_mapping', 'max_text_chars', 'max_text_chars', 'integer'),
] %}

with

settings as (

    select
        setting_rows.policy,
        setting_rows.setting,
        setting_rows.setting_value
    from {{ source('ledger', 'policy_settings') }} as setting_rows
    inner join {{ ref('stg_policy__current') }} as policy_in_force
        on setting_rows.policy_hash = policy_in_force.policy_hash

),

final as (

    select
        {%- for policy, setting, column, type in numbers %}
        cast(
            max(setting_value) filter (
                where policy = '{{ policy }}' and setting = '{{ setting }}'
            ) as {{ type }}
        ) as {{ column }}{{ "," if not loop.last }}
        {%- endfor %}
    from settings

)

select * from final
