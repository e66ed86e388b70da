-- Plausibility: a CRM has a word for how far records are that policies/lifecycle.yml does not know. Warns.
{{ config(severity='warn', store_failures=true) }}

select * from {{ ref('unmapped_lifecycle_values') }}
