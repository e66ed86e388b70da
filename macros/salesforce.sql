{#- The canonical id of a Salesforce record: `salesforce:contact:003...`. Null stays null. -#}
{% macro salesforce_id(record_type, expression) -%}
    'salesforce:{{ record_type }}:' || nullif({{ expression }}, '')
{%- endmacro %}

{#- The seller a record belongs to; a queue (key prefix 00G) is nobody. -#}
{% macro salesforce_owner(expression) -%}
    case
        when {{ expression }} not like '00G%'
            then {{ salesforce_id('owner', expression) }}
    end
{%- endmacro %}

{#-
  The canonical id of what a reference points to, told by the id's key prefix; null for what is no canonical record
  (users, campaigns, cases, custom objects).
-#}
{% macro salesforce_reference(expression) -%}
    case left({{ expression }}, 3)
        when '001' then {{ salesforce_id('company', expression) }}
        when '003' then {{ salesforce_id('contact', expression) }}
        when '006' then {{ salesforce_id('deal', expression) }}
        when '00Q' then {{ salesforce_id('lead', expression) }}
    end
{%- endmacro %}

{#- The canonical id of a record whose object is a column. -#}
{% macro salesforce_object_id(object_type, expression) -%}
    case {{ object_type }}
        when 'Account' then {{ salesforce_id('company', expression) }}
        when 'Contact' then {{ salesforce_id('contact', expression) }}
        when 'Lead' then {{ salesforce_id('lead', expression) }}
        when 'Opportunity' then {{ salesforce_id('deal', expression) }}
        when 'EmailMessage' then {{ salesforce_id('email', expression) }}
        when 'Event' then {{ salesforce_id('meeting', expression) }}
        when 'Note' then {{ salesforce_id('note', expression) }}
        when 'User' then {{ salesforce_id('owner', expression) }}
    end
{%- endmacro %}

{#- The plural name of the type a canonical id is of: contacts for contacts and leads, companies, deals, ... -#}
{% macro plural_of_record_id(record_id) -%}
    case split_part({{ record_id }}, ':', 2)
        when 'company' then 'companies'
        when 'lead' then 'contacts'
        else split_part({{ record_id }}, ':', 2) || 's'
    end
{%- endmacro %}

{#- The host of a web address, lower case, without `www.`: `www.Acme.example/en` is `acme.example`. -#}
{% macro domain_of_url(expression) -%}
    nullif(
        regexp_extract(
            lower(trim({{ expression }})),
            '^(?:[a-z][a-z0-9+.-]*:)?(?://)?(?:[^/@]*@)?(?:www\.)?([^/:?#\s]+)',
            1
        ),
        ''
    )
{%- endmacro %}

{#- A picklist's word in the form of HubSpot's codes: `Not Started` is `NOT_STARTED`. -#}
{% macro code_of_label(expression) -%}
    nullif(
        trim(
            regexp_replace(upper({{ expression }}), '[^A-Z0-9]+', '_', 'g'), '_'
        ),
        ''
    )
{%- endmacro %}

{#-
  HTML as text, in two steps: here what is not shown is left out and blocks become lines; then `entities_as_text`. Each
  pattern passes the text once, and plain replacements are cheaper than patterns.
-#}
{% macro html_without_tags(expression) -%}
    {%- set text = namespace(sql=expression) -%}
    {%- set invisible = "<!--.*?-->|<(?:style|script|head|title)\\b.*?</(?:style|script|head|title)\\s*>" -%}
    {%- set blocks = "<(?:br|/p|/div|/li|/tr|/h[1-6]|/blockquote)\\b[^>]*>" -%}
    {%- set text.sql = "regexp_replace(" ~ text.sql ~ ", '(?is)" ~ invisible ~ "', '', 'g')" -%}
    {%- set text.sql = "translate(" ~ text.sql ~ ", chr(9) || chr(10) || chr(13), '   ')" -%}
    {%- set text.sql = "regexp_replace(" ~ text.sql ~ ", '(?i)" ~ blocks ~ "', chr(10), 'g')" -%}
    regexp_replace({{ text.sql }}, '<[^>]*>', '', 'g')
{%- endmacro %}

{#- The second step: entities become characters, blanks one blank, empty lines one empty line. -#}
{% macro entities_as_text(expression) -%}
    {%- set text = namespace(sql=expression) -%}
    {%- for entity, character in (
        ('&nbsp;', "' '"), ('&#160;', "' '"), ('&lt;', "'<'"), ('&gt;', "'>'"), ('&quot;', "'\"'"),
        ('&#39;', "''''"), ('&apos;', "''''"), ('&amp;', "'&'"),
    ) -%}
        {%- set text.sql = "replace(" ~ text.sql ~ ", '" ~ entity ~ "', " ~ character ~ ")" -%}
    {%- endfor -%}
    {%- set text.sql = "regexp_replace(" ~ text.sql ~ ", ' {2,}', ' ', 'g')" -%}
    {%- set text.sql = "replace(replace(" ~ text.sql ~ ", ' ' || chr(10), chr(10)), chr(10) || ' ', chr(10))" -%}
    {%- set text.sql = "regexp_replace(" ~ text.sql ~ ", '\\n{3,}', chr(10) || chr(10), 'g')" -%}
    nullif(trim({{ text.sql }}, ' ' || chr(10)), '')
{%- endmacro %}

{#- One header out of a mail's own header lines; a folded line is read on. Null where there is none. -#}
{% macro mail_header_line(headers, name) -%}
    nullif(
        trim(
            regexp_extract({{ headers }}, '(?im)^{{ name }}:[ \t]*(.*)$', 1)
        ),
        ''
    )
{%- endmacro %}

{#-
  When a logged activity took place. A task has a day, and the moment it was ticked off: that moment, if it was on the day
  or the one before or after (time zones), else the day itself. Somebody who logs last week's call today did not call today.
-#}
{% macro salesforce_done_at(tasks) -%}
    case
        when
            {{ tasks }}.activity_date is null
            or abs(
                date_diff(
                    'day',
                    {{ utc_date(tasks ~ '.completed_date_time') }},
                    {{ tasks }}.activity_date
                )
            ) <= 1
            then coalesce({{ tasks }}.completed_date_time, {{ tasks }}.created_date)
        else timezone('UTC', cast({{ tasks }}.activity_date as timestamp))
    end
{%- endmacro %}

{#- The header lines that stand above the text of an email that was logged as a task; empty where there are none. -#}
{% macro logged_email_head(description) -%}
    regexp_extract(
        {{ description }},
        '^((?:[ \t]*(?i:additional to|from|to|cc|bcc|attachments?|subject|sent|date):[^\n]*(?:\n|$)|[ \t\r]*\n)*)',
        1
    )
{%- endmacro %}

{#- The addresses in one of those lines, lower case, separated by semicolons. -#}
{% macro logged_email_addresses(head, name) -%}
    nullif(
        array_to_string(
            regexp_extract_all(
                lower(regexp_extract({{ head }}, '(?im)^[ \t]*{{ name }}:([^\n]*)$', 1)),
                '[^\s;,<>"()]+@[^\s;,<>"()]+'
            ),
            ';'
        ),
        ''
    )
{%- endmacro %}

{#- Addresses as HubSpot lists them: lower case, separated by semicolons. -#}
{% macro address_list(expression) -%}
    nullif(
        trim(regexp_replace(lower({{ expression }}), '\s*[;,]\s*', ';', 'g'), '; '), ''
    )
{%- endmacro %}

{#-
  The headers that tell a machine's mail, in the JSON shape that HubSpot has them in, out of a mail's own header lines;
  null where there are none.
-#}
{% macro mail_headers_json(headers) -%}
    case
        when starts_with(ltrim({{ headers }}), '{') then {{ headers }}
        when {{ clean(headers) }} is not null
            then cast(
                json_object(
                    'headers',
                    json_object(
                        {%- for name in ('Auto-Submitted', 'X-Autoreply', 'X-Autorespond', 'Precedence') %}
                        '{{ name }}', {{ mail_header_line(headers, name) }}
                        {{- ',' if not loop.last }}
                        {%- endfor %}
                    )
                ) as varchar
            )
    end
{%- endmacro %}

{#- Text of a field that Salesforce insists on: what people and programs write when they have nothing is nothing. -#}
{% macro provided(expression) -%}
    case
        when lower(trim({{ expression }})) not in ('[not provided]', 'n/a', 'unknown', '-', '.')
            then {{ clean(expression) }}
    end
{%- endmacro %}
