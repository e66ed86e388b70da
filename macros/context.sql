{#-
  The bytes an agent is shown are made here and nowhere else: enrich/context.py reads them back.
  Nothing here may depend on the day, or every record would be asked again every day.
-#}

{#-
  One field: `[account.industry] RETAIL`. Null where there is nothing to say, so that the line is left out. What the CRM
  says of a record is plain text, for answers repeat it; a document's own lines are quoted letter by letter.
-#}
{% macro field_line(name, expression) -%}
    {%- set value = "cast(" ~ expression ~ " as varchar)" -%}
    '[{{ name }}] ' || {{ single_line(value) if name.startswith('document.') else plain_field(value) }}
{%- endmacro %}

{#- One fact: `[f_ab12] 2026-08-03 theirs email budget=frozen until=2026-07-01 affirmed "We cannot move."` -#}
{% macro fact_line(fact) -%}
    '[' || {{ fact }}.fact_id || '] '
    || cast({{ fact }}.valid_date as varchar)
    || ' ' || {{ fact }}.author_side
    || ' ' || {{ fact }}.document_type
    || ' ' || {{ fact }}.predicate || '=' || coalesce({{ single_line(fact ~ ".fact_value") }}, '')
    || coalesce(' until=' || cast({{ fact }}.fact_date as varchar), '')
    || ' ' || {{ fact }}.polarity
    || ' "' || coalesce(replace({{ single_line(fact ~ ".quote") }}, '"', ''''), '') || '"'
{%- endmacro %}

{#- Lines in the order given, nothing for those that are null, and nothing after the last. -#}
{% macro context_of(lines) -%}
    concat_ws(
        chr(10),
        {{ lines | join(',\n        ') }}
    )
{%- endmacro %}

{#- The lines above a document's text. -#}
{% macro document_header(document, more_lines=[]) -%}
    {{ context_of([
        field_line('document.type', document ~ '.document_type'),
        field_line('document.date', document ~ '.document_date'),
        field_line('document.author', document ~ '.author_email'),
        field_line('document.author_side', document ~ '.author_side'),
        field_line('document.direction', document ~ '.direction'),
        field_line('document.subject', document ~ '.subject'),
    ] + more_lines) }}
{%- endmacro %}

{#-
  The last part of every queue: what is neither gated nor missing gets its context, a fingerprint of exactly those
  bytes, and an estimate of its size.
  Expects a relation with record_id, context, gate, gate_reason, missing, priority.
-#}
{% macro queue_columns(operation, record_type, relation, numbers) -%}
    select
        '{{ operation }}' as operation,
        '{{ record_type }}' as record_type,
        {{ relation }}.record_id,
        case
            when {{ relation }}.gate is null and {{ relation }}.missing is null
                then {{ relation }}.context
        end as context,
        case
            when {{ relation }}.gate is null and {{ relation }}.missing is null
                then sha256({{ relation }}.context)
        end as context_hash,
        {{ relation }}.gate,
        {{ relation }}.gate_reason,
        case when {{ relation }}.gate is null then {{ relation }}.missing end as missing,
        cast({{ relation }}.priority as bigint) as priority,
        case
            when {{ relation }}.gate is null and {{ relation }}.missing is null
                then cast(
                    ceil(
                        length({{ relation }}.context)
                        / coalesce({{ numbers }}.token_estimate_chars, 4)
                    ) as bigint
                )
            else 0
        end as estimated_tokens
    from {{ relation }}
    cross join {{ numbers }}
{%- endmacro %}
