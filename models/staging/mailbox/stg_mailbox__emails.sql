-- One row per message of a mailbox, wherever its copies lie: renamed and cast. A view, so that the bodies are copied
-- once (documents).
{{ config(materialized='view') }}

select
    -- ids
    'mailbox:email:' || key as email_id,
    key as source_record_id,
    'message' as source_object_type,
    -- The mailbox knows its owner by address only, see mailbox_owner_email.
    cast(null as varchar) as owner_id,
    thread_id,
    {{ message_id('internet_message_id') }} as internet_message_id,
    {{ message_id('in_reply_to') }} as in_reply_to_message_id,
    {{ message_id('bounced_message_id') }} as bounced_message_id,

    -- text
    subject,
    body,
    new_text,
    quoted_text,
    signature,
    email_direction,
    direction_reason,
    case when is_sent then 'SENT' end as email_status,
    headers_json,
    attachments_json,
    calendar_json,
    lower(from_email) as from_email,
    lower(to_email) as to_email,
    lower(cc_email) as cc_email,
    lower(bcc_email) as bcc_email,
    lower(mailbox_owner_email) as mailbox_owner_email,
    source as mailbox_name,
    message_class,
    class_header,
    protection,
    lower(bounced_address) as bounced_address,
    bounce_kind,
    bounce_status,
    bounce_reason,
    cast(null as varchar) as outreach_motion,
    cast(null as varchar) as sequence_step,
    date_source,

    -- numerics
    size_bytes,

    -- booleans
    false as is_archived,
    coalesce(is_sent, false) as is_sent,
    coalesce(is_truncated, false) as is_truncated,

    -- timestamps
    occurred_at,
    received_at,
    coalesce(received_at, occurred_at) as updated_at
from {{ source('mailbox', 'messages') }}
