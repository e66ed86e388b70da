-- One row per person record of every CRM, and per unknown address that wrote, was written to or was invited: what
-- identity compares, normalised. Records that their CRM merged away are in, with the record that stands for them.
with

vocabulary as (

    select * from {{ ref('int_identity_words') }}

),

crm_merges as (

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
        {{ first_employer('account_name') }} as account_name,
        {{ first_employer('host') }} as host
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
        coalesce(crm_merges.surviving_record_id, contacts.contact_id)
            as standing_in_crm_id,
        crm_merges.merged_record_id is null
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
    left join crm_merges
        on contacts.contact_id = crm_merges.merged_record_id
    left join deletions
        on contacts.contact_id = deletions.record_id
    left join employers
        on contacts.contact_id = employers.record_id

),

addresses as (

    select
        record_id,
        'address' as source,
        'address' as source_object_type,
        split_part(record_id, ':', 3) as source_record_id,
        'address' as record_kind,
        record_id as standing_in_crm_id,
        true as is_live,
        email,
        address_name as last_name,
        talks_with
    from {{ ref('int_identity_addresses') }}

),

everybody as (

    select * from records

    union all by name

    select * from addresses

),

-- A name that stands in one field whole is taken apart, "Meier, Hans" too.
spelt as (

    select
        *,
        nullif(concat_ws(' ', first_name, last_name), '') as full_name,
        case
            when first_name is not null and last_name is not null then null
            else {{ unbracketed('coalesce(last_name, first_name)') }}
        end as whole_name
    from everybody

),

parted as (

    select
        *,
        case
            when whole_name is null then first_name
            when whole_name like '%,%' then split_part(whole_name, ',', 2)
            else regexp_extract(whole_name, '^(.*\S)\s+\S+$', 1)
        end as given_text,
        case
            when whole_name is null then last_name
            when whole_name like '%,%' then split_part(whole_name, ',', 1)
            else regexp_extract(whole_name, '(\S+)$', 1)
        end as family_text
    from spelt

),

tokens as (

    select
        *,
        coalesce(string_split({{ compared_words('given_text') }}, ' '), [])
            as given_words,
        coalesce(string_split({{ compared_words('family_text') }}, ' '), [])
            as family_words
    from parted

),

named as (

    select
        *,
        {{ words_without(
            words_without('given_words', name_titles()), name_generations()
        ) }} as given_names,
        {{ words_without(
            words_without('family_words', name_titles()), name_generations()
        ) }} as family_names,
        case
            when
                list_has_any(
                    given_words || family_words, ['jr', 'jun', 'junior', 'ii']
                )
                then 'younger'
            when list_has_any(given_words || family_words, ['sr', 'sen', 'senior'])
                then 'older'
            when list_has_any(given_words || family_words, ['iii', 'iv'])
                then 'youngest'
        end as generation,
        split_part(email, '@', 1) as email_local,
        nullif(split_part(email, '@', 2), '') as email_domain
    from tokens

),

addressed as (

    select
        named.*,
        nullif(named.given_names[1], '') as given_first,
        nullif(array_to_string(named.given_names, ' '), '') as given_name,
        nullif(array_to_string(named.family_names, ' '), '') as family_name,
        -- info@, and sales.uk@ as well.
        list_has_any(
            vocabulary.role_mailboxes,
            [named.email_local, regexp_extract(named.email_local, '^[^._+-]+')]
        ) as is_role_mailbox,
        coalesce(
            list_contains(vocabulary.shared_domains, named.email_domain), false
        ) as is_shared_domain,
        {{ phone_end('named.phone') }} as phone_key
    from named
    cross join vocabulary

),

-- An address that one CRM has on records of different names belongs to nobody in particular; so does a number.
address_names as (

    select
        email,
        source,
        count(distinct given_first || ' ' || family_name) as name_count
    from addressed
    where record_id = standing_in_crm_id
    group by email, source

),

phone_names as (

    select
        phone_key,
        source,
        count(distinct given_first || ' ' || family_name) as name_count
    from addressed
    where record_id = standing_in_crm_id
    group by phone_key, source

),

shared_addresses as (

    select distinct email
    from address_names
    where name_count > 1

),

shared_phones as (

    select distinct phone_key
    from phone_names
    where name_count > 1

),

keyed as (

    select
        addressed.*,
        coalesce(addressed.is_role_mailbox, false)
        or shared_addresses.email is not null as is_shared_address,
        shared_phones.phone_key is not null as is_shared_phone,
        {{ mailbox('addressed.email_local', 'addressed.email_domain') }} as mailbox,
        case
            when not addressed.is_shared_domain
                then {{ registered_domain(
                    'addressed.email_domain', 'vocabulary.two_part_suffixes'
                ) }}
        end as mail_domain,
        {{ registered_domain(
            'addressed.company_host', 'vocabulary.two_part_suffixes'
        ) }} as employer_domain,
        vocabulary.shared_domains,
        nullif(
            array_to_string(
                {{ words_without(
                    'string_split('
                    ~ compared_words('addressed.company_name') ~ ", ' ')",
                    'vocabulary.legal_forms'
                ) }},
                ' '
            ),
            ''
        ) as company_name_key,
        {{ one_country('addressed.country', 'vocabulary.countries') }} as country_key,
        {{ compared_words('addressed.city') }} as city_key,
        {{ compared_words('addressed.job_title') }} as title_key,
        {{ as_set(
            '[addressed.given_first] || coalesce('
            ~ "string_split(vocabulary.nicknames[addressed.given_first], ' '), [])"
        ) }} as given_roots
    from addressed
    cross join vocabulary
    left join shared_addresses
        on addressed.email = shared_addresses.email
    left join shared_phones
        on addressed.phone_key = shared_phones.phone_key

),

domains as (

    select
        *,
        case
            when
                not list_contains(shared_domains, employer_domain)
                and not list_contains(shared_domains, company_host)
                then employer_domain
        end as company_site
    from keyed

),

final as (

    select
        -- ids
        record_id,
        source,
        source_object_type,
        source_record_id,
        record_kind,
        standing_in_crm_id,
        coalesce(talks_with, []) as talks_with,

        -- as a person reads it
        full_name,
        email,
        phone,
        company_name,
        job_title,
        city,
        country,

        -- as it is compared
        given_first,
        given_name,
        given_roots,
        family_name,
        generation,
        nullif(concat_ws(' ', given_first, family_name), '') as full_name_key,
        case when not is_shared_address then mailbox end as mailbox_key,
        case when not is_shared_address then email_local end as mailbox_name,
        mail_domain,
        phone_key,
        coalesce(mail_domain, company_site) as company_domain,
        {{ as_set('[mail_domain, company_site]') }} as company_domains,
        company_name_key,
        title_key,
        city_key,
        country_key,

        -- booleans
        is_live,
        is_shared_address,
        is_shared_domain,
        is_shared_phone,

        -- timestamps
        created_at,

        -- What a decision about the record rests on: another hash asks for another look.
        md5(
            concat_ws(
                '|',
                coalesce(given_name, ''),
                coalesce(family_name, ''),
                coalesce(generation, ''),
                coalesce(email, ''),
                coalesce(phone_key, ''),
                coalesce(company_name_key, ''),
                coalesce(employer_domain, ''),
                coalesce(title_key, ''),
                coalesce(city_key, ''),
                coalesce(country_key, '')
            )
        ) as inputs_hash
    from domains

)

select * from final
