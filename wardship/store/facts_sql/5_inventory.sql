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


