{#-
  What an operation is reminded of about a record: its current facts, most useful first, at most `quota` of one
  predicate, until the token budget is full (policies/recall.yml). The order has no ties: relevance x trust, then the
  newer remark, then the fact's id. Nothing in it is relative to today.

  `record_column` is the column of facts to pack by. `trusted_only` keeps strangers' words out of judgements:
  a score must not move because somebody unknown claims to be a champion.
-#}
{% macro packed_facts(operation, record_column, trusted_only=true) -%}
    candidate_facts as (

        select
            facts.{{ record_column }} as record_id,
            facts.predicate,
            facts.fact_id,
            facts.valid_date,
            recall.relevance * facts.trust_share as usefulness,
            recall.quota,
            recall.token_budget,
            {{ fact_line('facts') }} as line
        from {{ ref('facts') }} as facts
        inner join {{ ref('stg_policy__recall') }} as recall
            on
                facts.predicate = recall.predicate
                and recall.operation = '{{ operation }}'
        where
            facts.is_current
            and facts.{{ record_column }} is not null
            {%- if trusted_only %}
            and facts.is_trusted
            {%- endif %}

    ),

    facts_in_quota as (

        select
            candidate_facts.*,
            cast(
                ceil(
                    length(candidate_facts.line)
                    / coalesce(numbers.token_estimate_chars, 4)
                ) as bigint
            ) as token_count
        from candidate_facts
        cross join {{ ref('stg_policy__numbers') }} as numbers
        qualify
            row_number() over (
                partition by candidate_facts.record_id, candidate_facts.predicate
                order by
                    candidate_facts.usefulness desc,
                    candidate_facts.valid_date desc,
                    candidate_facts.fact_id asc
            ) <= candidate_facts.quota

    ),

    facts_in_budget as (

        select
            *,
            row_number() over (
                partition by record_id
                order by usefulness desc, valid_date desc, fact_id asc
            ) as packing_order
        from facts_in_quota
        qualify
            sum(token_count) over (
                partition by record_id
                order by usefulness desc, valid_date desc, fact_id asc
                rows between unbounded preceding and current row
            ) <= token_budget

    ),

    packed_facts as (

        select
            record_id,
            string_agg(line, chr(10) order by packing_order asc) as fact_lines,
            count(*) as packed_count
        from facts_in_budget
        group by record_id

    )
{%- endmacro %}
