"""Hunts: questions to the logs that a person asks, each with how to read its answer.

Ours lie in `wardship/data/hunts`, those of a workspace in its folder `hunts`. A hunt is answered by the engine over the
live files of the lake from `since` on, the state of use and the newest facts; of its answer so many rows are given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from wardship.model.errors import ConfigError
from wardship.model.facts import FACTS
from wardship.model.policy import Policy
from wardship.sdk.hunt import Hunt, load_hunt, load_hunts
from wardship.sdk.i18n import N_, _
from wardship.sdk.rule import load_own
from wardship.services import usage
from wardship.services.formats import Column, Row
from wardship.store import telemetry
from wardship.store.engine import Table, tables_of
from wardship.store.events import open_engine
from wardship.store.facts import latest_snapshot
from wardship.store.workspace import Workspace

COLUMNS = (
    Column(name="id", label=N_("Id")),
    Column(name="identity_class", label=N_("Class")),
    Column(name="title", label=N_("Question")),
    Column(name="own", label=N_("Own"), type="boolean", screen=False),
)
_HEADS = {
    **{one.name: one.label for one in usage.COLUMNS},
    "account": N_("Account"),
    "agent": N_("Program"),
    "application": N_("Application"),
    "asn": N_("Autonomous system"),
    "at": N_("When"),
    "changes": N_("Changes"),
    "contract_end_on": N_("Contract ends"),
    "countries": N_("Countries"),
    "country": N_("Country"),
    "events": N_("Events"),
    "events_of_all": N_("Events of all"),
    "identity": N_("Identity"),
    "identity_uid": N_("Identity id"),
    "kind": N_("Kind"),
    "last_let_in_at": N_("Last let in"),
    "last_refused_at": N_("Last refused"),
    "leaked_at": N_("Leaked since"),
    "leaked_in": N_("Leaked in"),
    "let_in": N_("Let in"),
    "like_a_person": N_("Like a person"),
    "name": N_("Name"),
    "networks": N_("Networks"),
    "networks_before": N_("Networks before"),
    "outcome": N_("Outcome"),
    "owner": N_("Owner"),
    "people": N_("People"),
    "pipeline": N_("Pipeline"),
    "refused": N_("Refused"),
    "resource_type": N_("Kind of resource"),
    "resources": N_("Resources"),
    "services": N_("Services"),
    "sessions": N_("Sessions"),
    "src_ip": N_("Address"),
    "supplier": N_("Supplier"),
    "who": N_("Who"),
}
"""What heads a column of an answer on a screen; those of your own hunts that are not here by their name."""
MOST = 200
"""Rows of an answer that are given when nobody says how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The rows of a hunt in their order. `more`: there were others."""

    columns: Sequence[Column]
    rows: Sequence[Row]
    more: bool


def catalogue(ws: Workspace | None) -> tuple[list[Hunt], list[str]]:
    """Our hunts and the workspace's, and which files of the workspace are left out and why."""
    ours = load_hunts()
    own, problems = load_own(ws.path / "hunts", load_hunt, {one.id for one in ours}) if ws is not None else ([], [])
    return [*ours, *own], problems


def rows(hunts: Sequence[Hunt]) -> Iterator[Row]:
    """The hunts as rows of a list, texts in the language in force."""
    ours = {one.id for one in load_hunts()}
    for one in hunts:
        yield {
            "id": one.id,
            "identity_class": one.identity_class,
            "title": _(one.title),
            "own": one.id not in ours,
        }


def find(hunts: Sequence[Hunt], wanted: str) -> Hunt:
    """The hunt of that id. Raises ConfigError."""
    found = next((one for one in hunts if one.id == wanted), None)
    if found is None:
        raise ConfigError(
            _("no hunt is called %(name)r") % {"name": wanted[:64]}, advice=_("see them with `wardship hunt list`")
        )
    return found


def run(
    ws: Workspace,
    hunt: Hunt,
    *,
    since: datetime,
    policy: Policy,
    identity_uid: str | None = None,
    most: int = MOST,
) -> Answer:
    """Asks the logs from `since` on. `identity_uid`: only rows of that identity. Raises Unavailable."""
    now = ws.db.clock()
    begin = since.astimezone(UTC).replace(tzinfo=None)
    arguments = hunt.compiled.arguments({**policy.parameters(now), "since": begin})
    names = hunt.compiled.columns
    found: list[Row] = []
    more = False
    with open_engine(ws, _tables(ws, since)) as engine:
        for row in engine.query(hunt.compiled.sql(engine.dialect), arguments):
            one = {name: _aware(value) for name, value in zip(names, row, strict=True)}
            if identity_uid is not None and one["identity_uid"] != identity_uid:
                continue
            if len(found) == most:
                more = True
                break
            found.append(one)
    columns = [Column(name=name, label=_HEADS.get(name, name)) for name in hunt.compiled.columns]
    return Answer(columns=columns, rows=found, more=more)


def _tables(ws: Workspace, since: datetime) -> list[Table]:
    snapshot = latest_snapshot(ws.db, ws.facts)
    facts = [Table(name=name, columns=columns, files=()) for name, columns in FACTS.items()]
    return [
        telemetry.activity_table(ws.db, ws.activity, since=since),
        *usage.current(ws).tables(),
        *(facts if snapshot is None else tables_of(snapshot)),
    ]


def _aware(value: object) -> object:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value
