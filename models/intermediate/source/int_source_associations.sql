-- One row per association between two records of a CRM and its type.
{{ config(materialized='view') }}

{{ source_union('associations', ['hubspot', 'salesforce']) }}
