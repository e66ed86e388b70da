-- Always one row: how much is delivered on the record, and where a record is read. Of the policy in force; all null
-- before a policy is loaded.
with

settings as (

    select
        setting_rows.policy,
        setting_rows.setting,
        setting_rows.setting_value
    from {{ source('ledger', 'policy_settings') }} as setting_rows
    inner join {{ ref('stg_policy__current') }} as policy_in_force
        on setting_rows.policy_hash = policy_in_force.policy_hash
    where setting_rows.policy = 'delivery'

),

final as (

    select
        {{ policy_number('delivery', 'open_per_account', 'integer') }}
            as open_per_account,
        {{ policy_number('delivery', 'open_per_owner', 'integer') }} as open_per_owner,
        {{ policy_number('delivery', 'quote_chars', 'integer') }} as quote_chars,
        {{ policy_number('delivery', 'sources_per_task', 'integer') }}
            as sources_per_task,
        {{ policy_number('delivery', 'due_hour_utc', 'integer') }} as due_hour_utc,
        {{ policy_number('delivery', 'company_time_zone', 'varchar') }}
            as company_time_zone,
        {{ policy_number('delivery', 'notes.meeting_brief', 'boolean') }}
            as has_meeting_brief_notes,
        {{ policy_number('delivery', 'record_url.hubspot', 'varchar') }}
            as hubspot_record_url,
        {{ policy_number('delivery', 'record_url.salesforce', 'varchar') }}
            as salesforce_record_url
    from settings

)

select * from final
