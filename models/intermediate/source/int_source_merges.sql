-- One row per record of a CRM that was merged into another one, or converted to it.
{{ config(materialized='view') }}

{{ source_union('merges', ['hubspot', 'salesforce']) }}
