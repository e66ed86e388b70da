{#-
  The one "today" of the project, a date (UTC). Nothing else may ask for the time, so a build can be repeated.
  From `--vars '{as_of: 2026-11-17}'`, else NIGHTDESK_AS_OF, else the day on which this command was started.
-#}
{% macro as_of() -%}
    cast(
        '{{ var("as_of", env_var("NIGHTDESK_AS_OF", run_started_at.strftime("%Y-%m-%d"))) }}'
        as date
    )
{%- endmacro %}
