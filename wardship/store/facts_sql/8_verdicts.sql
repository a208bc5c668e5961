-- ------------------------------------------------------------------ used, unused, unobserved, insufficient

-- What is known of use is known from `known_since` to `known_until_at`: since the last use, or since every source watched.
-- `born_at`: when it was made; where nobody tells, it is as old as the first that was seen of it.
CREATE TABLE use_subject AS
SELECT
    uid AS subject_uid, 'identity' AS family, uid AS identity_uid, name, authority,
    coalesce(created_at, least(first_seen_at, last_used_at)) AS born_at, use_state, last_used_at,
    use_since, use_read_at, use_source
FROM fact_identity
WHERE presence <> 'gone'
UNION ALL
SELECT
    uid, 'credential', identity_uid, coalesce(public_id, name), authority,
    coalesce(created_at, least(first_seen_at, last_used_at)), use_state, last_used_at,
    use_since, use_read_at, use_source
FROM fact_credential
WHERE presence <> 'gone' AND identity_uid IS NOT NULL AND type NOT IN ('stored_secret', 'ci_secret');

CREATE VIEW fact_use_verdict AS
SELECT
    s.*,
    w.start_day AS needed_from_on,
    w.needed_days,
    w.covered_days,
    CASE WHEN NOT w.enough THEN w.lack[1] END AS missing,
    CASE
        WHEN s.use_state = 'used' AND s.last_used_at >= CAST(w.start_day AS TIMESTAMP) THEN 'used'
        WHEN s.known_since <= CAST(w.start_day AS TIMESTAMP) AND s.known_until_at >= CAST(a.today - 3 AS TIMESTAMP)
            AND s.born_at <= CAST(a.today - u.inactive_days AS TIMESTAMP) THEN 'unused'
        WHEN s.use_state <> 'unknown' OR w.somewhere OR c.covered_days > 0 THEN 'insufficient'
        ELSE 'unobserved'
    END AS verdict,
    CASE
        WHEN s.use_state = 'used' AND s.last_used_at >= CAST(w.start_day AS TIMESTAMP) THEN 'used_in_time'
        WHEN s.use_state = 'unknown' AND coalesce(c.covered_days, 0) = 0
            THEN CASE WHEN c.problem IS NOT NULL THEN 'log_refused' ELSE 'no_log' END
        WHEN s.born_at > CAST(a.today - u.inactive_days AS TIMESTAMP) THEN 'too_new'
        WHEN s.known_since <= CAST(w.start_day AS TIMESTAMP) AND s.known_until_at >= CAST(a.today - 3 AS TIMESTAMP)
            THEN 'not_used_in_time'
        WHEN s.known_until_at < CAST(a.today - 3 AS TIMESTAMP) AND s.known_since <= CAST(w.start_day AS TIMESTAMP) THEN 'read_too_long_ago'
        WHEN w.start_day < a.today - u.inactive_days
            AND (w.enough_of_policy OR s.known_since <= CAST(a.today - u.inactive_days AS TIMESTAMP)) THEN 'period_not_seen'
        WHEN w.enough AND s.subject_uid IN (SELECT uid FROM perhaps WHERE used_at >= CAST(w.start_day AS TIMESTAMP))
            THEN 'id_not_exact'
        WHEN w.enough AND s.family = 'credential'
            AND s.subject_uid IN (SELECT uid FROM doubtful WHERE used_at >= CAST(w.start_day AS TIMESTAMP)) THEN 'credential_not_named'
        WHEN w.refused OR (w.lack[2] AND c.problem IS NOT NULL) THEN 'log_refused'
        WHEN c.data_events = FALSE AND NOT w.enough THEN 'data_events_off'
        WHEN c.reads = FALSE THEN 'reads_not_logged'
        WHEN w.lack[2] THEN 'part_not_read'
        WHEN w.lack[3] THEN 'part_not_told'
        WHEN coalesce(c.covered_days, 0) > 0 THEN 'log_has_holes'
        ELSE 'watched_too_short'
    END AS reason,
    CASE WHEN w.start_day < a.today - u.inactive_days THEN n.period END AS period,
    CASE WHEN s.use_source LIKE '%log:%' THEN 'event' WHEN s.use_source IS NOT NULL THEN 'last use' END AS granularity
FROM (
    SELECT
        *,
        CASE use_state WHEN 'used' THEN last_used_at WHEN 'never' THEN use_since END AS known_since,
        use_read_at AS known_until_at
    FROM use_subject
) AS s
CROSS JOIN as_of AS a
CROSS JOIN use_term AS u
JOIN need AS n ON n.uid = s.identity_uid
JOIN watch_of AS w ON w.uid = s.identity_uid
LEFT JOIN (
    SELECT
        authority,
        max(covered_days) AS covered_days,
        bool_or(reads) AS reads,
        bool_or(data_events) AS data_events,
        max(problem) AS problem
    FROM fact_log_coverage
    GROUP BY authority
) AS c ON c.authority = w.authority;
