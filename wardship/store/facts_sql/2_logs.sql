-- ------------------------------------------------------------------ audit logs: whose they are, and what they cover

-- A log is a system's when its events say so (account), or when its actors have ids that the system issued.
CREATE TABLE log_of AS
SELECT DISTINCT l.source, l.account, s.authority
FROM (SELECT DISTINCT source, account FROM state_log_day WHERE account IS NOT NULL) AS l
JOIN log_source AS o ON o.source = l.source
JOIN raw_system AS s
    ON split_part(s.authority, ':', 1) = o.system AND lower(substr(s.authority, strpos(s.authority, ':') + 1)) = lower(l.account);

-- Where a log names its systems, an actor of one in the log of another (a role of the next account) proves nothing of
-- its own system's log.
CREATE TABLE issuer AS
SELECT DISTINCT a.authority AS issued_by, s.authority
FROM (SELECT DISTINCT authority FROM state_actor_day) AS a
JOIN raw_system AS s ON a.authority = s.authority OR starts_with(a.authority, s.authority || ':');

-- What was read completely, stream by stream; readings that touch are one. What is still to come is not complete.
CREATE TABLE read_span AS
SELECT authority, source, stream, min(start_at) AS start_at, max(end_at) AS end_at
FROM (
    SELECT
        *,
        sum(CAST(coalesce(start_at > reach, FALSE) AS INTEGER))
            OVER (PARTITION BY authority, source, stream ORDER BY start_at, end_at ROWS UNBOUNDED PRECEDING) AS span
    FROM (
        SELECT
            w.authority,
            w.source,
            w.stream,
            w.start_at,
            least(w.end_at, CAST(a.today AS TIMESTAMP)) AS end_at,
            max(w.end_at) OVER (
                PARTITION BY w.authority, w.source, w.stream ORDER BY w.start_at, w.end_at
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS reach
        FROM raw_telemetry_window AS w
        CROSS JOIN as_of AS a
        WHERE w.complete AND w.start_at < CAST(a.today AS TIMESTAMP)
    )
)
GROUP BY authority, source, stream, span;

-- Midnight to midnight, UTC.
CREATE TABLE read_day AS
SELECT authority, source, stream, CAST(day AS DATE) AS day
FROM (
    SELECT
        authority,
        source,
        stream,
        unnest(
            generate_series(
                CAST(CAST(start_at + INTERVAL 23 HOUR + INTERVAL 59 MINUTE AS DATE) AS TIMESTAMP),
                CAST(CAST(end_at AS DATE) AS TIMESTAMP) - INTERVAL 1 DAY,
                INTERVAL 1 DAY
            )
        ) AS day
    FROM read_span
)
GROUP BY ALL;

-- Of a log whose live streams are its parts, each of them counts by itself; so does somebody's word for one part.
CREATE TABLE part_read AS
SELECT r.authority, r.source, r.stream AS part, r.day
FROM read_day AS r
JOIN log_part AS p ON p.source = r.source AND p.part = r.stream
WHERE r.stream <> '';

-- A log that is read in other streams (regions, groups) is complete on the days of which all of them are; of a regional
-- one only streams that the log itself lists are all that there are.
CREATE TABLE whole_day AS
SELECT authority, source, day, TRUE AS declared FROM read_day WHERE stream = ''
UNION ALL
SELECT r.authority, r.source, r.day, FALSE
FROM read_day AS r
JOIN log_source AS o ON o.source = r.source
JOIN (
    SELECT authority, source, count(DISTINCT stream) AS streams
    FROM raw_telemetry_window AS w
    ANTI JOIN log_part AS p ON p.source = w.source AND p.part = w.stream
    WHERE stream <> ''
    GROUP BY authority, source
) AS k ON k.authority = r.authority AND k.source = r.source
ANTI JOIN log_part AS p ON p.source = r.source AND p.part = r.stream
WHERE r.stream <> ''
GROUP BY r.authority, r.source, r.day
HAVING count(*) = any_value(k.streams) AND (NOT any_value(o.regional) OR bool_or(contains(r.stream, '/')));

-- Days of which one stream was refused while others of that log are read: that those hold events says nothing of it.
-- Where all are refused, what there is came from files and is taken as any file is.
CREATE TABLE blind_day AS
SELECT r.authority, r.source, r.day
FROM (
    SELECT authority, source, stream, CAST(day AS DATE) AS day
    FROM (
        SELECT
            w.authority,
            w.source,
            w.stream,
            unnest(generate_series(date_trunc('day', w.start_at), least(w.end_at, CAST(a.today AS TIMESTAMP)), INTERVAL 1 DAY)) AS day
        FROM raw_telemetry_window AS w
        CROSS JOIN as_of AS a
        WHERE NOT w.complete AND w.stream <> ''
    )
    GROUP BY ALL
) AS r
SEMI JOIN read_span AS o ON o.authority = r.authority AND o.source = r.source AND o.stream <> '' AND o.stream <> r.stream
ANTI JOIN read_day AS d ON d.authority = r.authority AND d.source = r.source AND d.day = r.day AND d.stream IN ('', r.stream)
ANTI JOIN log_part AS p ON p.source = r.source AND p.part = r.stream
GROUP BY ALL;

-- Days of which a log is known to hold something, or was read completely: what coverage shows.
CREATE TABLE covered_day AS
SELECT o.authority, l.source, l.day
FROM state_log_day AS l
JOIN log_of AS o ON o.source = l.source AND o.account = l.account
UNION
SELECT i.authority, d.source, d.day
FROM (SELECT DISTINCT authority, source, day FROM state_actor_day) AS d
JOIN issuer AS i ON i.issued_by = d.authority
ANTI JOIN log_of AS o ON o.source = d.source
UNION
SELECT authority, source, day FROM whole_day
UNION
SELECT authority, source, day FROM part_read;

-- What a log leaves out unless it is asked: reads, and in AWS the events of data inside a service.
CREATE TABLE content_of AS
SELECT o.authority, l.source, sum(l.reads) > 0 AS reads, sum(l.data_events) > 0 AS data_events
FROM state_log_day AS l
JOIN log_of AS o ON o.source = l.source AND o.account = l.account
GROUP BY o.authority, l.source;

CREATE TABLE log_cover AS
SELECT
    c.authority,
    c.source,
    min(c.day) AS first_on,
    max(c.day) AS last_on,
    count(*) AS covered_days,
    date_diff('day', min(c.day), max(c.day)) + 1 - count(*) AS hole_days,
    max(c.gap) AS longest_hole_days,
    coalesce(any_value(o.logs_reads), any_value(k.reads), FALSE) AS reads,
    CASE WHEN c.source = 'aws.cloudtrail' THEN coalesce(any_value(k.data_events), FALSE) END AS data_events
FROM (
    SELECT *, coalesce(date_diff('day', lag(day) OVER (PARTITION BY authority, source ORDER BY day), day) - 1, 0) AS gap
    FROM covered_day
) AS c
LEFT JOIN log_source AS o ON o.source = c.source
LEFT JOIN content_of AS k ON k.authority = c.authority AND k.source = c.source
GROUP BY c.authority, c.source;

-- ------------------------------------------------------------------ which days of which part of a log are known whole

-- Days with an event of the part.
CREATE TABLE part_event AS
SELECT o.authority, l.source, p.part, l.day
FROM state_log_day AS l
JOIN log_of AS o ON o.source = l.source AND o.account = l.account
JOIN log_part AS p ON p.source = l.source AND p.part = l.part
UNION
SELECT c.authority, c.source, p.part, c.day
FROM covered_day AS c
JOIN log_part AS p ON p.source = c.source
WHERE p.part = '';

-- Days whose events prove that the part was on. Of a regional log no event tells of the other regions.
CREATE TABLE part_shown AS
SELECT e.*
FROM part_event AS e
JOIN log_part AS p ON p.source = e.source AND p.part = e.part
JOIN log_source AS o ON o.source = e.source
ANTI JOIN blind_day AS b ON b.authority = e.authority AND b.source = e.source AND b.day = e.day
WHERE p.shown AND NOT o.regional;

-- Days that were read completely. What a log holds only when it is asked must also show itself, within a month.
CREATE TABLE part_whole AS
SELECT authority, source, part, day FROM part_read
UNION
SELECT w.authority, w.source, p.part, w.day
FROM whole_day AS w
JOIN log_part AS p ON p.source = w.source
WHERE p.always
    OR (
        p.shown AND (p.live OR w.declared)
        AND EXISTS (
            SELECT 1
            FROM part_event AS e
            WHERE e.authority = w.authority AND e.source = w.source AND e.part = p.part AND e.day BETWEEN w.day - 31 AND w.day + 31
        )
    );

-- A day of events counts when the days before and after it are known too: the first and the last day of what files hold
-- may have begun or ended at noon.
CREATE TABLE part_day AS
WITH known AS (
    SELECT * FROM part_shown
    UNION
    SELECT * FROM part_whole
)
SELECT * FROM part_whole
UNION
SELECT s.*
FROM part_shown AS s
SEMI JOIN known AS b ON b.authority = s.authority AND b.source = s.source AND b.part = s.part AND b.day = s.day - 1
SEMI JOIN known AS n ON n.authority = s.authority AND n.source = s.source AND n.part = s.part AND n.day = s.day + 1;

-- ------------------------------------------------------------------ the time that must have been watched

-- The last days of the policy, and the last whole occurrence of every business period that concerns the identity.
CREATE TABLE need AS
SELECT m.uid, least(any_value(a.today) - any_value(u.inactive_days), min(p.start_day)) AS start_day, arg_min(p.name, p.start_day) AS period
FROM merged AS m
CROSS JOIN as_of AS a
CROSS JOIN use_term AS u
LEFT JOIN period AS p ON p.process IS NULL OR lower(p.process) = lower(m.business_process)
GROUP BY m.uid;

-- Every system in which the identity is to be found now: it may be used in any of them.
CREATE TABLE place AS
SELECT DISTINCT n.uid, p.authority, p.kind, n.start_day
FROM need AS n
JOIN part AS p ON p.identity_uid = n.uid
WHERE p.presence <> 'gone' OR p.uid = n.uid;

-- The parts of each log that may show a use of such an identity.
CREATE TABLE part_need AS
SELECT i.authority, i.kind, c.source, p.part
FROM (SELECT DISTINCT authority, kind FROM place) AS i
JOIN log_cover AS c ON c.authority = i.authority
JOIN log_part AS p ON p.source = c.source
WHERE NOT list_contains(p.not_for, i.kind);

-- Days on which one log would have shown every use: all of its parts are known.
CREATE TABLE telling_day AS
SELECT DISTINCT authority, kind, day
FROM (
    SELECT n.authority, n.kind, d.day
    FROM part_need AS n
    JOIN part_day AS d ON d.authority = n.authority AND d.source = n.source AND d.part = n.part
    JOIN (SELECT authority, kind, source, count(*) AS parts FROM part_need GROUP BY ALL) AS k
        ON k.authority = n.authority AND k.kind = n.kind AND k.source = n.source
    GROUP BY n.authority, n.kind, n.source, d.day
    HAVING count(*) = any_value(k.parts)
);

-- Yesterday's events may still be under way: the day before yesterday is the last that is asked for.
CREATE TABLE watched AS
SELECT
    n.authority,
    n.kind,
    n.start_day,
    any_value(a.today) - 1 - n.start_day AS needed_days,
    count(d.day) AS covered_days,
    count(d.day) + any_value(u.hole_days) >= any_value(a.today) - 1 - n.start_day AS enough,
    count(d.day) FILTER (d.day >= a.today - u.inactive_days) + any_value(u.hole_days) >= any_value(u.inactive_days) - 1
        AS enough_of_policy,
    max(d.day) AS last_day,
    EXISTS (
        SELECT 1 FROM blind_day AS b WHERE b.authority = n.authority AND b.day >= n.start_day AND b.day < any_value(a.today) - 1
    ) AS refused
FROM (SELECT DISTINCT authority, kind, start_day FROM place) AS n
CROSS JOIN as_of AS a
CROSS JOIN use_term AS u
LEFT JOIN telling_day AS d ON d.authority = n.authority AND d.kind = n.kind AND d.day >= n.start_day AND d.day < a.today - 1
GROUP BY n.authority, n.kind, n.start_day;

-- What to import or to declare: the parts of which days are missing, of the log that holds most.
CREATE TABLE part_missing AS
SELECT authority, kind, start_day, arg_max((missing, unseen, untold), (least_days, days, source)) AS lack
FROM (
    SELECT
        authority,
        kind,
        start_day,
        source,
        min(days) AS least_days,
        sum(days) AS days,
        string_agg(source || ':' || part, ', ' ORDER BY part) FILTER (lacks) AS missing,
        bool_or(lacks AND events = 0) AS unseen,
        bool_or(lacks AND untold) AS untold
    FROM (
        SELECT
            w.authority,
            w.kind,
            w.start_day,
            n.source,
            n.part,
            count(d.day) AS days,
            count(d.day) + any_value(u.hole_days) < any_value(w.needed_days) AS lacks,
            count(e.day) AS events,
            count(d.day) = 0 AND any_value(NOT p.shown OR o.regional) AS untold
        FROM watched AS w
        CROSS JOIN as_of AS a
        CROSS JOIN use_term AS u
        JOIN part_need AS n ON n.authority = w.authority AND n.kind = w.kind
        JOIN log_part AS p ON p.source = n.source AND p.part = n.part
        JOIN log_source AS o ON o.source = n.source
        LEFT JOIN (
            SELECT authority, source, part, day FROM part_event
            UNION
            SELECT authority, source, part, day FROM part_day
        ) AS e ON e.authority = n.authority AND e.source = n.source AND e.part = n.part AND e.day >= w.start_day AND e.day < a.today - 1
        LEFT JOIN part_day AS d ON d.authority = e.authority AND d.source = e.source AND d.part = e.part AND d.day = e.day
        GROUP BY w.authority, w.kind, w.start_day, n.source, n.part
    )
    GROUP BY authority, kind, start_day, source
)
GROUP BY authority, kind, start_day;

-- An identity is watched as well as it is where it is watched least.
CREATE TABLE watch_of AS
SELECT
    p.uid,
    any_value(w.start_day) AS start_day,
    arg_min(p.authority, (w.enough, w.covered_days, p.authority, p.kind)) AS authority,
    any_value(w.needed_days) AS needed_days,
    min(w.covered_days) AS covered_days,
    max(w.covered_days) > 0 AS somewhere,
    bool_and(w.enough) AS enough,
    bool_and(w.enough_of_policy) AS enough_of_policy,
    bool_or(w.refused) AS refused,
    arg_min(m.lack, (w.enough, w.covered_days, p.authority, p.kind)) AS lack,
    CASE WHEN bool_and(w.last_day IS NOT NULL) THEN min(w.last_day) END AS last_day
FROM place AS p
JOIN watched AS w ON w.authority = p.authority AND w.kind = p.kind AND w.start_day = p.start_day
LEFT JOIN part_missing AS m ON m.authority = p.authority AND m.kind = p.kind AND m.start_day = p.start_day
GROUP BY p.uid;

-- Since when everything where an identity is to be found has been watched, to the last day of its logs, without more
-- holes than are forgiven.
CREATE TABLE watched_since AS
WITH since AS (
    SELECT authority, kind, min(day) AS day
    FROM (
        SELECT
            authority,
            kind,
            day,
            max(day) OVER (PARTITION BY authority, kind) - day + 1
                - count(*) OVER (PARTITION BY authority, kind ORDER BY day DESC) AS missing
        FROM telling_day
    )
    CROSS JOIN use_term
    WHERE missing <= hole_days
    GROUP BY authority, kind
)
SELECT p.uid, least(any_value(p.start_day), max(s.day)) AS day
FROM place AS p
JOIN since AS s ON s.authority = p.authority AND s.kind = p.kind
GROUP BY p.uid;

-- ------------------------------------------------------------------ who was seen

-- Ids under which logs name credentials. What a vault keeps or a pipeline is given is a copy: its name is the original's.
CREATE TABLE credential_id AS
SELECT DISTINCT credential_id, uid, identity_uid
FROM (
    SELECT public_id AS credential_id, uid, identity_uid, type, live FROM held WHERE public_id IS NOT NULL
    UNION ALL
    SELECT regexp_extract(native_id, '[^/]+$'), uid, identity_uid, type, live
    FROM held
    WHERE length(regexp_extract(native_id, '/([^/]+)$', 1)) >= 16
)
WHERE type NOT IN ('stored_secret', 'ci_secret')
QUALIFY rank() OVER (PARTITION BY credential_id ORDER BY NOT live) = 1;

CREATE TABLE credential_of_log AS
SELECT credential_id, min(uid) AS uid
FROM credential_id
GROUP BY credential_id
HAVING count(*) = 1;

CREATE TABLE seen AS
SELECT
    coalesce(a.identity_uid, h.identity_uid) AS identity_uid,
    h.uid AS credential_uid,
    s.*
FROM state_actor_action AS s
LEFT JOIN fact_identity_alias AS a ON a.authority = s.authority AND a.native_id = s.actor_id
LEFT JOIN credential_of_log AS c ON c.credential_id = s.credential_id
LEFT JOIN held AS h ON h.uid = c.uid;

-- The last use by each actor, whatever the number of its actions; and who has more of those than are remembered, so that
-- not every credential it used is known.
CREATE TABLE actor_use AS
SELECT d.authority, d.actor_id, d.source, a.identity_uid, max(d.used_at) AS used_at
FROM (
    SELECT authority, actor_id, source, used_at FROM state_actor_day
    UNION ALL
    SELECT authority, actor_id, source, used_at FROM state_client_use
) AS d
LEFT JOIN fact_identity_alias AS a ON a.authority = d.authority AND a.native_id = d.actor_id
GROUP BY ALL;

CREATE TABLE capped_use AS
SELECT u.*
FROM actor_use AS u
SEMI JOIN (
    SELECT authority, actor_id FROM state_actor_action GROUP BY ALL HAVING count(*) >= (SELECT most_actions FROM use_term)
) AS k ON k.authority = u.authority AND k.actor_id = u.actor_id;

-- Uses by somebody whom the log does not tell exactly: an id that several claim, or only a name. They are nobody's use;
-- but whoever it may have been in the needed time is not called unused.
CREATE TABLE perhaps AS
WITH unclear AS (
    SELECT authority, actor_id, max(used_at) AS used_at
    FROM (SELECT authority, actor_id, identity_uid, used_at FROM seen UNION ALL BY NAME SELECT * EXCLUDE (source) FROM capped_use)
    WHERE identity_uid IS NULL AND used_at IS NOT NULL
    GROUP BY authority, actor_id
),
named AS (
    SELECT l.authority, lower(u.actor_id) AS name, max(u.used_at) AS used_at
    FROM unclear AS u
    JOIN log_of AS l ON u.authority = l.source || ':' || l.account
    GROUP BY ALL
)
SELECT uid, max(used_at) AS used_at
FROM (
    SELECT c.identity_uid AS uid, u.used_at
    FROM unclear AS u
    JOIN claimed AS c ON c.authority = u.authority AND c.native_id = u.actor_id
    UNION ALL
    SELECT p.identity_uid, n.used_at FROM named AS n JOIN part AS p ON p.authority = n.authority AND lower(p.native_id) = n.name
    UNION ALL
    SELECT p.identity_uid, n.used_at FROM named AS n JOIN part AS p ON p.authority = n.authority AND lower(p.name) = n.name
    UNION ALL
    SELECT c.uid, s.used_at
    FROM seen AS s
    JOIN credential_id AS c ON c.credential_id = s.credential_id
    WHERE s.credential_uid IS NULL
)
GROUP BY uid;

-- Uses of an identity of which the log does not say with which credential: perhaps with any of those it holds.
CREATE TABLE nameless AS
SELECT identity_uid, max(used_at) AS used_at
FROM (
    SELECT identity_uid, used_at FROM seen WHERE credential_id IS NULL AND identity_uid IS NOT NULL
    UNION ALL
    SELECT identity_uid, used_at FROM capped_use WHERE identity_uid IS NOT NULL
    UNION ALL
    SELECT uid, used_at FROM perhaps
)
WHERE used_at IS NOT NULL
GROUP BY identity_uid;

CREATE TABLE doubtful AS
WITH unknown_id AS ( -- a credential that the inventory does not know: another one, or one of these by another kind of id
    SELECT identity_uid, length(credential_id) AS characters, max(used_at) AS used_at
    FROM seen
    WHERE credential_id IS NOT NULL AND credential_uid IS NULL AND identity_uid IS NOT NULL AND used_at IS NOT NULL
    GROUP BY ALL
)
SELECT uid, max(used_at) AS used_at
FROM (
    SELECT uid, used_at FROM perhaps
    UNION ALL
    SELECT h.uid, n.used_at FROM held AS h JOIN nameless AS n ON n.identity_uid = h.identity_uid
    UNION ALL
    SELECT h.uid, x.used_at
    FROM held AS h
    JOIN unknown_id AS x ON x.identity_uid = h.identity_uid
    ANTI JOIN credential_id AS c ON c.uid = h.uid AND length(c.credential_id) = x.characters
)
GROUP BY uid;

-- What the logs answer, as any other source does. "Never" needs the whole time watched by logs that would show it, and
-- no use in it that may have been this one.
CREATE TABLE log_usage AS
WITH last_use AS (
    SELECT identity_uid AS uid, 'identity' AS family, max(used_at) AS used_at, string_agg(DISTINCT source, ',' ORDER BY source) AS source
    FROM (SELECT identity_uid, source, used_at FROM seen UNION ALL SELECT identity_uid, source, used_at FROM actor_use)
    WHERE identity_uid IS NOT NULL AND used_at IS NOT NULL
    GROUP BY identity_uid
    UNION ALL
    SELECT credential_uid, 'credential', max(used_at), string_agg(DISTINCT source, ',' ORDER BY source)
    FROM seen
    WHERE credential_uid IS NOT NULL AND used_at IS NOT NULL
    GROUP BY credential_uid
),
subject AS (
    SELECT uid, 'identity' AS family, uid AS identity_uid FROM merged
    UNION ALL
    SELECT uid, 'credential', identity_uid FROM held WHERE identity_uid IS NOT NULL
)
SELECT
    s.uid AS subject_uid,
    'log:' || coalesce(l.source, 'watched') AS source,
    s.family AS subject_family,
    CASE WHEN l.uid IS NOT NULL THEN 'used' ELSE 'never' END AS state,
    l.used_at AS last_used_at,
    CAST(greatest(coalesce(x.day, w.start_day), CAST(d.used_at AS DATE) + 1) AS TIMESTAMP) AS since,
    CAST(NULL AS VARCHAR) AS detail,
    CAST(0 AS BIGINT) AS scan_seq,
    -- NULL: the logs say nothing of what came after
    CASE WHEN w.enough AND coalesce(d.used_at < CAST(w.start_day AS TIMESTAMP), TRUE) THEN CAST(w.last_day + 1 AS TIMESTAMP) END AS read_at
FROM subject AS s
JOIN watch_of AS w ON w.uid = s.identity_uid
LEFT JOIN watched_since AS x ON x.uid = s.identity_uid
LEFT JOIN last_use AS l ON l.uid = s.uid AND l.family = s.family
LEFT JOIN doubtful AS d ON d.uid = s.uid
WHERE l.uid IS NOT NULL OR (w.enough AND coalesce(d.used_at < CAST(w.start_day AS TIMESTAMP), TRUE));

CREATE VIEW every_usage AS
SELECT subject_uid, source, subject_family, state, last_used_at, since, detail, scan_seq, read_at FROM raw_usage
UNION ALL BY NAME
SELECT * FROM log_usage;

-- ------------------------------------------------------------------ what was used, by whom, and who is nobody of ours

CREATE VIEW fact_used_permission AS
SELECT
    identity_uid,
    credential_uid,
    source,
    service,
    operation,
    sum(events) AS events,
    sum(failures) AS failures,
    min(first_at) AS first_seen_at,
    max(used_at) AS last_used_at,
    max(last_at) AS last_tried_at
FROM seen
WHERE identity_uid IS NOT NULL
GROUP BY ALL;

-- A refusal stands until that stream is read again.
CREATE TABLE refused_log AS
SELECT authority, source, string_agg(DISTINCT problem, '; ' ORDER BY problem) AS problem
FROM (
    SELECT authority, source, stream, arg_max(problem, id) FILTER (NOT complete) AS problem
    FROM raw_telemetry_window
    GROUP BY authority, source, stream
    HAVING NOT arg_max(complete, id)
)
GROUP BY authority, source;

CREATE VIEW fact_log_coverage AS
SELECT
    c.*,
    (
        SELECT string_agg(e.part, ', ' ORDER BY e.part)
        FROM (SELECT authority, source, part FROM part_event UNION SELECT authority, source, part FROM part_whole) AS e
        WHERE e.authority = c.authority AND e.source = c.source AND e.part <> ''
    ) AS parts,
    (
        SELECT string_agg(p.part, ', ' ORDER BY p.part)
        FROM log_part AS p
        WHERE p.source = c.source AND p.part <> '' AND NOT EXISTS (
            SELECT 1
            FROM (SELECT authority, source, part FROM part_event UNION SELECT authority, source, part FROM part_whole) AS e
            WHERE e.authority = c.authority AND e.source = c.source AND e.part = p.part
        )
    ) AS missing_parts,
    w.problem
FROM (
    SELECT authority, source, first_on, last_on, covered_days, hole_days, longest_hole_days, reads, data_events FROM log_cover
    UNION ALL BY NAME
    SELECT authority, source, 0 AS covered_days, 0 AS hole_days, 0 AS longest_hole_days
    FROM refused_log AS w
    WHERE NOT EXISTS (SELECT 1 FROM log_cover AS c WHERE c.authority = w.authority AND c.source = w.source)
) AS c
LEFT JOIN refused_log AS w ON w.authority = c.authority AND w.source = c.source;

-- In the logs, not in the inventory. People of a directory, a provider's own services and computers are not looked for.
CREATE VIEW fact_unmatched_actor AS
SELECT
    d.authority,
    d.actor_id,
    max(d.actor_name) AS actor_name,
    max(d.actor_kind) AS actor_kind,
    string_agg(DISTINCT d.source, ',' ORDER BY d.source) AS sources,
    sum(d.events) AS events,
    sum(d.failures) AS failures,
    count(DISTINCT d.day) AS active_days,
    min(d.first_at) AS first_at,
    max(d.last_at) AS last_at
FROM state_actor_day AS d
LEFT JOIN fact_identity_alias AS a ON a.authority = d.authority AND a.native_id = d.actor_id
LEFT JOIN raw_person AS p ON p.authority = d.authority AND p.native_id = d.actor_id
WHERE a.identity_uid IS NULL
    AND p.uid IS NULL
    AND d.actor_id IS NOT NULL
    AND coalesce(d.actor_kind, 'unknown') NOT IN ('provider_service', 'machine', 'anonymous')
GROUP BY d.authority, d.actor_id
HAVING sum(d.events) > sum(d.failures); -- whoever never succeeded is a guess of a name

-- Who uses a credential, as the log shows it: network, agent and session together look like one consumer.
CREATE VIEW consumer_in_log AS
SELECT
    'de_' || left(sha256(concat_ws(chr(0), 'log', t.uid, t.consumer)), 20) AS uid,
    t.authority,
    t.consumer,
    'workload' AS consumer_kind,
    CASE WHEN t.credential_uid IS NULL THEN 'identity' ELSE 'credential' END AS target_family,
    t.authority AS target_authority,
    coalesce(t.credential_id, t.actor_id) AS target_native_id,
    'log:' || t.source AS source,
    'confirmed' AS confidence,
    (SELECT any_value(n.environment) FROM network AS n WHERE n.name = t.src_network) AS environment,
    t.events || ' events, last ' || strftime(t.last_at, '%Y-%m-%d') AS evidence,
    'present' AS presence,
    t.first_at AS first_seen_at,
    t.last_at AS last_seen_at,
    CAST(json_object('network', t.src_network, 'agent', t.agent, 'session', t.session, 'country', t.src_country, 'events', t.events) AS VARCHAR)
        AS attributes,
    t.identity_uid,
    t.credential_uid
FROM (
    SELECT
        coalesce(h.uid, a.identity_uid) AS uid,
        s.authority,
        s.actor_id,
        s.credential_id,
        s.source,
        s.src_network,
        s.src_country,
        s.agent,
        s.session,
        coalesce(a.identity_uid, h.identity_uid) AS identity_uid,
        h.uid AS credential_uid,
        concat_ws(
            ', ',
            coalesce(s.agent, s.session, 'unknown program'),
            CASE WHEN s.agent IS NOT NULL THEN s.session END,
            'from ' || s.src_network
        ) AS consumer,
        sum(s.events) AS events,
        min(s.first_at) AS first_at,
        max(s.used_at) AS last_at
    FROM state_actor_consumer AS s
    LEFT JOIN fact_identity_alias AS a ON a.authority = s.authority AND a.native_id = s.actor_id
    LEFT JOIN credential_of_log AS c ON c.credential_id = s.credential_id
    LEFT JOIN held AS h ON h.uid = c.uid
    WHERE (a.identity_uid IS NOT NULL OR h.uid IS NOT NULL) AND s.used_at IS NOT NULL
    GROUP BY ALL
    -- an attacker's few calls are a matter for alerts: a consumer comes back
    HAVING sum(s.events) >= 10 AND date_diff('day', min(s.first_at), max(s.used_at)) >= 1
) AS t;
