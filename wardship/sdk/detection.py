"""The format of a detection, one for ours and the users': a YAML file named as what somebody did that is worth a look.

A detection is a question to new events (`query`), everything a person needs to act on the answer, and examples that
must fire and must not. Nothing is taken on trust: each error names file, line and field. `docs/detections-writing.md`
is the guide, `docs/adr/0033-signals-and-alerts.md` says how hits become signals and alerts.

The query asks TABLES: `event` (what is new, with what is known of who did it), the state and baselines *as they were
before these events*, the facts, and who may change much at once. Each row of its result is a hit: who (`authority`,
`actor_id`), `identity_uid`, `credential_id`, what makes two hits the same (`fold`), `first_at`, `last_at`, `events`,
and where the raw records stand (`evidence`); it may give `severity`, `weight` and `confidence` where they depend on the
row. Every other column is a fact that is shown with the alert and can be named in `sentence` as %(column)s.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from wardship.model import baseline
from wardship.model.activity import ACTIVITY
from wardship.model.facts import FACTS
from wardship.model.finding import Confidence, Severity
from wardship.sdk import titles
from wardship.sdk.action_class import ACTION_CLASS
from wardship.sdk.fact_query import FactQuery, Language, compile_query
from wardship.sdk.i18n import _
from wardship.sdk.rule import (
    EXAMPLE_AS_OF,
    EXAMPLE_DEFAULTS,
    RULE_ID,
    Asking,
    Example,
    Step,
    Strict,
    Text,
    check_examples,
    check_name,
    check_placeholders,
    example_value,
    frameworks,
    validated,
)
from wardship.sdk.yaml_file import YamlFile, read_yaml_file

BUILT_IN = titles.DETECTIONS

EVENT: Mapping[str, str] = {
    **ACTIVITY,
    # who acted, under the key that the state counts by: actor_authority and actor_id where the log gives an exact id,
    # else <source>:<account> and the name. `actor_id` is of this key too.
    "authority": "VARCHAR",
    "ref": "VARCHAR",  # where the raw record stands: input#position
    "identity_uid": "VARCHAR",  # NULL: the inventory does not know the actor
    "identity_name": "VARCHAR",
    "identity_kind": "VARCHAR",
    "identity_standing": "VARCHAR",
    "identity_enabled": "BOOLEAN",
    "identity_presence": "VARCHAR",
    "identity_created_at": "TIMESTAMP",
    "criticality": "VARCHAR",
    "environment": "VARCHAR",
    "owner_name": "VARCHAR",
    "supplier_name": "VARCHAR",
    "credential_uid": "VARCHAR",  # of credential_id; NULL: not told, or not in the inventory
    "credential_presence": "VARCHAR",
    "credential_enabled": "BOOLEAN",
    "credential_expires_at": "TIMESTAMP",
    "leaked": "BOOLEAN",  # its credential, by public id or fingerprint, has been seen where it should not be
    "action_class": "VARCHAR",  # what kind of act it is (docs/detections-writing.md); NULL: none that matters
    "privileged": "BOOLEAN",  # the act changes who may do what
    "own_network": "BOOLEAN",  # the address is in one of the declared networks; NULL: no address
    # as the state calls them, to be joined with it
    "lasting_credential_id": "VARCHAR",  # `credential_id` there: without the temporary keys of AWS
    "agent": "VARCHAR",  # family of the user agent
    "session_form": "VARCHAR",  # `session` there: numbers as #
    "resource": "VARCHAR",  # the container of resource_id
    "hour_of_week": "INTEGER",  # 0 = Monday 00:00 to 00:59 UTC
}
"""Columns of `event`."""

OTHERS: Mapping[str, Mapping[str, str]] = {
    "change_window": {  # changes that were announced
        "start_at": "TIMESTAMP",
        "end_at": "TIMESTAMP",
        "scope": "VARCHAR",  # an authority, an identity's uid, an actor's id, or * for all
        "reason": "VARCHAR",
    },
    "provisioner": {  # identities that set up much at once because that is what they are for
        "authority": "VARCHAR",
        "actor_id": "VARCHAR",
        "identity_uid": "VARCHAR",
        "tool": "VARCHAR",
        "how": "VARCHAR",  # declared | recognised
    },
    "action": ACTION_CLASS,  # what the operations of the events, and those that actors are known for, are for
    "own_network": {"network": "VARCHAR", "name": "VARCHAR", "country": "VARCHAR", "asn": "INTEGER"},
}

TABLES: Mapping[str, Mapping[str, str]] = {
    "event": EVENT,
    "actor_baseline": baseline.BASELINE,
    "peer_action": baseline.PEER_ACTION,
    "actor_score": baseline.SCORE,
    **baseline.STATE,
    **OTHERS,
    **FACTS,
}
"""Every table that a detection may ask, with its columns and their types."""
LANGUAGE = Language(tables=TABLES, sequences=True)
KEY = ("authority", "actor_id", "identity_uid", "credential_id", "fold", "first_at", "last_at", "events", "evidence")
"""Columns that every result has, in the words of this module's docstring."""
RESERVED_COLUMNS = frozenset({*KEY, "severity", "weight", "confidence"})

_EVENT_DEFAULTS: Mapping[str, Any] = {
    "source": "aws.cloudtrail",
    "class_uid": 6003,
    "authority": "aws:111111111111",
    "actor_authority": "aws:111111111111",
    "actor_id": "AIDA1",
    "actor_kind": "user",
    "service": "s3.amazonaws.com",
    "operation": "GetObject",
    "mutating": False,
    "account": "111111111111",
    "outcome": "success",
    "detail": "{}",
    "input": 1,
    "batch": 1,
    "time": EXAMPLE_AS_OF,
    "leaked": False,
    "privileged": False,
}
_STATE_DEFAULTS: Mapping[str, Any] = {
    "authority": "aws:111111111111",
    "actor_id": "AIDA1",
    "source": "aws.cloudtrail",
    "events": 1,
    "failures": 0,
    "mutating": 0,
    "interactive": 0,
}


class Needs(Strict):
    """What must be there for the question to have an answer."""

    mature_baseline: bool = False
    """Whether it compares with what is usual: while an actor was watched for fewer days than that needs, its weight
    is lower in proportion."""
    sources: tuple[str, ...] = Field(default=(), strict=False)
    """Telemetry sources without which it is blind; empty: any."""


class Detection(Asking):
    """One detection. Every text is an English message id."""

    id: Annotated[str, StringConstraints(pattern=RULE_ID)]
    """Its name for ever: small letters, digits and _. The file is called <id>.yaml."""
    version: Annotated[int, Field(ge=1)]
    """Counts up when the detection comes to mean something else."""
    title: Text
    """What somebody did, as a short sentence; it heads every signal."""
    severity: Annotated[Severity, Field(strict=False)]
    """How bad a hit is by itself; the severity of an alert comes from its score."""
    weight: Annotated[int, Field(ge=0, le=100)]
    """Points: how sure, in percent, one hit alone makes that somebody must look."""
    confidence: Annotated[Confidence, Field(strict=False)] = Confidence.LIKELY
    """`confirmed`: the records prove it. `likely`: inferred. `tentative`: an essential fact is missing."""
    aspect: Literal["place", "time", "volume", "action", "target", "credential", "manner"]
    """What it looks at. Hits of one aspect see much the same thing, and together count little more than the best."""
    dampened: bool = True
    """Whether it counts less for provisioning tools and in announced changes."""
    attack: list[Annotated[str, StringConstraints(pattern=r"^T\d{4}(\.\d{3})?$")]]
    """Techniques of MITRE ATT&CK."""
    owasp_nhi: Annotated[list[str], Field(min_length=1)]
    """Entries of the OWASP Non-Human Identities Top 10."""
    sentence: Text
    """The hit in one sentence; %(column)s stands for a column of the query's result."""
    rationale: Text
    """Why it matters, for somebody who has to decide."""
    what_to_do: Annotated[list[Step], Field(min_length=1)]
    """What to do, in order."""
    limits: Annotated[list[Text], Field(min_length=1)]
    """What the detection cannot see."""
    needs: Needs = Needs()
    """What must be there for the question to have an answer."""
    query: str
    """One SELECT in DuckDB's dialect over the tables of docs/detections-writing.md. Thresholds are written :name."""
    fires: Annotated[list[Example], Field(min_length=1)]
    """Examples in which the detection must hit."""
    passes: Annotated[list[Example], Field(min_length=1)]
    """Examples in which it must stay silent: above all what looks bad and is fine, and what is not known."""

    def _checked(self) -> FactQuery:
        return compile_query(self.query, language=LANGUAGE)

    @property
    def digest(self) -> str:
        """Version and content together, "2-1f0c9a3b": a detection that was edited in place is another one."""
        judged = [self.query, self.severity, self.weight, self.confidence, self.aspect, self.sentence]
        return f"{self.version}-{hashlib.sha256(json.dumps(judged).encode()).hexdigest()[:8]}"

    def messages(self) -> Iterator[str]:
        """Every text that is shown, for the message catalogue."""
        yield from (self.title, self.sentence, self.rationale, *self.limits)
        yield from (step.text for step in self.what_to_do)


def load_detections(folder: Path = BUILT_IN) -> list[Detection]:
    """The detections of a folder, by id. Raises ConfigError for the first bad file."""
    return [load_detection(path) for path in sorted(folder.glob("*.yaml"))]


def load_detection(path: Path) -> Detection:
    """One detection. Raises ConfigError that names file, line, field and what to do."""
    told = read_yaml_file(path)
    found = validated(told, Detection, _("see docs/detections-writing.md"))
    check_name(found.id, told, path)
    _check(found, told)
    found._file = path
    return found


def detection_messages(folder: Path = BUILT_IN) -> Iterator[tuple[str, str]]:
    """(place, message) of every text that is shown, for the message catalogue."""
    for one in load_detections(folder):
        yield from ((f"detections/{one.id}.yaml", message) for message in one.messages())


def _check(found: Detection, told: YamlFile) -> None:
    known = frameworks()["owasp-nhi"].controls
    for index, number in enumerate(found.owasp_nhi):
        if number not in known:
            raise told.error(
                ("owasp_nhi", index),
                _("%(framework)s has no control %(number)r here") % {"framework": "owasp-nhi", "number": number},
                _("known: %(names)s") % {"names": ", ".join(known)},
            )
    columns = found.compiled.columns
    for name in KEY:
        if name not in columns:
            raise told.error(
                ("query",),
                _("the result has no %(column)s") % {"column": name},
                _("a result has: %(names)s") % {"names": ", ".join(KEY)},
            )
    check_placeholders(found.sentence, columns, told, "sentence")
    for step in found.what_to_do:
        check_placeholders(step.command or "", columns, told, "what_to_do")
    check_examples(told, TABLES, fires=found.fires, passes=found.passes)


def example_tables(example: Example) -> dict[str, list[dict[str, Any]]]:
    """The rows of an example, complete: every column of every table, defaults filled in."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for table, columns in TABLES.items():
        rows[table] = []
        for number, given in enumerate(example.facts.get(table, ())):
            complete = {**_defaults(table, number), **given}
            if table == "event":
                complete.setdefault("ref", f"{complete['input']}#{complete['position']}")
            rows[table].append({column: example_value(complete.get(column)) for column in columns})
    return rows


def _defaults(table: str, number: int) -> dict[str, Any]:
    if table == "event":
        return {"uid": f"event_{number}", "position": number, **_EVENT_DEFAULTS}
    if table in baseline.STATE or table in ("actor_baseline", "actor_score"):
        return dict(_STATE_DEFAULTS)
    return {"uid": f"{table}_{number}", **EXAMPLE_DEFAULTS}


def detection_schema() -> dict[str, Any]:
    """JSON Schema of a detection file, for editors."""
    schema = Detection.model_json_schema()
    schema["properties"]["owasp_nhi"]["items"]["enum"] = list(frameworks()["owasp-nhi"].controls)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Wardship detection",
        **{key: value for key, value in schema.items() if key != "title"},
    }
