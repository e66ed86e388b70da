{#-
  A customer's words as data: one line, nothing that steers a terminal or turns the direction of writing, no braces that
  a placeholder is made of, and no longer than policy says.
-#}
{% macro delivered_text(expression, most_chars) -%}
    case
        when length({{ delivered_line(expression) }}) > {{ most_chars }}
            then left({{ delivered_line(expression) }}, {{ most_chars }} - 1) || '…'
        else {{ delivered_line(expression) }}
    end
{%- endmacro %}

{% macro delivered_line(expression) -%}
    translate(
        {{ visible_line(expression) }},
        '{}',
        '()'
    )
{%- endmacro %}

{#- A text of the playbook with its placeholders filled in; what is not known leaves nothing behind. -#}
{% macro filled_in(text, values) -%}
    {%- set filled = namespace(sql=text) -%}
    {%- for name, expression in values.items() -%}
        {%- set filled.sql = "replace(" ~ filled.sql ~ ", '{" ~ name ~ "}', coalesce(" ~ expression ~ ", ''))" -%}
    {%- endfor -%}
    trim({{ filled.sql }})
{%- endmacro %}

{#- The key of a record that we create: the same for what is the same, whatever night it is planned in. -#}
{% macro delivery_key(parts) -%}
    'nd_' || left(sha256(concat_ws('|', {{ parts | join(', ') }})), 32)
{%- endmacro %}

{#- Whether a field is the one that marks a record as made by Nightdesk: `nightdesk_op_key`, `Nightdesk_Op_Key__c`. -#}
{% macro is_op_key(property) -%}
    lower({{ property }}) in ('nightdesk_op_key', 'nightdesk_op_key__c')
{%- endmacro %}
