{#- Where a person reads the record: `/records/emails/123`. -#}
{% macro record_url(record_id) -%}
    '/records/'
    || case split_part({{ record_id }}, ':', 2)
        when 'company' then 'companies'
        else split_part({{ record_id }}, ':', 2) || 's'
    end
    || '/' || split_part({{ record_id }}, ':', 3)
{%- endmacro %}

{#- One citation on one line: `"quote" — 2026-08-03 email /records/emails/123`. -#}
{% macro citation_line(citation) -%}
    '"' || replace({{ citation }}.quote, '"', '''') || '" — '
    || coalesce(cast({{ citation }}.evidence_date as varchar) || ' ', '')
    || {{ citation }}.source_type || ' ' || {{ citation }}.url
{%- endmacro %}
