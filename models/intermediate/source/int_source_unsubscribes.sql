-- One row per address with a say on all mail, in every CRM.
{{ config(materialized='view') }}

{{ source_union('unsubscribes', ['hubspot', 'salesforce']) }}
