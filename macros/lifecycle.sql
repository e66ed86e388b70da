{#- The words of `lifecycle_stage`, as a list to look a word up in (nightdesk/policy/lifecycle_models.py: Stage). -#}
{% macro lifecycle_stages() -%}
    (
        'subscriber',
        'lead',
        'marketingqualifiedlead',
        'salesqualifiedlead',
        'opportunity',
        'customer',
        'evangelist',
        'disqualified',
        'other'
    )
{%- endmacro %}
