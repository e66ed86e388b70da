-- One row per company record of every CRM: what identity compares, normalised. Records that their CRM merged away are
-- in, with the record that stands for them.
with

words as (

    select * from {{ ref('int_identity_words') }}

),

crm_merges as (

    select
        merged_record_id,
        surviving_record_id
    from {{ ref('int_identity_merges') }}
    where object_type = 'companies'

),

deletions as (

    select distinct record_id from {{ ref('int_source_deletions') }}

),

companies as (

    select
        companies.account_id as record_id,
        split_part(companies.account_id, ':', 1) as source,
        companies.source_object_type,
        companies.source_record_id,
        coalesce(crm_merges.surviving_record_id, companies.account_id)
            as standing_in_crm_id,
        crm_merges.merged_record_id is null
        and not coalesce(companies.is_archived, false)
        and deletions.record_id is null as is_live,
        companies.account_name,
        companies.domain,
        companies.country,
        companies.city,
        companies.created_at,
        {{ web_host('companies.domain') }} as host
    from {{ ref('int_source_companies') }} as companies
    left join crm_merges
        on companies.account_id = crm_merges.merged_record_id
    left join deletions
        on companies.account_id = deletions.record_id

),

keyed as (

    select
        companies.*,
        {{ registered_domain('companies.host', 'words.two_part_suffixes') }}
            as registered_domain,
        {{ words_without(
            "string_split(" ~ compared_words('companies.account_name') ~ ", ' ')",
            'words.legal_forms'
        ) }} as ordered_words,
        {{ one_country('companies.country', 'words.countries') }} as country_key,
        {{ compared_words('companies.city') }} as city_key,
        words.shared_domains
    from companies
    cross join words

),

final as (

    select
        -- ids
        record_id,
        source,
        source_object_type,
        source_record_id,
        standing_in_crm_id,

        -- as a person reads it
        account_name,
        domain,
        city,
        country,

        -- as it is compared
        nullif(array_to_string(ordered_words, ' '), '') as name_key,
        case when len(ordered_words) > 0 then {{ as_set('ordered_words') }} end
            as name_words,
        case
            when
                not list_contains(shared_domains, registered_domain)
                and not list_contains(shared_domains, host)
                then registered_domain
        end as domain_key,
        case
            when
                not list_contains(shared_domains, registered_domain)
                and not list_contains(shared_domains, host)
                then split_part(registered_domain, '.', 1)
        end as domain_label,
        host,
        city_key,
        country_key,

        -- booleans
        is_live,

        -- timestamps
        created_at,

        -- What a decision about the record rests on: another hash asks for another look.
        md5(
            concat_ws(
                '|',
                coalesce(array_to_string(ordered_words, ' '), ''),
                coalesce(host, ''),
                coalesce(city_key, ''),
                coalesce(country_key, '')
            )
        ) as inputs_hash
    from keyed

)

select * from final
