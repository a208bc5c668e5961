-- The joins of `facts.py`, in DuckDB's dialect, file after file: from raw_* (the current tables as they are) and
-- state_* (what audit logs add up to, wardship/model/baseline.py) to fact_* (the contract of wardship/model/facts.py).
-- What each decision means is said at the top of facts.py.
-- Also given: as_of(today), tier_order(tier, place), static_type(type), use_term(inactive_days, hole_days, most_actions),
-- period(name, process, start_day, end_day), network(name, environment), log_source(source, system, logs_reads, regional),
-- log_part(source, part, always, shown, live, not_for).

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

CREATE TABLE alias_of AS
SELECT identity_uid, json_extract_string(pair, '$[0]') AS authority, json_extract_string(pair, '$[1]') AS native_id
FROM (SELECT identity_uid, unnest(from_json(aliases, '["JSON"]')) AS pair FROM part WHERE aliases <> '[]')
GROUP BY ALL;

-- Every exact id under which somebody may act, and whose it is said to be.
CREATE TABLE claimed AS
SELECT authority, native_id, identity_uid FROM part
UNION
SELECT authority, native_id, identity_uid FROM alias_of;

-- An id that two identities claim (their merge was undone) says nothing about either.
CREATE TABLE fact_identity_alias AS
SELECT authority, native_id, min(identity_uid) AS identity_uid
FROM claimed
GROUP BY authority, native_id
HAVING count(*) = 1;
