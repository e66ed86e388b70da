-- Always one row: the single numbers of the policy in force, typed. All null before a policy is loaded.
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
        {{ policy_number('signals', 'decay.factor', 'decimal(9, 4)') }}
            as decay_factor,
        {{ policy_number('signals', 'decay.per_days', 'integer') }}
            as decay_per_days,
        {{ policy_number('signals', 'decay.nothing_after_days', 'integer') }}
            as nothing_after_days,
        {{ policy_number('signals', 'engagement.email_received', 'decimal(9, 4)') }}
            as email_received_points,
        {{ policy_number('signals', 'engagement.email_sent', 'decimal(9, 4)') }}
            as email_sent_points,
        {{ policy_number('signals', 'engagement.call_held', 'decimal(9, 4)') }}
            as call_held_points,
        {{ policy_number('signals', 'engagement.meeting_held', 'decimal(9, 4)') }}
            as meeting_held_points,
        {{ policy_number('signals', 'trust.max_points_per_document', 'decimal(9, 4)') }}
            as document_max_points,
        {{ policy_number('signals', 'trust.untrusted_share', 'decimal(9, 4)') }}
            as untrusted_share,
        {{ policy_number('signals', 'trust.untrusted_max_points', 'decimal(9, 4)') }}
            as untrusted_max_points,
        {{ policy_number(
            'scoring', 'icp_fit.signals.full_at_points', 'decimal(9, 4)'
        ) }} as icp_signals_full_at,
        {{ policy_number(
            'scoring', 'icp_fit.engagement.full_at_points', 'decimal(9, 4)'
        ) }} as icp_engagement_full_at,
        {{ policy_number(
            'scoring', 'lead_quality.engagement.full_at_points', 'decimal(9, 4)'
        ) }} as lead_engagement_full_at,
        {{ policy_number('icp', 'employees_minimum', 'bigint') }}
            as employees_minimum,
        {{ policy_number('recall', 'token_estimate_chars', 'integer') }}
            as token_estimate_chars,
        {{ policy_number('recall', 'semantic.weight', 'decimal(5, 4)') }}
            as semantic_weight,
        {{ policy_number('recall', 'churn_revisit.churned_within_days', 'integer') }}
            as churned_within_days,
        {{ policy_number('recall', 'meeting_brief.window_days', 'integer') }}
            as meeting_window_days,
        {{ policy_number('research', 'contact_background.every_days', 'integer') }}
            as contact_research_days,
        {{ policy_number('field_mapping', 'max_text_chars', 'integer') }}
            as max_text_chars,
        {{ policy_number('identity', 'most_in_one_cluster', 'integer') }}
            as most_in_one_cluster,
        {{ policy_number('identity', 'suggest_from', 'double') }}
            as identity_suggest_from,
        {{ policy_number('identity', 'caution_from', 'double') }}
            as identity_caution_from
    from settings

)

select * from final
