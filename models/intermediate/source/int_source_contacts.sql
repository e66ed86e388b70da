-- One row per person record of every CRM, archived ones included: contacts, and leads where a CRM has them.
{{ config(materialized='view') }}

{{ source_union('contacts', ['hubspot', 'salesforce']) }}
