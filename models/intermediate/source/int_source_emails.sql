-- One row per email of every source, archived ones included; the same mail may stand in several.
{{ config(materialized='view') }}

{{ source_union('emails', ['hubspot', 'salesforce', 'mailbox']) }}
