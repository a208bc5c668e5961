-- The joins of `facts.py`, in DuckDB's dialect: from raw_* (the current tables as they are) to fact_* (the contract
-- of wardship/model/facts.py). What each decision means is said at the top of facts.py.
-- Also given: as_of(today), tier_order(tier, place), static_type(type).

-- ------------------------------------------------------------------ identities and the rows merged into them

CREATE TABLE part AS
SELECT
    i.*,
    coalesce(r.identity_uid, i.uid) AS identity_uid,
    r.evidence,
    row_number() OVER (
        PARTITION BY coalesce(r.identity_uid, i.uid)
        ORDER BY i.uid <> coalesce(r.identity_uid, i.uid), i.rank, i.uid
    ) AS place
FROM raw_identity AS i
LEFT JOIN raw_resolution AS r ON r.uid = i.uid;

-- arg_min passes over NULLs: the first part that knows. Attributes of the parts are laid over each other, the
-- representing row's last, unless one of them is not readable JSON.
CREATE TABLE merged AS
SELECT
    identity_uid AS uid,
    arg_min(authority, place) AS authority,
    arg_min(native_id, place) AS native_id,
    coalesce(arg_min(nullif(kind, 'unknown'), place), 'unknown') AS kind,
    arg_min(subtype, place) AS subtype,
    arg_min(name, place) AS name,
    arg_min(environment, place) AS environment,
    arg_min(purpose, place) AS purpose,
    arg_min(business_process, place) AS business_process,
    arg_min(criticality, place) AS criticality,
    coalesce(arg_min(nullif(standing, 'unknown'), place), 'unknown') AS standing,
    arg_min(enabled, place) AS enabled,
    CASE
        WHEN bool_or(presence = 'present') THEN 'present'
        WHEN bool_or(presence = 'unconfirmed') THEN 'unconfirmed'
        ELSE 'gone'
    END AS presence,
    arg_min(created_at, place) AS created_at,
    min(first_seen_at) AS first_seen_at,
    max(last_seen_at) AS last_seen_at,
    lower(arg_min(supplier, place)) AS supplier_match,
    arg_min(supplier, place) AS supplier,
    count(*) AS parts,
    CASE
        WHEN count(*) = 1 OR NOT bool_and(json_valid(attributes)) THEN arg_min(attributes, place)
        ELSE CAST(
            list_reduce(
                list(TRY_CAST(attributes AS JSON) ORDER BY place DESC),
                lambda below, above: json_merge_patch(below, above)
            ) AS VARCHAR
        )
    END AS attributes
FROM part
GROUP BY identity_uid;

CREATE TABLE held AS
SELECT
    c.*,
    p.identity_uid,
    c.presence <> 'gone' AND p.presence IS DISTINCT FROM 'gone' AS live,
    -- FALSE: it certainly opens nothing any more
    live AND c.enabled IS DISTINCT FROM FALSE AND coalesce(c.expires_at > a.today, TRUE) AS works
FROM raw_credential AS c
CROSS JOIN as_of AS a
LEFT JOIN part AS p ON p.uid = c.holder_uid;

-- ------------------------------------------------------------------ use: what all sources together can say

CREATE TABLE credential_use AS
SELECT
    subject_uid AS uid,
    CASE WHEN bool_or(state = 'used') THEN 'used' WHEN bool_and(state = 'never') THEN 'never' ELSE 'unknown' END
        AS use_state,
    max(last_used_at) AS last_used_at,
    CASE WHEN bool_and(since IS NOT NULL) THEN max(since) END AS use_since,
    string_agg(DISTINCT source, ',' ORDER BY source) AS use_source,
    CASE WHEN bool_and(state <> 'unknown') THEN min(read_at) END AS use_read_at
FROM raw_usage
WHERE subject_family = 'credential'
GROUP BY subject_uid;

-- Every answer about an identity, about its parts, and about the credentials that any of them holds.
CREATE TABLE answer AS
SELECT p.identity_uid, p.presence <> 'gone' AS live, TRUE AS of_itself, u.*
FROM raw_usage AS u
JOIN part AS p ON p.uid = u.subject_uid
UNION ALL
SELECT h.identity_uid, h.live, FALSE, u.*
FROM raw_usage AS u
JOIN held AS h ON h.uid = u.subject_uid
WHERE h.identity_uid IS NOT NULL;

-- Identities that hold a credential which could be used and of whose use no source says anything.
CREATE TABLE silent AS
SELECT DISTINCT h.identity_uid AS uid
FROM held AS h
LEFT JOIN raw_usage AS u ON u.subject_uid = h.uid
WHERE h.live AND h.enabled IS DISTINCT FROM FALSE AND h.identity_uid IS NOT NULL AND u.subject_uid IS NULL;

CREATE TABLE answered AS
SELECT
    a.identity_uid AS uid,
    bool_or(a.state = 'used') AS used,
    bool_or(a.live)
        AND NOT bool_or(a.live AND a.state = 'unknown')
        AND (bool_or(a.live AND a.of_itself) OR any_value(s.uid) IS NULL) AS complete,
    max(a.last_used_at) AS last_used_at,
    CASE WHEN bool_and(a.since IS NOT NULL) THEN max(a.since) END AS use_since,
    string_agg(DISTINCT a.source, ',' ORDER BY a.source) AS use_source,
    min(a.read_at) FILTER (a.live) AS read_at
FROM answer AS a
LEFT JOIN silent AS s ON s.uid = a.identity_uid
WHERE a.live OR a.state = 'used' -- what is gone can still tell that it was used
GROUP BY a.identity_uid;

CREATE TABLE identity_use AS
SELECT
    uid,
    CASE WHEN used THEN 'used' WHEN complete THEN 'never' ELSE 'unknown' END AS use_state,
    last_used_at,
    use_since,
    use_source,
    CASE WHEN complete THEN read_at END AS use_read_at
FROM answered;

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

-- ------------------------------------------------------------------ the fact tables

CREATE TABLE environment_of AS
SELECT
    h.uid,
    coalesce(json_extract_string(CASE WHEN json_valid(h.attributes) THEN h.attributes END, '$.environment'), m.environment, s.environment) AS environment
FROM held AS h
LEFT JOIN merged AS m ON m.uid = h.identity_uid
LEFT JOIN raw_system AS s ON s.authority = h.authority;

CREATE VIEW fact_system AS
SELECT * FROM raw_system WHERE presence <> 'gone';

CREATE VIEW fact_identity AS
SELECT
    m.*,
    coalesce(u.use_state, 'unknown') AS use_state,
    u.last_used_at,
    u.use_since,
    u.use_source,
    u.use_read_at,
    s.uid AS supplier_uid,
    coalesce(s.name, m.supplier) AS supplier_name,
    s.contract_end_on AS supplier_contract_end_on,
    coalesce(o.owner_state, 'none') AS owner_state,
    o.owner_name,
    o.owner_active,
    coalesce(o.owner_claims, 0) AS owner_claims,
    o.owner_expires_on,
    coalesce(c.credentials, 0) AS credentials,
    coalesce(c.enabled_credentials, 0) AS enabled_credentials,
    coalesce(c.static_credentials, 0) AS static_credentials,
    coalesce(g.grants, 0) AS grants,
    g.worst_tier,
    g.tenant_wide
FROM merged AS m
LEFT JOIN identity_use AS u ON u.uid = m.uid
LEFT JOIN supplier_of AS s ON s.match = m.supplier_match
LEFT JOIN owner_of AS o ON o.uid = m.uid
LEFT JOIN credentials_of AS c ON c.uid = m.uid
LEFT JOIN grants_of AS g ON g.uid = m.uid;

CREATE VIEW fact_identity_part AS
SELECT * FROM part;

CREATE VIEW fact_credential AS
SELECT
    h.*,
    m.name AS identity_name,
    m.kind AS identity_kind,
    m.standing AS identity_standing,
    m.criticality AS identity_criticality,
    m.enabled AS identity_enabled,
    coalesce(u.use_state, 'unknown') AS use_state,
    u.last_used_at,
    u.use_since,
    u.use_source,
    u.use_read_at,
    v.environment,
    'se_' || left(h.fingerprint, 20) AS secret_uid
FROM held AS h
LEFT JOIN environment_of AS v ON v.uid = h.uid
LEFT JOIN merged AS m ON m.uid = h.identity_uid
LEFT JOIN credential_use AS u ON u.uid = h.uid;

CREATE VIEW fact_grant_fact AS
SELECT
    g.*,
    p.identity_uid,
    m.name AS identity_name,
    m.kind AS identity_kind,
    m.standing AS identity_standing,
    m.criticality AS identity_criticality
FROM raw_grant AS g
JOIN part AS p ON p.uid = g.holder_uid
JOIN merged AS m ON m.uid = p.identity_uid;

CREATE VIEW fact_owner AS
SELECT * FROM claim;

CREATE VIEW fact_coverage AS
SELECT
    key AS scope,
    connector,
    authority,
    region,
    kind,
    status,
    items,
    finished_at,
    complete_at,
    list_extract(
        list_filter(json_extract_string(problems, '$[*].permission'), lambda p: p IS NOT NULL), 1
    ) AS missing_permission,
    json_extract_string(problems, '$[0].reason') AS reason
FROM raw_scope;


-- ------------------------------------------------------------------ secrets: one value, wherever it was seen

-- A public id may name several credentials (a certificate in two directories): the live one speaks.
CREATE TABLE credential_of_public_id AS
SELECT public_id, arg_min(uid, place) AS uid
FROM (
    SELECT h.public_id, h.uid, row_number() OVER (ORDER BY NOT h.works, h.uid) AS place
    FROM held AS h
    WHERE h.public_id IS NOT NULL AND h.type NOT IN ('stored_secret', 'ci_secret')
)
GROUP BY public_id;

CREATE TABLE credential_of_fingerprint AS
SELECT fingerprint, arg_min(uid, place) AS uid
FROM (
    SELECT
        h.fingerprint,
        h.uid,
        row_number() OVER (
            ORDER BY NOT h.works, h.uid
        ) AS place
    FROM held AS h
    WHERE h.fingerprint IS NOT NULL AND h.type NOT IN ('stored_secret', 'ci_secret')
)
GROUP BY fingerprint;

CREATE TABLE checked AS
SELECT
    secret_uid,
    arg_max(validity, id) AS validity,
    max(checked_at) AS checked_at
FROM raw_secret_check
WHERE validity <> 'unknown'
GROUP BY secret_uid;

-- A repository is one system to git and another to the host that serves it; the host knows who may read it.
CREATE TABLE repository AS
SELECT 'git:github.com/' || substr(authority, 8) AS authority, json_extract_string(attributes, '$.visibility') = 'public' AS public
FROM raw_system
WHERE kind = 'github_repository' AND authority LIKE 'github:%' AND json_valid(attributes) AND presence <> 'gone';

CREATE TABLE exposed AS
SELECT
    e.*,
    'se_' || left(e.fingerprint, 20) AS secret_uid,
    e.presence <> 'gone' AND e.in_head IS DISTINCT FROM FALSE AS in_place,
    coalesce(p.uid, f.uid) AS credential_uid,
    CASE WHEN p.uid IS NOT NULL THEN 'public_id' WHEN f.uid IS NOT NULL THEN 'fingerprint' END AS joined_by,
    coalesce(e.public, r.public) AS seen_by_all
FROM raw_exposure AS e
LEFT JOIN repository AS r ON r.authority = e.authority
LEFT JOIN credential_of_public_id AS p ON p.public_id = e.public_id
LEFT JOIN credential_of_fingerprint AS f ON f.fingerprint = e.fingerprint;

-- Every copy of every value: what people know of each, in one shape.
CREATE TABLE copy_of AS
SELECT
    e.fingerprint, 'exposure' AS family, e.authority, e.place AS kind, e.name, e.detector, e.tier, e.confidence,
    e.credential_type AS type, coalesce(e.environment, s.environment) AS environment, CAST(NULL AS VARCHAR) AS identity_uid,
    e.presence <> 'gone' AS present, e.in_place, e.place IN (SELECT place FROM consumer_place) AS runs,
    coalesce(e.seen_by_all, FALSE) AS public, e.first_seen_at, e.last_seen_at
FROM exposed AS e
LEFT JOIN raw_system AS s ON s.authority = e.authority
WHERE e.fingerprint IS NOT NULL
UNION ALL
SELECT
    h.fingerprint, h.type, h.authority, h.type, h.name, NULL, NULL, NULL,
    h.type, v.environment, h.identity_uid,
    h.presence <> 'gone', h.presence <> 'gone', FALSE,
    FALSE, h.first_seen_at, h.last_seen_at
FROM held AS h
JOIN environment_of AS v ON v.uid = h.uid
WHERE h.fingerprint IS NOT NULL AND h.type NOT IN ('certificate', 'federation'); -- a thumbprint is no secret

CREATE TABLE counted AS
SELECT
    fingerprint,
    'se_' || left(fingerprint, 20) AS uid,
    arg_min(name, coalesce(1 - confidence, 2)) AS name,
    coalesce(arg_min(nullif(type, 'unknown'), coalesce(1 - confidence, 2)), 'unknown') AS type,
    arg_max(detector, confidence) AS detector,
    CASE WHEN bool_or(tier = 'provider') THEN 'provider' ELSE max(tier) END AS tier,
    max(confidence) AS confidence,
    count(*) FILTER (family = 'exposure' AND present) AS exposures,
    count(*) FILTER (family = 'exposure' AND in_place) AS head_exposures,
    count(*) FILTER (family = 'exposure' AND in_place AND runs) AS consumer_exposures,
    count(DISTINCT authority) FILTER (present) AS systems,
    count(*) FILTER (family = 'exposure' AND present AND public) AS public_exposures,
    count(*) FILTER (family = 'stored_secret' AND present) AS vault_copies,
    count(*) FILTER (family = 'ci_secret' AND present) AS ci_copies,
    count(DISTINCT identity_uid) FILTER (present) AS identities,
    count(DISTINCT environment) FILTER (in_place) AS environments,
    string_agg(DISTINCT environment, ',' ORDER BY environment) FILTER (in_place) AS environment_names,
    min(first_seen_at) FILTER (family = 'stored_secret') AS vaulted_at,
    bool_or(family = 'exposure') AS ever_exposed,
    bool_or(present) AS present,
    min(first_seen_at) AS first_seen_at,
    max(last_seen_at) AS last_seen_at
FROM copy_of
GROUP BY fingerprint;

CREATE TABLE credential_of_secret AS
SELECT fingerprint, arg_min(credential_uid, place) AS credential_uid
FROM (
    SELECT fingerprint, credential_uid, joined_by <> 'public_id' AS place FROM exposed WHERE credential_uid IS NOT NULL
    UNION ALL
    SELECT fingerprint, uid, TRUE FROM credential_of_fingerprint
)
WHERE fingerprint IS NOT NULL
GROUP BY fingerprint;

CREATE TABLE stepped AS
SELECT
    c.*,
    k.credential_uid,
    h.identity_uid,
    m.name AS identity_name,
    l.credential_uid AS replaced_by,
    least(c.vaulted_at, l.linked_at) AS known_vaulted_at,
    x.checked_at,
    -- what the owning system says stands above what a call found out
    CASE
        WHEN NOT h.works THEN 'inactive'
        WHEN h.works AND h.enabled THEN 'active'
        ELSE coalesce(x.validity, 'unknown')
    END AS validity,
    u.use_state,
    u.last_used_at,
    u.use_read_at
FROM counted AS c
LEFT JOIN credential_of_secret AS k ON k.fingerprint = c.fingerprint
LEFT JOIN held AS h ON h.uid = k.credential_uid
LEFT JOIN merged AS m ON m.uid = h.identity_uid
LEFT JOIN raw_secret_link AS l ON l.secret_uid = c.uid
LEFT JOIN checked AS x ON x.secret_uid = c.uid
LEFT JOIN credential_use AS u ON u.uid = k.credential_uid;

CREATE TABLE judged_secret AS
SELECT
    *,
    validity <> 'unknown' AS validated,
    CASE validity WHEN 'inactive' THEN TRUE WHEN 'active' THEN FALSE END AS rotated,
    CASE
        WHEN vault_copies > 0 OR replaced_by IS NOT NULL THEN TRUE
        -- only where some secrets manager was read with fingerprints can it be known to hold no copy
        WHEN EXISTS (SELECT 1 FROM held WHERE type = 'stored_secret' AND presence <> 'gone' AND fingerprint IS NOT NULL)
            THEN FALSE
    END AS vaulted,
    CASE
        WHEN consumer_exposures > 0 THEN FALSE
        WHEN validity = 'inactive' THEN TRUE
        WHEN use_state = 'used' AND last_used_at > known_vaulted_at THEN FALSE
        WHEN use_state IN ('used', 'never') AND use_read_at > known_vaulted_at THEN TRUE
    END AS consumers_moved,
    head_exposures = 0 AS source_removed,
    exposures = 0 AND ever_exposed AS history_purged
FROM stepped;

CREATE VIEW fact_secret AS
SELECT
    *,
    known_vaulted_at AS vaulted_at,
    CASE
        WHEN NOT ever_exposed THEN 'vaulted'
        WHEN vaulted IS DISTINCT FROM TRUE THEN 'found'
        WHEN consumers_moved IS DISTINCT FROM TRUE THEN 'vaulted'
        WHEN NOT source_removed THEN 'moved'
        WHEN NOT history_purged THEN 'removed'
        ELSE 'purged'
    END AS stage,
    CASE WHEN present THEN 'present' ELSE 'gone' END AS presence
FROM (SELECT * EXCLUDE (vaulted_at) FROM judged_secret);

CREATE VIEW fact_exposure AS
SELECT
    e.* EXCLUDE (environment, public),
    e.seen_by_all AS public,
    coalesce(e.environment, s.environment) AS environment,
    h.works AS credential_live,
    h.identity_uid,
    m.name AS identity_name,
    m.criticality AS identity_criticality,
    CASE
        WHEN NOT h.works THEN 'inactive'
        WHEN h.works AND h.enabled THEN 'active'
        ELSE coalesce(x.validity, 'unknown')
    END AS validity
FROM exposed AS e
LEFT JOIN raw_system AS s ON s.authority = e.authority
LEFT JOIN held AS h ON h.uid = e.credential_uid
LEFT JOIN merged AS m ON m.uid = h.identity_uid
LEFT JOIN checked AS x ON x.secret_uid = e.secret_uid;

-- ------------------------------------------------------------------ who depends on what

CREATE TABLE alias_of AS
SELECT identity_uid, json_extract_string(pair, '$[0]') AS authority, json_extract_string(pair, '$[1]') AS native_id
FROM (SELECT identity_uid, unnest(from_json(aliases, '["JSON"]')) AS pair FROM part WHERE aliases <> '[]')
GROUP BY ALL;

-- An id that two identities claim (their merge was undone) says nothing about either.
CREATE VIEW fact_identity_alias AS
SELECT authority, native_id, min(identity_uid) AS identity_uid
FROM (
    SELECT authority, native_id, identity_uid FROM part
    UNION ALL
    SELECT authority, native_id, identity_uid FROM alias_of
)
GROUP BY authority, native_id
HAVING count(DISTINCT identity_uid) = 1;

CREATE VIEW fact_dependency AS
SELECT
    d.*,
    coalesce(
        p.identity_uid,
        (SELECT min(a.identity_uid) FROM alias_of AS a WHERE a.authority = d.target_authority AND a.native_id = d.target_native_id AND d.target_family = 'identity'),
        h.identity_uid
    ) AS identity_uid,
    h.uid AS credential_uid
FROM raw_dependency AS d
LEFT JOIN part AS p ON p.uid = d.target_uid
LEFT JOIN held AS h ON h.uid = d.target_uid;

CREATE VIEW fact_guard_run AS
SELECT *, id AS uid FROM raw_guard_run;
