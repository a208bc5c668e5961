-- ------------------------------------------------------------------ what identities hold

CREATE TABLE credentials_of AS
SELECT
    h.identity_uid AS uid,
    count(*) AS credentials,
    count(*) FILTER (h.enabled IS DISTINCT FROM FALSE) AS enabled_credentials,
    count(t.type) FILTER (h.enabled IS DISTINCT FROM FALSE) AS static_credentials
FROM held AS h
LEFT JOIN static_type AS t ON t.type = h.type
WHERE h.presence <> 'gone' AND h.identity_uid IS NOT NULL
GROUP BY h.identity_uid;

CREATE TABLE grants_of AS
SELECT
    p.identity_uid AS uid,
    count(*) AS grants,
    bool_or(g.tenant_wide) AS tenant_wide,
    arg_min(t.tier, t.place) AS worst_tier
FROM raw_grant AS g
JOIN part AS p ON p.uid = g.holder_uid
JOIN tier_order AS t ON t.tier = g.tier
WHERE g.presence <> 'gone' AND g.effect = 'allow'
GROUP BY p.identity_uid;

-- ------------------------------------------------------------------ owners: claims that resolve to somebody, or do not

CREATE TABLE known_person AS
SELECT
    uid,
    coalesce(name, email, native_id) AS name,
    lower(trim(email)) AS email,
    CASE WHEN presence = 'gone' THEN FALSE ELSE active END AS active,
    json_valid(attributes) AND json_extract_string(attributes, '$.membership') IS NOT NULL AS member
FROM raw_person;

-- One human in two directories is alive while one of them says so. That somebody is a member of a code host says it
-- only of those whom no directory knows: members are not taken out when they leave.
CREATE TABLE human AS
SELECT
    email,
    CASE WHEN bool_or(active) THEN TRUE WHEN bool_or(NOT active) THEN FALSE END AS active
FROM (SELECT *, rank() OVER (PARTITION BY email ORDER BY member) AS word FROM known_person WHERE email IS NOT NULL)
WHERE word = 1
GROUP BY email;

CREATE TABLE person AS
SELECT p.uid, p.name, p.email, p.member, CASE WHEN h.email IS NULL THEN p.active ELSE h.active END AS active
FROM known_person AS p
LEFT JOIN human AS h ON h.email = p.email;

CREATE TABLE person_of_email AS
SELECT email, arg_min(uid, place) AS uid
FROM (
    SELECT
        email,
        uid,
        row_number() OVER (
            PARTITION BY email ORDER BY member, uid
        ) AS place
    FROM person
    WHERE email IS NOT NULL
)
GROUP BY email;

CREATE TABLE claim AS
SELECT
    o.uid,
    p.identity_uid,
    o.claim,
    o.role,
    o.source,
    CASE WHEN o.state = 'attested' AND o.expires_on < a.today THEN 'lapsed' ELSE o.state END AS state,
    o.confidence,
    w.uid AS person_uid,
    w.name AS person_name,
    w.active AS person_active,
    o.expires_on
FROM raw_owner AS o
JOIN part AS p ON p.uid = o.holder_uid
CROSS JOIN as_of AS a
LEFT JOIN person AS k ON k.uid = o.person_key
LEFT JOIN person_of_email AS e ON e.email = lower(trim(o.claim))
LEFT JOIN person AS w ON w.uid = coalesce(k.uid, e.uid)
WHERE o.presence <> 'gone';

-- The best claim speaks: of somebody living, attested before suggested before lapsed, the surest first.
CREATE TABLE owner_of AS
SELECT
    identity_uid AS uid,
    count(*) AS owner_claims,
    coalesce(arg_min(state, place) FILTER (person_uid IS NOT NULL), 'unresolved') AS owner_state,
    arg_min(person_name, place) FILTER (person_uid IS NOT NULL) AS owner_name,
    CASE
        WHEN bool_or(person_active) THEN TRUE
        WHEN bool_or(person_uid IS NOT NULL AND person_active IS NULL) THEN NULL
        ELSE bool_or(person_active)
    END AS owner_active,
    arg_min(expires_on, place) FILTER (person_uid IS NOT NULL) AS owner_expires_on
FROM (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY identity_uid
            ORDER BY
                person_active IS NOT DISTINCT FROM FALSE,
                list_position(['attested', 'suggested', 'lapsed'], state),
                confidence DESC,
                uid
        ) AS place
    FROM claim
    WHERE state <> 'rejected'
)
GROUP BY identity_uid;

-- ------------------------------------------------------------------ suppliers

CREATE TABLE supplier_of AS
SELECT match, min(uid) AS uid, arg_min(name, uid) AS name, arg_min(contract_end_on, uid) AS contract_end_on
FROM (
    SELECT uid, name, contract_end_on, unnest(from_json(matches, '["VARCHAR"]')) AS match
    FROM raw_supplier
    WHERE presence <> 'gone'
)
GROUP BY match;

