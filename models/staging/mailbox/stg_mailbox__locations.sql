-- One row per copy of a message: the folder or file it lies in, or lay in.
{{ config(materialized='view') }}

select
    -- ids
    container,
    position,
    'mailbox:email:' || message_key as email_id,

    -- text
    source as mailbox_name,
    folder,

    -- booleans
    coalesce(is_sent, false) as is_sent,
    coalesce(is_gone, false) as is_gone,

    -- timestamps
    gone_at
from {{ source('mailbox', 'locations') }}
