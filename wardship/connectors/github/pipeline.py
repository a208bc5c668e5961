"""What belongs to pipelines, as records: environments, CI secrets, variables that hold a secret, workflows, alerts.

As in `parse`, every value is hostile and nothing here asks the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from wardship.connectors.github.place import NAME, REPOSITORY, Where
from wardship.model.access import Credential, CredentialType
from wardship.model.errors import DataError
from wardship.model.exposure import Dependency, DetectorTier, Exposure, Place
from wardship.model.identity import Identity, IdentityKind, Standing, System
from wardship.sdk.connector import Record
from wardship.sdk.environment import environment_of
from wardship.sdk.fields import Fields, known
from wardship.secrets.finding import Found

_STORES = {
    "actions": ("actions-secret", "github-actions"),
    "dependabot": ("dependabot-secret", "github-dependabot"),
    "codespaces": ("codespaces-secret", "github-codespaces"),
}
_ALERT_PLACES = {"wiki": Place.WIKI, "issue": Place.TICKET, "pull": Place.TICKET, "discussion": Place.TICKET}
# GitHub publishes no precision of its detectors. What it found valid is a secret; the rest is taken as its providers'
# patterns are elsewhere.
_ALERT_CONFIDENCE = {"active": 1.0}
_ALERT_CONFIDENCE_ELSE = 0.9


def secret_id(store: str, place: str, name: str) -> str:
    """The native id of a CI secret; `place` is "acme", "acme/shop" or "acme/shop/environments/production"."""
    return f"{_STORES[store][0]}:{place}/{name.upper()}"


def environment_place(repository: str, environment: str) -> str:
    return f"{repository}/environments/{environment.lower()}"


def kinds(where: Where) -> Mapping[str, Callable[[Fields], Iterable[Record]]]:
    """What reads the items of each kind of scope of this module."""
    readers = {
        "github.environment": _environment,
        "github.organisation_secret": _organisation_secret,
        "github.repository_secret": _repository_secret,
        "github.organisation_variable": _variable,
        "github.repository_variable": _variable,
        "github.workflow": _workflow,
        "github.secret_alert": _alert,
    }
    return {kind: partial(read, where) for kind, read in readers.items()}


def _environment(where: Where, item: Fields) -> Iterable[Record]:
    """A deployment environment and the secrets that only its jobs can read."""
    repository = item.matching("repository", REPOSITORY).lower()
    about = item.child("environment") or item
    name = about.text("name")
    if name is None:
        raise DataError("environment: name is missing")
    policy = about.child("deployment_branch_policy")
    rules = about.objects("protection_rules")
    kinds = sorted({kind for rule in rules if (kind := rule.text("type"))})
    reviewers = sum(len(rule.objects("reviewers")) for rule in rules)
    yield System(
        authority=f"{where.of_repository(repository)}/environments/{name.lower()}",
        kind="github_environment",
        name=f"{repository} {name}",
        environment=environment_of(name),
        parent=where.of_repository(repository),
        attributes=known(
            {
                "repository": repository,
                "protection": kinds,
                "reviewers": reviewers,
                "protected_branches_only": policy.flag("protected_branches") if policy else None,
                "branch_policy": policy is not None,
            }
        ),
    )
    for secret in item.objects("secrets"):
        yield _ci_secret(
            where,
            secret,
            environment_place(repository, name),
            environment=environment_of(name),
            level="environment",
            repository=repository,
            deployment=name,
            protection=kinds,
        )


# -------------------------------------------------------------- secrets and variables of pipelines


def _organisation_secret(where: Where, item: Fields) -> Iterable[Record]:
    secret, store = item.child("secret") or item, item.text("store") or "actions"
    if store not in _STORES:
        raise DataError("organisation_secret: no such store")
    visibility = secret.text("visibility")
    if visibility not in ("all", "private", "selected"):
        secret.unknown("visibility", str(visibility))
    readers = None  # which repositories may read it; None: GitHub was not asked, or it is not a list
    if item.raw.get("repositories") is not None:
        readers = sorted(name.lower() for name in item.texts("repositories"))
    yield _ci_secret(
        where,
        secret,
        where.organisation,
        store=store,
        level="organisation",
        visibility=visibility,
        repositories=readers,
    )


def _repository_secret(where: Where, item: Fields) -> Iterable[Record]:
    repository = item.matching("repository", REPOSITORY).lower()
    secret = item.child("secret") or item
    yield _ci_secret(where, secret, repository, level="repository", repository=repository)


def _ci_secret(
    where: Where, secret: Fields, place: str, *, store: str = "actions", environment: str | None = None, **more: Any
) -> Credential:
    name = secret.matching("name", NAME)
    return Credential(
        authority=where.authority,
        native_id=secret_id(store, place, name),
        type=CredentialType.CI_SECRET,
        name=name,
        enabled=True,  # one that is listed is handed to jobs
        created_at=secret.instant("created_at"),
        last_rotated_at=secret.instant("updated_at"),
        stored_in=_STORES[store][1],
        revocation="DELETE it, or PUT a new value; what it opens must be revoked where it was issued",
        attributes=known({**more, "environment": environment or environment_of(name)}),
    )


def _variable(where: Where, item: Fields) -> Iterable[Record]:
    """What the engine calls a secret in a variable; the value itself stayed in the reader."""
    place = where.place(item)
    variable = item.child("variable") or item
    name = variable.matching("name", NAME).upper()
    environment = item.text("environment")
    repository = place if "/" in place else None
    holder = environment_place(place, environment) if environment and repository else place
    for hit in item.objects("hits"):
        yield Exposure(
            authority=where.of_repository(repository) if repository else where.authority,
            location=f"actions-variable:{holder}/{name}",
            **{**Found.of(hit).columns(), "name": name, "line": None},
            place=Place.CI_VARIABLE,
            public=False,
            environment=environment_of(environment) or environment_of(name),
            introduced_at=variable.instant("updated_at"),
            attributes=known({"visibility": variable.text("visibility"), "deployment": environment}),
        )


# -------------------------------------------------------------- pipelines


def _workflow(where: Where, item: Fields) -> Iterable[Record]:
    """A workflow file: who uses which secret and which identity, and as whom it may present itself."""
    repository = item.matching("repository", REPOSITORY).lower()
    path = item.text("path")
    if path is None:
        raise DataError("workflow: path is missing")
    consumer = f"{repository} {path}"
    merged: dict[tuple[str, str, str], dict[str, Any]] = {}
    for use in item.objects("uses"):
        family, authority, native_id = (use.text(part) for part in ("family", "authority", "native_id"))
        if family not in ("identity", "credential") or not authority or not native_id:
            raise DataError("workflow: a use without a target")
        found = merged.setdefault(
            (family, authority, native_id), {"lines": set(), "environments": set(), "jobs": set()}
        )
        found["lines"].add(use.integer("line") or 0)
        found["environments"].add(environment_of(use.text("environment")))
        found["jobs"].add(use.text("job") or "")
    for target, found in merged.items():
        environments = found["environments"] - {None}
        yield Dependency(
            authority=where.authority,
            consumer=consumer,
            consumer_kind="workflow",
            target=target,
            source="github.workflow",
            environment=environments.pop() if len(environments) == 1 else None,
            evidence="line " + ", ".join(str(line) for line in sorted(found["lines"])),
            attributes={"repository": repository, "path": path, "jobs": sorted(found["jobs"] - {""})},
        )
    if item.flag("may_ask_token"):
        yield Identity(
            authority=where.authority,
            native_id=f"workflow:{repository}/{path}",
            kind=IdentityKind.CI_PIPELINE,
            subtype="github_actions_workflow",
            name=consumer,
            standing=Standing.OWN,
            attributes=known(
                {
                    "repository": repository,
                    "path": path,
                    "issuer": where.issuer,
                    "subjects": item.texts("subjects"),
                    "subject_template": item.texts("subject_template") or None,
                    "default_token_permissions": item.text("default_token_permissions"),
                }
            ),
        )


def _alert(where: Where, alert: Fields) -> Iterable[Record]:
    """An open alert of secret scanning. GitHub is asked to hide the secret, so it has no fingerprint."""
    about = alert.need("repository")
    repository = about.matching("full_name", REPOSITORY).lower()
    first = alert.child("first_location_detected")
    path = first.text("path") if first else None
    kinds = [word for word in _ALERT_PLACES if first and any(str(name).startswith(word) for name in first.raw)]
    validity = alert.text("validity")
    secret_type = alert.text("secret_type") or "unknown"
    private = about.flag("private")
    yield Exposure(
        authority=where.of_repository(repository),
        location=f"secret-scanning-alert:{repository}/{alert.number('number')}",
        detector=f"github.{secret_type[:100]}",
        tier=DetectorTier.PROVIDER,
        confidence=_ALERT_CONFIDENCE.get(validity or "", _ALERT_CONFIDENCE_ELSE),
        place=_ALERT_PLACES[kinds[0]] if kinds and path is None else Place.CODE,
        fingerprint=None,
        line=first.integer("start_line") if first and path else None,
        revision=first.text("commit_sha") if first and path else None,
        public=None if private is None else not private,
        introduced_at=alert.instant("created_at"),
        attributes=known(
            {
                "path": path,
                "validity": validity,
                "publicly_leaked": alert.flag("publicly_leaked"),
                "push_protection_bypassed": alert.flag("push_protection_bypassed"),
                "multi_repository": alert.flag("multi_repo"),
            }
        ),
    )
