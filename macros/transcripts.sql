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

{#- `[00:01:31]` of milliseconds, as the lines of a transcript begin; 99 hours are the most their readers know. -#}
{% macro line_stamp(milliseconds) -%}
    printf(
        '[%02d:%02d:%02d]',
        least({{ milliseconds }} // 1000, 359999) // 3600,
        least({{ milliseconds }} // 1000, 359999) // 60 % 60,
        least({{ milliseconds }} // 1000, 359999) % 60
    )
{%- endmacro %}
