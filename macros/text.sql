{#- Text as the CRM's users meant it: no blanks around it, nothing instead of an empty string. -#}
{% macro clean(expression) -%}
    nullif(trim({{ expression }}), '')
{%- endmacro %}

{#- The canonical id of a CRM record: `hubspot:contact:123`. Null stays null. -#}
{% macro record_id(record_type, expression) -%}
    'hubspot:{{ record_type }}:' || {{ expression }}
{%- endmacro %}

{#- The canonical id where the object type is a column with HubSpot's plural name. -#}
{% macro record_id_of(object_type, expression) -%}
    'hubspot:'
    || case {{ object_type }}
        when 'companies' then 'company'
        else regexp_replace({{ object_type }}, 's$', '')
    end
    || ':' || {{ expression }}
{%- endmacro %}

{#- The source that a canonical record id names: `salesforce` of `salesforce:lead:00Q1`. -#}
{% macro source_of(expression) -%}
    split_part({{ expression }}, ':', 1)
{%- endmacro %}

{#- How its own CRM names the object type of a canonical record id; null for what is no CRM's. -#}
{% macro crm_object_type(expression) -%}
    case regexp_extract({{ expression }}, '^([^:]+:[^:]+):', 1)
        when 'hubspot:contact' then 'contacts'
        when 'hubspot:company' then 'companies'
        when 'hubspot:meeting' then 'meetings'
        when 'salesforce:contact' then 'Contact'
        when 'salesforce:lead' then 'Lead'
        when 'salesforce:company' then 'Account'
        when 'salesforce:meeting' then 'Event'
    end
{%- endmacro %}

{#- The UTC day of a point in time. -#}
{% macro utc_date(expression) -%}
    cast(timezone('UTC', {{ expression }}) as date)
{%- endmacro %}

{#-
  One line of text: white space of any kind becomes one blank; nothing instead of nothing to read. Line separators that
  SQL does not count as white space (vertical tab, next line, Unicode's two) are lines to a language model all the same.
-#}
{% macro single_line(expression) -%}
    nullif(
        trim(
            regexp_replace(
                translate(
                    {{ expression }},
                    chr(11) || chr(133) || chr(8232) || chr(8233),
                    '    '
                ),
                '\s+',
                ' ',
                'g'
            )
        ),
        ''
    )
{%- endmacro %}

{#- One line without what steers a terminal, turns the direction of writing or cannot be seen; else every letter of it. -#}
{% macro visible_line(expression) -%}
    nullif(
        trim(
            regexp_replace(
                {{ single_line(expression) }},
                '[\p{Cc}\x{061C}\x{200B}\x{200E}\x{200F}\x{202A}-\x{202E}\x{2060}-\x{206F}\x{FEFF}'
                || '\x{FFF9}-\x{FFFB}\x{E0000}-\x{E007F}]',
                '',
                'g'
            )
        ),
        ''
    )
{%- endmacro %}

{#-
  A field of the CRM as plain text on one line, wherever it will be shown: no tags, no angle brackets that could open
  one, and no start that a spreadsheet takes for a formula. Numbers keep their sign. Never for the words of documents.
-#}
{% macro plain_field(expression) -%}
    {%- set untagged -%}
        translate(
            regexp_replace({{ visible_line(expression) }}, '</?[A-Za-z!][^<>]*>', ' ', 'g'), '<>', '‹›'
        )
    {%- endset -%}
    {{ single_line(
        "regexp_replace(" ~ untagged ~ ", '^[\\s=@+\\-]*[=@][\\s=@+\\-]*|^[\\s+\\-]+([^0-9\\s+\\-])', '\\1')"
    ) }}
{%- endmacro %}

{#- A mail's Message-ID as mail programs compare it: without the angle brackets, blanks and lines around it. -#}
{% macro message_id(expression) -%}
    nullif(trim({{ expression }}, ' <>' || chr(9) || chr(10) || chr(13)), '')
{%- endmacro %}
