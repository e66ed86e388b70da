{#-
  The rows of one kind from every source that has it, in the one shape that everything downstream reads. A column that
  only some sources know is null for the others.
-#}
{% macro source_union(thing, sources) -%}
{% for source_name in sources -%}
select * from {{ ref('stg_' ~ source_name ~ '__' ~ thing) }}
{%- if not loop.last %}

union all by name

{% endif -%}
{% endfor -%}
{%- endmacro %}
