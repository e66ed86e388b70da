{#-
  What an operation is reminded of about each record, as lines: the facts that int_recall includes, most useful first.
  Whose facts, their weights and the token budget are in policies/recall.yml.
-#}
{% macro packed_facts(operation) -%}
    packed_facts as (

        select
            record_id,
            string_agg(fact_line, chr(10) order by position asc) as fact_lines,
            count(*) as packed_count
        from {{ ref('int_recall') }}
        where operation = '{{ operation }}' and decision = 'included'
        group by record_id

    )
{%- endmacro %}

{#- The fact's words in their place: the same place of an edited document may hold other words under the same fact id. -#}
{% macro fact_text_id(fact) -%}
    left(sha256({{ fact }}.fact_id || chr(10) || {{ fact }}.quote), 12)
{%- endmacro %}

{#-
  1 for the newest remark, a half `half_life` days earlier, a quarter after two of them, straight lines in between, in
  whole millionths: whole numbers come out the same on every engine and machine, so the order of facts, and with it the
  bytes an agent is shown, never depends on how a processor rounds.
-#}
{% macro recency_share(days, half_life) -%}
    cast(
        (
            (
                (1000000 * (2 * {{ half_life }} - {{ days }} % {{ half_life }}))
                // (2 * {{ half_life }})
            ) >> least({{ days }} // {{ half_life }}, 20)
        ) * cast(0.000001 as decimal(7, 6)) as decimal(9, 6)
    )
{%- endmacro %}
