"""The beginning of a new rule file: every field with a word about what belongs there.

It loads, and it finds nothing: its condition is `1 = 0` until somebody writes the real one. Texts are English, like the
field names; a rule of one's own may be written in any language.
"""

from __future__ import annotations

from dataclasses import dataclass

SUBJECTS = ("identity", "credential", "grant", "system", "exposure", "secret")


@dataclass(frozen=True, slots=True)
class _Shape:
    """How a question about one sort of subject begins, and a row for its examples."""

    select: str
    source: str
    condition: str
    named: str  # the result column that names the subject
    row: str
    uid: str


_SHAPES = {
    "identity": _Shape(
        "i.uid AS subject_uid, i.uid AS identity_uid, i.name, i.kind, i.authority",
        "identity AS i",
        "i.presence <> 'gone' AND i.standing <> 'provider_managed' AND coalesce(i.enabled, TRUE)",
        "name",
        "identity: [{uid: id_a, name: REAL_NAME, kind: oauth_app}]",
        "id_a",
    ),
    "credential": _Shape(
        "c.uid AS subject_uid, c.identity_uid, c.identity_name, c.name, c.type, c.authority",
        "credential AS c",
        "c.presence <> 'gone' AND coalesce(c.enabled, TRUE)"
        " AND coalesce(c.identity_standing, 'own') <> 'provider_managed'",
        "name",
        "credential: [{uid: cr_a, name: REAL_NAME, type: access_key}]",
        "cr_a",
    ),
    "grant": _Shape(
        "g.uid AS subject_uid, g.identity_uid, g.identity_name, g.permission, g.resource, g.tier, g.authority",
        "grant_fact AS g",
        "g.presence <> 'gone' AND g.effect = 'allow' AND coalesce(g.identity_standing, 'own') <> 'provider_managed'",
        "permission",
        "grant_fact: [{uid: gr_a, permission: REAL_PERMISSION, tier: write}]",
        "gr_a",
    ),
    "system": _Shape(
        "s.authority AS subject_uid, s.name, s.kind, s.environment",
        "system AS s",
        "s.kind = 'aws_account'",
        "name",
        'system: [{authority: "aws:111111111111", name: REAL_NAME, kind: aws_account}]',
        '"aws:111111111111"',
    ),
    "exposure": _Shape(
        "e.uid AS subject_uid, e.identity_uid, e.detector, e.location, e.place, e.validity, e.authority",
        "exposure AS e",
        "e.presence <> 'gone' AND e.validity <> 'inactive' AND coalesce(e.in_head, TRUE)",
        "location",
        "exposure: [{uid: ex_a, location: REAL_PATH, place: code, tier: provider, confidence: 0.9, validity: unknown}]",
        "ex_a",
    ),
    "secret": _Shape(
        "s.uid AS subject_uid, s.identity_uid, s.name, s.type, s.validity, s.systems",
        "secret AS s",
        "s.presence <> 'gone' AND s.validity <> 'inactive'",
        "name",
        "secret: [{uid: se_a, name: REAL_NAME, validity: unknown, systems: 2}]",
        "se_a",
    ),
}

_TEXT = """\
# yaml-language-server: $schema=.schema.json
# A finding rule of your own. docs/writing-rules.md explains every field; your editor proposes them.
# Test it with:  wardship rules test {id}.yaml
id: {id}
version: 1
title: Say the bad state in one short sentence
subject: {subject}
severity: medium # unless the query has a column `severity`
owasp_nhi: ["NHI1:2025"]
controls: ["iso27001:A.5.16"]
# Columns of the query's result are named like %({named})s.
sentence: "%({named})s is in the bad state."
rationale: Say why it matters to somebody who has to decide.
remediation:
  - text: Say what to do first.
    way: decide # cli, portal, terraform or decide
    reversible: true
verification:
  - text: Scan again; the finding closes by itself.
    way: cli
    command: wardship scan
    reversible: true
rollback:
  - text: Say how to undo it.
    way: decide
    reversible: true
would_change:
  - Say what would change the verdict.
limits:
  - Say what the rule cannot see.
query: |
  SELECT
    {select}
  FROM {source}
  WHERE {condition}
    AND 1 = 0 -- the bad state comes here; until then the rule finds nothing
fires:
  - why: Say what makes this one bad.
    facts:
      {row}
    expect: [{{subject_uid: {uid}}}]
passes:
  - why: Say what looks bad and is fine.
    facts:
      {row}
  - why: What is not known is not bad.
    facts:
      {row}
"""


def skeleton(rule_id: str, subject: str) -> str:
    """The text of a new rule file about one of SUBJECTS."""
    shape = _SHAPES[subject]
    return _TEXT.format(
        id=rule_id,
        subject=subject,
        select=shape.select,
        source=shape.source,
        condition=shape.condition,
        named=shape.named,
        row=shape.row,
        uid=shape.uid,
    )
