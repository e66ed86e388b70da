-- One row per call of every source, archived ones included; the same call may stand in several.
{{ config(materialized='view') }}

{{ source_union('calls', ['hubspot', 'salesforce', 'transcripts']) }}
