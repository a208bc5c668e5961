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

