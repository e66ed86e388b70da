{#-
  Words as they are compared: lower case, without accents, punctuation and double blanks; ae, oe and ue read as a, o, u,
  so that Müller, Mueller and Muller are the same. Letters of other scripts stay. Nothing instead of no words.
-#}
{% macro compared_words(expression) -%}
    nullif(
        trim(
            regexp_replace(
                replace(
                    replace(
                        replace(
                            strip_accents(
                                replace(
                                    replace(
                                        translate(lower({{ expression }}), 'øłđðı', 'olddi'),
                                        'ß', 'ss'
                                    ),
                                    'æ', 'a'
                                )
                            ),
                            'ae', 'a'
                        ),
                        'oe', 'o'
                    ),
                    'ue', 'u'
                ),
                '[^\p{L}\p{N}]+',
                ' ',
                'g'
            )
        ),
        ''
    )
{%- endmacro %}

{#- The host of a domain or web address: no scheme, path, port, dot at the end or www. -#}
{% macro web_host(expression) -%}
    nullif(
        regexp_replace(
            regexp_replace(
                split_part(
                    regexp_replace(trim(lower({{ expression }})), '^[a-z]+://', ''),
                    '/', 1
                ),
                ':[0-9]+$|\.+$', ''
            ),
            '^www[0-9]?\.', ''
        ),
        ''
    )
{%- endmacro %}

{#- The domain a host was registered under: two parts, or three under a suffix of two (`suffixes` is an array). -#}
{% macro registered_domain(host, suffixes) -%}
    case
        when {{ host }} not like '%.%' then null
        else array_to_string(
            list_slice(
                string_split({{ host }}, '.'),
                case
                    when list_contains(
                        {{ suffixes }},
                        array_to_string(list_slice(string_split({{ host }}, '.'), -2, -1), '.')
                    ) then -3
                    else -2
                end,
                -1
            ),
            '.'
        )
    end
{%- endmacro %}

{#-
  The end of a telephone number by which it is compared: 8 digits, without extension; null below 7. Country codes and
  leading zeros are written in too many ways to be compared.
-#}
{% macro phone_end(expression) -%}
    case
        when length(
            regexp_replace(
                regexp_replace(lower({{ expression }}), '(ext|x|durchwahl|app|#).*$|\(0\)', '', 'g'),
                '[^0-9]', '', 'g'
            )
        ) >= 7
            then right(
                regexp_replace(
                    regexp_replace(lower({{ expression }}), '(ext|x|durchwahl|app|#).*$|\(0\)', '', 'g'),
                    '[^0-9]', '', 'g'
                ),
                8
            )
    end
{%- endmacro %}

{#- The id of the link between two records, whichever comes first; the same as nightdesk.identity.pairs.link_id. -#}
{% macro link_id(one, other) -%}
    'lnk_' || left(
        md5(least({{ one }}, {{ other }}) || '|' || greatest({{ one }}, {{ other }})), 16
    )
{%- endmacro %}

{#- The inputs of a pair as one hash; the same as nightdesk.identity.pairs.inputs_hash. -#}
{% macro pair_inputs(one_id, one_hash, other_id, other_hash) -%}
    md5(
        case
            when {{ one_id }} < {{ other_id }} then {{ one_hash }} || '|' || {{ other_hash }}
            else {{ other_hash }} || '|' || {{ one_hash }}
        end
    )
{%- endmacro %}

{#- Whether two people's names can be one person's: neither given nor family name speaks against it. -#}
{% macro names_agree(one, other) -%}
    case
        when
            {{ one }}.generation is distinct from {{ other }}.generation
            and {{ one }}.generation is not null
            and {{ other }}.generation is not null
            then false
        when
            {{ one }}.given_first = {{ other }}.family_name
            and {{ one }}.family_name = {{ other }}.given_first
            then true
        when {{ one }}.given_first is not null and {{ other }}.given_first is not null
            then
                list_has_any({{ one }}.given_roots, {{ other }}.given_roots)
                or jaro_winkler_similarity({{ one }}.given_first, {{ other }}.given_first) >= 0.9
                or (
                    least(length({{ one }}.given_first), length({{ other }}.given_first)) = 1
                    and left({{ one }}.given_first, 1) = left({{ other }}.given_first, 1)
                )
        when {{ one }}.family_name is not null and {{ other }}.family_name is not null
            then
                jaro_winkler_similarity({{ one }}.family_name, {{ other }}.family_name) >= 0.9
        else true
    end
{%- endmacro %}

{#- Whether two companies' names can be one company's: equal, nearly so, only the domain once more, or not known. -#}
{% macro company_names_agree(one, other) -%}
    coalesce(
        {{ one }}.name_key = {{ other }}.name_key
        or jaro_winkler_similarity({{ one }}.name_key, {{ other }}.name_key) >= 0.92
        or list_has_all({{ one }}.name_words, {{ other }}.name_words)
        or list_has_all({{ other }}.name_words, {{ one }}.name_words)
        or replace({{ one }}.name_key, ' ', '') = replace({{ one }}.domain_key, '.', '')
        or replace({{ other }}.name_key, ' ', '') = replace({{ other }}.domain_key, '.', ''),
        true
    )
{%- endmacro %}

{#- The words of a list that are not among others; both are arrays. -#}
{% macro words_without(words, others) -%}
    list_filter({{ words }}, lambda one_word: not list_contains({{ others }}, one_word))
{%- endmacro %}

{#- The different values of an array, sorted, without nulls: equal sets are equal arrays. -#}
{% macro as_set(values) -%}
    list_sort(list_distinct(list_filter({{ values }}, lambda one_value: one_value is not null)))
{%- endmacro %}

{#- A country under the one name that is compared; itself where the policy has no other name for it. -#}
{% macro one_country(expression, countries) -%}
    coalesce({{ countries }}[{{ compared_words(expression) }}], {{ compared_words(expression) }})
{%- endmacro %}

{#- A name without what stands in brackets ("(Acme)", "[external]"). -#}
{% macro unbracketed(expression) -%}
    trim(regexp_replace({{ expression }}, '\(.*?\)|\[.*?\]', '', 'g'))
{%- endmacro %}

{#- The association that comes first where one company has to be chosen: the primary one (type 1), then by id. -#}
{% macro first_employer(column) -%}
    min_by(
        companies.{{ column }},
        row(case associations.association_type_id when 1 then 0 else 1 end, companies.account_id)
    )
{%- endmacro %}

{#- A mailbox, whatever its owner puts into the address: no +tag, and no dots where the provider ignores them. -#}
{% macro mailbox(local_part, domain) -%}
    case
        when {{ domain }} in ('gmail.com', 'googlemail.com')
            then replace(split_part({{ local_part }}, '+', 1), '.', '') || '@gmail.com'
        else split_part({{ local_part }}, '+', 1) || '@' || {{ domain }}
    end
{%- endmacro %}

{#- Words that are no part of a name, and words that tell fathers from sons. -#}
{% macro name_titles() -%}
    ['dr', 'prof', 'professor', 'mr', 'mrs', 'ms', 'miss', 'mx', 'herr', 'frau', 'dipl', 'ing', 'phd', 'mba', 'msc']
{%- endmacro %}
{% macro name_generations() -%}
    ['jr', 'jun', 'junior', 'sr', 'sen', 'senior', 'ii', 'iii', 'iv']
{%- endmacro %}
