{#- One number of the policy in force out of its settings, typed; null where it is not set. -#}
{% macro policy_number(policy, setting, type) -%}
    cast(
        max(setting_value) filter (
            where policy = '{{ policy }}' and setting = '{{ setting }}'
        ) as {{ type }}
    )
{%- endmacro %}
