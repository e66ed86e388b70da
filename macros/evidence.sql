{#-
  Where a person reads the record, by the pattern that policy gives for its CRM (policies/delivery.yml: record_url). The
  sample company's CRM has one without a policy; what stands in no CRM, or in one without a pattern, has no address.
-#}
{% macro record_url(record_id, patterns=none) -%}
    {%- set type = "split_part(" ~ record_id ~ ", ':', 2)" -%}
    {%- set id = "split_part(" ~ record_id ~ ", ':', 3)" -%}
    case {{ source_of(record_id) }}
        when 'hubspot'
            then replace(
                replace(
                    replace(
                        coalesce(
                            {{ (patterns ~ '.hubspot_record_url') if patterns else 'cast(null as varchar)' }},
                            '/records/{objects}/{id}'
                        ),
                        '{objects}',
                        case {{ type }} when 'company' then 'companies' else {{ type }} || 's' end
                    ),
                    '{type_id}',
                    case {{ type }}
                        when 'contact' then '0-1'
                        when 'company' then '0-2'
                        when 'deal' then '0-3'
                        when 'task' then '0-27'
                        when 'note' then '0-46'
                        when 'meeting' then '0-47'
                        when 'call' then '0-48'
                        when 'email' then '0-49'
                        else {{ type }}
                    end
                ),
                '{id}',
                {{ id }}
            )
        {%- if patterns %}
        when 'salesforce' then replace({{ patterns }}.salesforce_record_url, '{id}', {{ id }})
        {%- endif %}
    end
{%- endmacro %}

{#- One citation on one line: `"quote" — 2026-08-03 email /records/emails/123`. -#}
{% macro citation_line(citation) -%}
    '"' || replace({{ citation }}.quote, '"', '''') || '" — '
    || coalesce(cast({{ citation }}.evidence_date as varchar) || ' ', '')
    || {{ citation }}.source_type || coalesce(' ' || {{ citation }}.url, '')
{%- endmacro %}
