{#-
  What is left of a point after some days: x factor per period, nothing after the last day that counts
  (policies/signals.yml). Continuous, so that nothing jumps at the end of a month.
-#}
{% macro decay_share(age_days, numbers) -%}
    case
        when {{ age_days }} > {{ numbers }}.nothing_after_days then 0
        else cast(
            power(
                cast({{ numbers }}.decay_factor as double),
                {{ age_days }} / cast({{ numbers }}.decay_per_days as double)
            ) as decimal(9, 6)
        )
    end
{%- endmacro %}

{#- Keep a number between two bounds; null stays null (DuckDB's least and greatest would skip it). -#}
{% macro clamp(expression, lowest, highest) -%}
    case
        when {{ expression }} < {{ lowest }} then {{ lowest }}
        when {{ expression }} > {{ highest }} then {{ highest }}
        else {{ expression }}
    end
{%- endmacro %}
