-- One row per pair of records that a rule links, without weighing: the rule that did, strongest first where several do.
-- Two records of one CRM are linked only as related accounts; whether they are duplicates is another question.
with

people as (

    select * from {{ ref('int_identity_people') }}
    where record_kind = 'record'

),

accounts as (

    select * from {{ ref('int_identity_accounts') }}

),

-- An address of a record that was merged away is still an address of the person.
addresses as (

    select distinct
        people.mailbox_key,
        people.standing_in_crm_id as record_id
    from people
    where people.mailbox_key is not null

),

same_address as (

    select
        'contacts' as object_type,
        'same_person' as kind,
        'same_address' as rule,
        3 as rule_position,
        left_people.record_id as left_record_id,
        right_people.record_id as right_record_id
    from addresses as left_addresses
    inner join addresses as right_addresses
        on
            left_addresses.mailbox_key = right_addresses.mailbox_key
            and left_addresses.record_id < right_addresses.record_id
    inner join people as left_people
        on left_addresses.record_id = left_people.record_id
    inner join people as right_people
        on
            right_addresses.record_id = right_people.record_id
            and left_people.source <> right_people.source
    where
        {{ names_agree('left_people', 'right_people') }}
        -- A private provider's address says who somebody is only together with the name.
        and (
            not (left_people.is_shared_domain or right_people.is_shared_domain)
            or left_people.full_name_key is not null
            and right_people.full_name_key is not null
        )

),

crowded_domains as (

    select
        domain_key,
        source,
        count(*) as record_count
    from accounts
    where domain_key is not null and is_live
    group by domain_key, source

),

same_domain as (

    select
        left_accounts.record_id as left_record_id,
        right_accounts.record_id as right_record_id,
        left_accounts.source <> right_accounts.source as is_across,
        {{ company_names_agree('left_accounts', 'right_accounts') }}
            as is_name_agreed,
        coalesce(left_accounts.name_key = right_accounts.name_key, false)
            as is_name_equal,
        coalesce(left_accounts.country_key <> right_accounts.country_key, false)
            as is_country_different,
        left_crowds.record_count = 1 and right_crowds.record_count = 1 as is_alone,
        greatest(left_crowds.record_count, right_crowds.record_count) as crowd
    from accounts as left_accounts
    inner join accounts as right_accounts
        on
            left_accounts.domain_key = right_accounts.domain_key
            and left_accounts.record_id < right_accounts.record_id
    inner join crowded_domains as left_crowds
        on
            left_accounts.domain_key = left_crowds.domain_key
            and left_accounts.source = left_crowds.source
    inner join crowded_domains as right_crowds
        on
            right_accounts.domain_key = right_crowds.domain_key
            and right_accounts.source = right_crowds.source
    where left_accounts.is_live and right_accounts.is_live

),

-- The name picks one out of several accounts under a domain only where it fits no other one.
named_pairs as (

    select
        left_record_id,
        right_record_id
    from same_domain
    where is_across and is_name_equal and not is_country_different
    qualify
        count(*) over (partition by left_record_id) = 1
        and count(*) over (partition by right_record_id) = 1

),

same_account as (

    select
        'companies' as object_type,
        case
            when
                same_domain.is_across
                and (
                    same_domain.is_alone
                    and same_domain.is_name_agreed
                    and not same_domain.is_country_different
                    or named_pairs.left_record_id is not null
                )
                then 'same_account'
            else 'related_account'
        end as kind,
        case
            when same_domain.is_alone then 'same_domain'
            when named_pairs.left_record_id is not null then 'same_domain_and_name'
            else 'shares_domain'
        end as rule,
        case
            when same_domain.is_alone then 5
            when named_pairs.left_record_id is not null then 4
            else 7
        end as rule_position,
        same_domain.left_record_id,
        same_domain.right_record_id
    from same_domain
    left join named_pairs
        on
            same_domain.left_record_id = named_pairs.left_record_id
            and same_domain.right_record_id = named_pairs.right_record_id
    where
        -- Alone under the domain on both sides, and still of another name or country: that is weighed, not decided.
        (
            not same_domain.is_alone
            or same_domain.is_name_agreed
            and not same_domain.is_country_different
        )
        -- Under one domain a group may have many accounts; pairs of all of them would tell nobody anything.
        and same_domain.crowd <= 20

),

in_a_group as (

    select
        'companies' as object_type,
        'related_account' as kind,
        'parent_account' as rule,
        6 as rule_position,
        least(associations.from_record_id, associations.to_record_id)
            as left_record_id,
        greatest(associations.from_record_id, associations.to_record_id)
            as right_record_id
    from {{ ref('int_source_associations') }} as associations
    inner join accounts as from_accounts
        on
            associations.from_record_id = from_accounts.record_id
            and from_accounts.is_live
    inner join accounts as to_accounts
        on
            associations.to_record_id = to_accounts.record_id
            and to_accounts.is_live
    where
        associations.from_object_type = 'companies'
        and associations.to_object_type = 'companies'
        and associations.from_record_id <> associations.to_record_id

),

crossed as (

    select
        object_type,
        case object_type
            when 'contacts' then 'same_person'
            else 'same_account'
        end as kind,
        'crm_says_so' as rule,
        1 as rule_position,
        left_record_id,
        right_record_id
    from {{ ref('int_identity_cross_ids') }}

),

everything as (

    select * from crossed

    union all by name

    select * from same_address

    union all by name

    select * from same_account

    union all by name

    select * from in_a_group

),

final as (

    select distinct
        {{ link_id('left_record_id', 'right_record_id') }} as link_id,
        object_type,
        kind,
        rule,
        left_record_id,
        right_record_id
    from everything
    qualify
        row_number() over (
            partition by left_record_id, right_record_id
            order by rule_position asc
        ) = 1

)

select * from final
