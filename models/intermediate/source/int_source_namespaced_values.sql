-- One row per namespaced property that a CRM holds for a record.
{{ config(materialized='view') }}

{{ source_union('namespaced_values', ['hubspot', 'salesforce']) }}
