{#- The spelling under which two names of people count as one: no case, no accents, blanks for punctuation. -#}
{% macro plain_name(expression) -%}
    nullif(
        trim(
            regexp_replace(
                lower(strip_accents({{ expression }})), '[^\p{L}\p{N}]+', ' ', 'g'
            )
        ),
        ''
    )
{%- endmacro %}
