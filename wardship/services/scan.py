"""Reading: one connection is scanned, or files are imported; then the facts are kept and the rules judge them."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from wardship.ingest import scan as ingest
from wardship.ingest.scan import Progress, ScanPolicy, ScanReport
from wardship.ingest.work import Reader
from wardship.model.errors import ConfigError, ConnectorError, Error
from wardship.model.policy import Policy
from wardship.model.scan import ScopeStatus
from wardship.sdk import registry
from wardship.sdk.connector import Capability, Connection
from wardship.sdk.i18n import _, format_instant
from wardship.services import connect, evaluate
from wardship.store import scans
from wardship.store.workspace import Workspace

MAX_IMPORT_FILES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How reading one connection went. `error` None: it was read, perhaps not all of it.

    `unasked` say which rules could not be asked about it, where it was judged.
    """

    connection: str
    connector: str
    resumed: bool
    areas: int
    complete: int
    items: int
    quarantined: int
    api_calls: int
    busy: int  # areas that another process was reading
    error: str | None = None
    advice: str = ""
    unasked: Sequence[str] = ()


def read(
    ws: Workspace, connection: Connection, actor: str, plugins: Sequence[str] = (), *, judge: bool = True
) -> Outcome:
    """Scans one connection, writes the facts and judges them. A refused credential is an Outcome, not an exception.

    `judge` False: the caller judges (`evaluate.again`) once for several connections.

    Raises ConfigError for a connector or settings that cannot work, Unavailable when the database does not answer.
    """
    try:
        connector = registry.connector_module(connection.connector, plugins).connect(connection)
    except ConfigError as error:
        raise ConfigError(
            _("connection %(name)s: %(what)s") % {"name": connection.name, "what": error.message}, advice=error.advice
        ) from None
    return _read(ws, connector, connection, actor, judge=judge)


def connection_of(name: str) -> str:
    """What the scans kept under `name` read: "aws" for the imports of it, else the connection of that name."""
    return scans.source(name).removeprefix(scans.IMPORT_PREFIX) if scans.is_import(name) else name


def systems_of(connection: Connection, plugins: Sequence[str] = ()) -> list[str]:
    """The systems that the connection's credential leads to ("aws:123456789012"); a few read calls.

    Raises AuthenticationFailed, ConfigError.
    """
    connector = registry.connector_module(connection.connector, plugins).connect(connection)
    return sorted({scope.authority for scope in connector.scopes()})


def files_and_settings(
    connector: str, words: Sequence[Path], plugins: Sequence[str] = ()
) -> tuple[list[Path], dict[str, str]]:
    """The words of an import apart: NAME=VALUE of a setting that the connector knows, unless a file is called so.

    Raises ConfigError for a literal secret.
    """
    manifest = registry.manifest(connector, plugins)
    known = {setting.name for setting in manifest.settings}
    files: list[Path] = []
    settings: dict[str, str] = {}
    for word in words:
        name, equals, value = str(word).partition("=")
        if equals and name in known and not word.exists():
            settings[name] = value
        else:
            files.append(word)
    connect.check_settings(
        replace(manifest, settings=[replace(one, required=False) for one in manifest.settings]), settings
    )
    return files, settings


def read_files(
    ws: Workspace,
    connection: Connection,
    files: Sequence[Path],
    actor: str,
    plugins: Sequence[str] = (),
    *,
    as_of: datetime | None = None,
    force: bool = False,
) -> Outcome:
    """Imports the vendor's own export files. Raises ConfigError for files that are not there or not the vendor's.

    What they show counts as true now. So files may not speak of a system that was read live since the instant
    `as_of` at which they were exported (None: the one that the files themselves tell), nor, where neither tells it, of
    one that was ever read live: ConfigError, unless `force`.
    """
    manifest = registry.manifest(connection.connector, plugins)
    module = registry.connector_module(connection.connector, plugins)
    if Capability.IMPORT not in manifest.permissions and not manifest.imports:
        raise ConfigError(
            _("connector %(connector)s reads no files") % {"connector": manifest.name},
            advice=_("connect it with `wardship connect add %(connector)s`") % {"connector": manifest.name},
        )
    if len(files) > MAX_IMPORT_FILES:
        raise ConfigError(
            _("more than %(n)d files") % {"n": MAX_IMPORT_FILES}, advice=_("import them in several steps")
        )
    for file in files:
        if not file.exists():
            raise ConfigError(
                _("there is no file %(path)s") % {"path": file},
                advice=_("it reads: %(forms)s") % {"forms": "; ".join(_(form) for form in manifest.imports)},
            )
    reader = module.import_files(list(files), connection)
    if not force:
        _refuse_older(ws, reader, as_of or getattr(reader, "as_of", None))
    return _read(ws, reader, connection, actor, scans.import_name(connection.name, _digest(files)))


def _digest(files: Sequence[Path]) -> str:
    """Of what the files hold, whatever they are called: a stopped import goes on only with the same content.

    A folder (a git repository) counts by its path: what it holds is for its reader to compare.
    """
    parts = []
    for file in files:
        if file.is_dir():
            parts.append(hashlib.sha256(str(file.resolve()).encode("utf-8", "surrogatepass")).hexdigest())
            continue
        with file.open("rb") as stream:
            parts.append(hashlib.file_digest(stream, "sha256").hexdigest())
    return hashlib.sha256(" ".join(sorted(parts)).encode()).hexdigest()


def _refuse_older(ws: Workspace, reader: Reader, as_of: datetime | None) -> None:
    """Raises ConfigError when the files would, or might, write over what was read live later.

    Their modification time proves nothing: a copy is newer than what it holds.
    """
    if as_of is not None and as_of > ws.db.clock():
        raise ConfigError(_("the files cannot be of a time to come"), advice=_("give the date of the export"))
    try:
        keys = [scope.key for scope in reader.scopes()]
    except (ConfigError, ConnectorError):
        return  # the scan will say what is wrong with the files
    with ws.db.read() as conn:
        live = scans.last_read_live(conn, keys)
        systems = scans.authorities_read_live(conn)
    if live is None or (as_of is not None and as_of > live):
        later = {name: at for name, at in systems.items() if as_of is None or at >= as_of}
        live = _told_of(reader, later)
    if live is None:
        return
    if as_of is None:
        raise ConfigError(
            _("this system was read live on %(when)s, and the files do not tell their date")
            % {"when": format_instant(live)},
            advice=_("say when they were exported with --as-of, or take them as true now with --force"),
        )
    raise ConfigError(
        _("this system was read live on %(when)s, after the files were exported") % {"when": format_instant(live)},
        advice=_("scan the system instead; --force takes the files as true now"),
    )


def _told_of(reader: Reader, systems: Mapping[str, datetime]) -> datetime | None:
    """When the first of `systems` that the files tell of was read live; None: they tell of none of them.

    Only where a scope of the files may tell of other systems than its own: a reader says which with `authorities`.
    """
    authorities = getattr(reader, "authorities", None)
    if authorities is None or not systems:
        return None
    try:
        return next((systems[name] for name in authorities() if name in systems), None)
    except (ConfigError, ConnectorError):
        return None  # the scan will say what is wrong with the files


def _read(
    ws: Workspace,
    reader: Reader,
    connection: Connection,
    actor: str,
    name: str | None = None,
    *,
    judge: bool = True,
) -> Outcome:
    """`name`: under which the scan is kept; None: that of the connection."""
    policy = evaluate.workspace_policy(ws)
    if judge:
        evaluate.workspace_rules(ws)  # a bad rule is told before the work, not after it

    def tell(progress: Progress) -> None:
        connection.progress(
            _("%(name)s: %(number)d of %(all)d, %(kind)s, %(items)d records")
            % {
                "name": connection.name,
                "number": progress.number,
                "all": progress.scopes,
                "kind": progress.scope.kind,
                "items": progress.items,
            }
        )

    with contextlib.ExitStack() as stack:
        close = getattr(reader, "close", None)
        if close:
            stack.callback(close)
        report = ingest.run_scan(
            ws.db,
            reader,
            connection_name=name or connection.name,
            actor=actor,
            progress=tell,
            policy=_scan_policy(policy),
        )
    if judge:
        connection.progress(_("judging"))
        unasked = evaluate.evaluate(ws, actor=actor, scan_seq=report.seq).problems
        return replace(_outcome(connection, report), unasked=unasked)
    return _outcome(connection, report)


def _scan_policy(policy: Policy) -> ScanPolicy:
    return ScanPolicy(drop_guard_percent=policy.drop_guard_percent, drop_guard_minimum=policy.drop_guard_minimum)


def _outcome(connection: Connection, report: ScanReport) -> Outcome:
    error: Error | None = report.error
    return Outcome(
        connection=connection.name,
        connector=connection.connector,
        resumed=report.resumed,
        # Processes share the unfinished scan of a connection: the reading of an area that another holds is there too.
        areas=len({one.scope.key for one in report.coverage} | {one.key for one in report.busy}),
        complete=sum(one.status is ScopeStatus.COMPLETE for one in report.coverage),
        items=sum(one.items for one in report.coverage),
        quarantined=sum(one.quarantined for one in report.coverage),
        api_calls=sum(one.api_calls for one in report.coverage),
        busy=len(report.busy),
        error=error.message if error else None,
        advice=error.advice if error else "",
    )


def accept(ws: Workspace, actor: str, scope_key: str, reason: str) -> None:
    """A person's word that a large drop in an area is real. Raises TransitionRefused where nothing waits."""
    ingest.accept_held(ws.db, scope_key, actor=actor, reason=reason)
