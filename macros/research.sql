{#-
  What a record's research can reach, as two counts and a fingerprint of everything a tool could show of it: the question
  changes when a document or a fact does, and only then. Nothing in it is relative to today.
-#}
{% macro research_reach(record_type) -%}
    reachable_lines as (

        select
            record_id,
            'document' as kind,
            document_id as item_id,
            concat_ws(
                '|',
                document_id,
                document_number,
                document_date,
                author_side,
                coalesce(author_name, ''),
                coalesce(subject, ''),
                body_hash
            ) as line
        from {{ ref('research_documents') }}
        where record_type = '{{ record_type }}'

        union all

        select
            record_id,
            'fact' as kind,
            fact_id as item_id,
            concat_ws(
                '|',
                fact_id,
                predicate,
                coalesce(fact_value, ''),
                polarity,
                author_side,
                coalesce(author_name, ''),
                coalesce(cast(fact_date as varchar), ''),
                valid_date,
                is_current
            ) as line
        from {{ ref('research_facts') }}
        where record_type = '{{ record_type }}'

    ),

    reach as (

        select
            record_id,
            count(*) filter (where kind = 'document') as document_count,
            count(*) filter (where kind = 'fact') as fact_count,
            left(
                sha256(
                    string_agg(line, chr(10) order by kind asc, item_id asc, line asc)
                ),
                12
            ) as fingerprint
        from reachable_lines
        group by record_id

    )
{%- endmacro %}

{#- The first day of the period of so many days that today lies in, counted from a fixed day: the same for all records. -#}
{% macro period_start(days) -%}
    cast(
        cast(
            floor(
                date_diff('day', cast('1970-01-01' as date), {{ as_of() }})
                / cast({{ days }} as double)
            ) as integer
        ) * {{ days }} + cast('1970-01-01' as date) as date
    )
{%- endmacro %}

{#- The sentences of each section of an answer, in order, one column each: as running text or as lines. -#}
{% macro section_columns(texts, lists=[]) -%}
    sections as (

        select
            answer_id
            {%- for section in texts %},
            string_agg(body, ' ' order by position asc)
                filter (where section = '{{ section }}') as {{ section }}
            {%- endfor %}
            {%- for section in lists %},
            string_agg('- ' || body, chr(10) order by position asc)
                filter (where section = '{{ section }}') as {{ section }}
            {%- endfor %}
        from {{ ref('stg_ledger__sentences') }}
        group by answer_id

    )
{%- endmacro %}
