-- ------------------------------------------------------------------ who depends on what

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
LEFT JOIN held AS h ON h.uid = d.target_uid
UNION ALL BY NAME
SELECT * FROM consumer_in_log;

CREATE VIEW fact_guard_run AS
SELECT *, id AS uid FROM raw_guard_run;
