{#- The value of an email header in HubSpot's `hs_email_headers` JSON text; null where the text is not JSON. -#}
{% macro email_header(headers_json, header) -%}
    json_extract_string(
        try_cast({{ headers_json }} as json), '$.headers."{{ header }}"'
    )
{%- endmacro %}

{#-
  Whether a machine sent it: RFC 3834's Auto-Submitted, the older headers that mail servers still send, and the
  addresses that only servers write from.
-#}
{% macro is_machine_reply(auto_submitted, auto_reply, precedence, from_email) -%}
    coalesce(lower({{ auto_submitted }}) <> 'no', false)
    or coalesce(lower({{ auto_reply }}) not in ('no', 'false'), false)
    or coalesce(lower({{ precedence }}) in ('auto_reply', 'junk'), false)
    or coalesce(
        split_part({{ from_email }}, '@', 1) in ('mailer-daemon', 'postmaster'), false
    )
{%- endmacro %}
