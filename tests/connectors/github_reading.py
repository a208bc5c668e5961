"""How tests read the simulated organisation on GitHub."""

from __future__ import annotations

from typing import Any

from tests.conftest import NOW
from wardship.connectors import github
from wardship.model.scan import Scope
from wardship.sdk.clock import SimClock
from wardship.sdk.connector import Connection, Record
from wardship.sdk.testing import ScopeRead, read_all, read_scope
from wardship.sim.github import GitHubOrganisation
from wardship.sim.github_small import populate_small

ORG = "github:acme"


def organisation(**options: Any) -> GitHubOrganisation:
    return GitHubOrganisation(clock=SimClock(NOW), **options)


def small() -> GitHubOrganisation:
    made = organisation()
    populate_small(made)
    return made


def scope_of(connector: Any, kind: str) -> Scope:
    return next(scope for scope in connector.scopes() if scope.kind == f"github.{kind}")


def read(connection: Connection, kind: str) -> ScopeRead:
    connector = github.connect(connection)
    return read_scope(connector, scope_of(connector, kind))


def scan(connection: Connection) -> list[Record]:
    got = read_all(github.connect(connection))
    assert {scope.kind: part.error or part.problems for scope, part in got.items() if not part.complete} == {}
    return [record for part in got.values() for record in part.records]


def of(family: type[Any], found: list[Record], **fields: Any) -> list[Any]:
    return [
        record
        for record in found
        if isinstance(record, family) and all(getattr(record, name) == value for name, value in fields.items())
    ]
