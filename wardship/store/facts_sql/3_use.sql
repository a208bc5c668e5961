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
FROM every_usage
WHERE subject_family = 'credential'
GROUP BY subject_uid;

-- Every answer about an identity, about its parts, and about the credentials that any of them holds.
CREATE TABLE answer AS
SELECT p.identity_uid, p.presence <> 'gone' AS live, TRUE AS of_itself, u.*
FROM every_usage AS u
JOIN part AS p ON p.uid = u.subject_uid
UNION ALL
SELECT h.identity_uid, h.live, FALSE, u.*
FROM every_usage AS u
JOIN held AS h ON h.uid = u.subject_uid
WHERE h.identity_uid IS NOT NULL;

-- Identities that hold a credential which could be used and of whose use no source says anything.
CREATE TABLE silent AS
SELECT DISTINCT h.identity_uid AS uid
FROM held AS h
LEFT JOIN every_usage AS u ON u.subject_uid = h.uid
WHERE h.live AND h.enabled IS DISTINCT FROM FALSE AND h.identity_uid IS NOT NULL AND u.subject_uid IS NULL;

CREATE TABLE answered AS
SELECT
    a.identity_uid AS uid,
    bool_or(a.state = 'used') AS used,
    bool_or(a.live)
        AND NOT bool_or(a.live AND a.state = 'unknown')
        AND (bool_or(a.live AND a.of_itself) OR any_value(s.uid) IS NULL) AS complete,
    max(a.last_used_at) AS last_used_at,
    -- Logs that watched the identity itself saw the use of credentials too that are gone and nobody tells of.
    coalesce(
        max(a.since) FILTER (a.of_itself AND a.state = 'never' AND starts_with(a.source, 'log:')),
        CASE WHEN bool_and(a.since IS NOT NULL) THEN max(a.since) END
    ) AS use_since,
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

