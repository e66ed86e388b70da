{#- The value of an email header in HubSpot's `hs_email_headers` JSON text; null where the text is not JSON. -#}
{% macro email_header(headers_json, header) -%}
    json_extract_string(
        try_cast({{ headers_json }} as json), '$.headers."{{ header }}"'
    )
{%- endmacro %}

{#-
  Whether a machine sent it: RFC 3834's Auto-Submitted, the older headers that mail servers still send, the addresses
  that only servers write from, and what a mailbox's own reading of all headers and parts says.
-#}
{% macro is_machine_reply(
    auto_submitted, auto_reply, precedence, from_email, message_class='null'
) -%}
    coalesce(lower({{ auto_submitted }}) <> 'no', false)
    or coalesce(lower({{ auto_reply }}) not in ('no', 'false'), false)
    or coalesce(lower({{ precedence }}) in ('auto_reply', 'junk'), false)
    or coalesce(
        split_part({{ from_email }}, '@', 1) in ('mailer-daemon', 'postmaster'), false
    )
    or coalesce({{ message_class }} in ('auto_reply', 'bounce', 'receipt'), false)
{%- endmacro %}

{#- A subject as conversations share it: lower case, without "Re:" and its like, white space made one blank. -#}
{% macro normal_subject(expression) -%}
    trim(
        regexp_replace(
            regexp_replace(
                lower(coalesce({{ expression }}, '')),
                '^(\s*(re|aw|antw|sv|vs|fw|fwd|wg|tr|rv|res)\s*(\[\d+\]|\(\d+\))?\s*:)+',
                ''
            ),
            '\s+',
            ' ',
            'g'
        )
    )
{%- endmacro %}
