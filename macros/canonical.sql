{#- A number as text without trailing zeros: 72, 0.5, -3.25. Equal numbers give equal text. -#}
{% macro canonical_number(expression) -%}
    rtrim(rtrim(cast(cast({{ expression }} as decimal(38, 6)) as varchar), '0'), '.')
{%- endmacro %}

{#-
  A CRM's text in the form that two systems can be compared in. What cannot be read as its type stays as it is,
  so that it differs and is put right. '' (emptied in the CRM) and null (never set) stay apart. Most numbers are
  canonical already, and looking whether they are is ten times cheaper than reading one as a decimal.
-#}
{% macro canonical_value(expression, value_type) -%}
    case
        when {{ expression }} is null or {{ expression }} = '' then {{ expression }}
        when
            {{ value_type }} = 'number'
            and regexp_full_match({{ expression }}, '0|-?[1-9][0-9]{0,17}')
            then {{ expression }}
        when {{ value_type }} = 'number'
            then coalesce(
                {{ canonical_number("try_cast(" ~ expression ~ " as decimal(38, 6))") }},
                {{ expression }}
            )
        when {{ value_type }} = 'date' and regexp_full_match({{ expression }}, '\d{11,}')
            then cast(
                cast(
                    timezone('UTC', to_timestamp(try_cast({{ expression }} as bigint) / 1000))
                    as date
                ) as varchar
            )
        when {{ value_type }} = 'date'
            then coalesce(
                cast(try_cast(left({{ expression }}, 10) as date) as varchar),
                {{ expression }}
            )
        when {{ value_type }} = 'boolean' then lower({{ expression }})
        else {{ expression }}
    end
{%- endmacro %}
