-- One row per person record of every CRM, and per unknown address that wrote, was written to or was invited: what
-- identity compares, normalised. Records that their CRM merged away are in, with the record that stands for them.
{% set titles -%}
['dr', 'prof', 'professor', 'mr', 'mrs', 'ms', 'miss', 'mx', 'herr', 'frau', 'dipl', 'ing', 'phd', 'mba', 'msc']
{%- endset %}
{% set generations -%}
['jr', 'jun', 'junior', 'sr', 'sen', 'senior', 'ii', 'iii', 'iv']
{%- endset %}
with

words as (

    select * from {{ ref('int_identity_words') }}

),

merges as (

    select
        merged_record_id,
        surviving_record_id
    from {{ ref('int_identity_merges') }}
    where object_type = 'contacts'

),

deletions as (

    select distinct record_id from {{ ref('int_source_deletions') }}

),

companies as (

    select
        account_id,
        account_name,
        {{ web_host('domain') }} as host
    from {{ ref('int_source_companies') }}

),

employers as (

    select
        associations.from_record_id as record_id,
        min_by(
            companies.account_name,
            row(
                case associations.association_type_id when 1 then 0 else 1 end,
                companies.account_id
            )
        ) as account_name,
        min_by(
            companies.host,
            row(
                case associations.association_type_id when 1 then 0 else 1 end,
                companies.account_id
            )
        ) as host
    from {{ ref('int_source_associations') }} as associations
    inner join companies
        on associations.to_record_id = companies.account_id
    where associations.from_object_type = 'contacts'
    group by associations.from_record_id

),

records as (

    select
        contacts.contact_id as record_id,
        split_part(contacts.contact_id, ':', 1) as source,
        contacts.source_object_type,
        contacts.source_record_id,
        'record' as record_kind,
        coalesce(merges.surviving_record_id, contacts.contact_id) as standing_in_crm_id,
        merges.merged_record_id is null
        and not coalesce(contacts.is_archived, false)
        and deletions.record_id is null as is_live,
        lower(contacts.email) as email,
        contacts.first_name,
        contacts.last_name,
        contacts.job_title,
        contacts.phone,
        coalesce(contacts.company_name, employers.account_name) as company_name,
        employers.host as company_host,
        contacts.country,
        contacts.city,
        contacts.created_at
    from {{ ref('int_source_contacts') }} as contacts
    left join merges
        on contacts.contact_id = merges.merged_record_id
    left join deletions
        on contacts.contact_id = deletions.record_id
    left join employers
        on contacts.contact_id = employers.record_id

),

-- "Meier, Hans" and a whole name in one field are taken apart; what stands in brackets is no name.
spelt as (

    select
        records.* exclude (first_name, last_name),
        nullif(concat_ws(' ', first_name, last_name), '') as full_name,
        case
            when first_name is null and last_name like '%,%'
                then split_part(last_name, ',', 2)
            when first_name is null or last_name is null
                then regexp_extract(
                    trim(
                        regexp_replace(coalesce(first_name, last_name), '\(.*?\)|\[.*?\]', '', 'g')
                    ),
                    '^(.*\S)\s+\S+$',
                    1
                )
            else first_name
        end as given_text,
        case
            when first_name is null and last_name like '%,%'
                then split_part(last_name, ',', 1)
            when first_name is null or last_name is null
                then regexp_extract(
                    trim(
                        regexp_replace(coalesce(first_name, last_name), '\(.*?\)|\[.*?\]', '', 'g')
                    ),
                    '(\S+)$',
                    1
                )
            else last_name
        end as family_text
    from records

),

tokens as (

    select
        spelt.*,
        coalesce(string_split({{ compared_words('given_text') }}, ' '), []) as given_words,
        coalesce(string_split({{ compared_words('family_text') }}, ' '), []) as family_words
    from spelt

),

named as (

    select
        tokens.* exclude (given_text, family_text, given_words, family_words),
        list_filter(
            given_words,
            lambda word: not list_contains({{ titles }}, word)
            and not list_contains({{ generations }}, word)
        ) as given_names,
        nullif(
            array_to_string(
                list_filter(
                    family_words,
                    lambda word: not list_contains({{ titles }}, word)
                    and not list_contains({{ generations }}, word)
                ),
                ' '
            ),
            ''
        ) as family_name,
        case
            when list_has_any(given_words || family_words, ['jr', 'jun', 'junior', 'ii'])
                then 'younger'
            when list_has_any(given_words || family_words, ['sr', 'sen', 'senior']) then 'older'
            when list_has_any(given_words || family_words, ['iii', 'iv']) then 'youngest'
        end as generation
    from tokens

),

addressed as (

    select
        named.*,
        nullif(given_names[1], '') as given_first,
        nullif(array_to_string(given_names, ' '), '') as given_name,
        split_part(named.email, '@', 1) as email_local,
        nullif(split_part(named.email, '@', 2), '') as email_domain,
        list_contains(words.role_mailboxes, split_part(named.email, '@', 1))
        or list_contains(
            words.role_mailboxes,
            regexp_extract(split_part(named.email, '@', 1), '^[^._+-]+')
        ) as is_role_mailbox,
        list_contains(words.shared_domains, split_part(named.email, '@', 2))
            as is_shared_domain
    from named
    cross join words

),

-- An address that one CRM has on records of different names belongs to nobody in particular.
shared_addresses as (

    select email
    from addressed
    where record_kind = 'record' and email is not null and standing_in_crm_id = record_id
    group by email, source
    having count(distinct given_first || ' ' || family_name) > 1

),

shared_phones as (

    select {{ phone_end('phone') }} as phone_key
    from addressed
    where phone is not null
    group by {{ phone_end('phone') }}, source
    having count(distinct given_first || ' ' || family_name) > 1

),

keyed as (

    select
        addressed.*,
        coalesce(addressed.is_role_mailbox, false)
        or shared_addresses.email is not null as is_shared_address,
        {{ phone_end('addressed.phone') }} as phone_key,
        case
            when addressed.email_domain in ('gmail.com', 'googlemail.com')
                then replace(split_part(addressed.email_local, '+', 1), '.', '')
                || '@gmail.com'
            else split_part(addressed.email_local, '+', 1)
            || '@' || addressed.email_domain
        end as mailbox,
        case
            when not addressed.is_shared_domain
                then {{ registered_domain('addressed.email_domain', 'words.two_part_suffixes') }}
        end as mail_domain,
        {{ registered_domain('addressed.company_host', 'words.two_part_suffixes') }}
            as employer_domain,
        nullif(
            array_to_string(
                list_filter(
                    string_split({{ compared_words('addressed.company_name') }}, ' '),
                    lambda word: not list_contains(words.legal_forms, word)
                ),
                ' '
            ),
            ''
        ) as company_name_key,
        coalesce(
            words.countries[{{ compared_words('addressed.country') }}],
            {{ compared_words('addressed.country') }}
        ) as country_key,
        {{ compared_words('addressed.city') }} as city_key,
        {{ compared_words('addressed.job_title') }} as title_key,
        list_sort(list_distinct(
            list_filter(
                [addressed.given_first]
                || coalesce(
                    string_split(words.nicknames[addressed.given_first], ' '), []
                ),
                lambda word: word is not null and length(word) > 1
            )
        )) as given_roots,
        words.shared_domains
    from addressed
    cross join words
    left join shared_addresses
        on addressed.email = shared_addresses.email

),

final as (

    select
        -- ids
        keyed.record_id,
        keyed.source,
        keyed.source_object_type,
        keyed.source_record_id,
        keyed.record_kind,
        keyed.standing_in_crm_id,

        -- as a person reads it
        keyed.full_name,
        keyed.email,
        keyed.phone,
        keyed.company_name,
        keyed.job_title,
        keyed.city,
        keyed.country,

        -- as it is compared
        keyed.given_first,
        keyed.given_name,
        keyed.given_roots,
        keyed.family_name,
        keyed.generation,
        nullif(concat_ws(' ', keyed.given_first, keyed.family_name), '')
            as full_name_key,
        case when not keyed.is_shared_address then keyed.mailbox end as mailbox_key,
        case when not keyed.is_shared_address then keyed.email_local end
            as mailbox_name,
        keyed.mail_domain,
        keyed.phone_key,
        coalesce(
            keyed.mail_domain,
            case
                when not list_contains(keyed.shared_domains, keyed.employer_domain)
                    then keyed.employer_domain
            end
        ) as company_domain,
        list_sort(list_distinct(
            list_filter(
                [
                    keyed.mail_domain,
                    case
                        when
                            not list_contains(keyed.shared_domains, keyed.employer_domain)
                            then keyed.employer_domain
                    end
                ],
                lambda domain: domain is not null
            )
        )) as company_domains,
        keyed.company_name_key,
        keyed.title_key,
        keyed.city_key,
        keyed.country_key,

        -- booleans
        keyed.is_live,
        keyed.is_shared_address,
        coalesce(keyed.is_shared_domain, false) as is_shared_domain,
        shared_phones.phone_key is not null as is_shared_phone,

        -- timestamps
        keyed.created_at,

        -- What a decision about the record rests on: another hash asks for another look.
        md5(
            concat_ws(
                '|',
                coalesce(keyed.given_name, ''),
                coalesce(keyed.family_name, ''),
                coalesce(keyed.generation, ''),
                coalesce(keyed.email, ''),
                coalesce(keyed.phone_key, ''),
                coalesce(keyed.company_name_key, ''),
                coalesce(keyed.employer_domain, ''),
                coalesce(keyed.title_key, ''),
                coalesce(keyed.city_key, ''),
                coalesce(keyed.country_key, '')
            )
        ) as inputs_hash
    from keyed
    left join
        (
            select distinct phone_key from shared_phones
        ) as shared_phones
        on keyed.phone_key = shared_phones.phone_key

)

select * from final
