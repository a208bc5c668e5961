"""What a workflow file uses: which secret GitHub would hand it, which cloud identity it becomes, as whom it may ask.

A secret of the job's environment stands before one of the repository, that before one of the organisation (GitHub's
documentation of secrets, 2026-11). What an expression decides is not guessed, nor what could not be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from wardship.connectors.github.pipeline import environment_place, secret_id
from wardship.connectors.github.place import Where
from wardship.sdk.ci_files import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganisationSecret:
    """Who may read a secret of the organisation. `repositories`: lower case; None where it was not told."""

    visibility: str  # "all", "private" or "selected"
    repositories: frozenset[str] | None = None

    def readable(self, repository: str, *, private: bool) -> bool | None:
        """Whether the workflows of `repository` get it; None: not known."""
        if self.visibility in ("all", "private"):
            return self.visibility == "all" or private
        return None if self.repositories is None else repository in self.repositories


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """The names of secrets that one repository's workflows may meet, in upper case. None: could not be read."""

    repository: str  # "acme/shop", in lower case
    private: bool
    of_organisation: Mapping[str, OrganisationSecret] | None
    of_repository: frozenset[str] | None
    of_environments: Mapping[str, frozenset[str]] | None = field(default_factory=dict)  # environment in lower case

    def place_of(self, name: str, environment: str | None) -> str | None:
        """Where the secret stands that a job gets under this name; None: nowhere that was read, or it cannot be told.

        `environment` is the job's, as written.
        """
        if environment is not None:
            if self.of_environments is None:
                return None
            if "${{" in environment:
                if any(name in names for names in self.of_environments.values()):
                    return None  # the run decides
            elif name in self.of_environments.get(environment.lower(), ()):
                return environment_place(self.repository, environment)
        if self.of_repository is None:
            return None
        if name in self.of_repository:
            return self.repository
        shared = (self.of_organisation or {}).get(name)
        if shared is not None and shared.readable(self.repository, private=self.private):
            return self.repository.partition("/")[0]
        return None


def uses(references: list[Reference], secrets: Secrets, where: Where) -> Iterator[dict[str, Any]]:
    """The exact targets of a workflow's references: family, authority, native_id, line, job, environment."""
    for reference in references:
        target = _target(reference, secrets, where)
        if target is not None:
            family, authority, native_id = target
            yield {
                "family": family,
                "authority": authority,
                "native_id": native_id,
                "line": reference.line,
                "job": reference.job,
                "environment": reference.environment,
            }


def _target(reference: Reference, secrets: Secrets, where: Where) -> tuple[str, str, str] | None:
    name = reference.name
    if name is None:
        return None
    if reference.kind == "secret":
        place = secrets.place_of(name.upper(), reference.environment)
        return None if place is None else ("credential", where.authority, secret_id("actions", place, name))
    if reference.kind == "aws_role":
        parts = name.split(":")  # arn:aws:iam::123456789012:role/deploy
        return ("identity", f"aws:{parts[4]}", name) if len(parts) > 5 and parts[4] else None
    if reference.kind == "azure_client" and reference.tenant:
        return ("identity", f"entra:{reference.tenant.lower()}:appid", name.lower())
    return None


def may_ask_token(references: list[Reference]) -> bool:
    """Whether a job may ask for a token of its own and present it to a cloud."""
    return any(reference.kind == "oidc" for reference in references)
