"""Audit logs from files: importing them, trying them, what there is of each log, replay and compaction."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from wardship.ingest.telemetry import compaction, importer
from wardship.ingest.telemetry import replay as replaying
from wardship.ingest.telemetry.compaction import Compacted
from wardship.ingest.telemetry.importer import AUTO, Advance, Imported, Tried, Watch
from wardship.ingest.telemetry.replay import Replayed
from wardship.model.errors import ConfigError
from wardship.sdk import registry
from wardship.sdk.i18n import N_, _
from wardship.sdk.source import LiveSource, Source, parts_of
from wardship.sdk.told import told
from wardship.services.formats import Column, Row
from wardship.store import telemetry
from wardship.store.db import Database
from wardship.store.telemetry import Window
from wardship.store.workspace import Workspace

__all__ = ["Advance", "Imported", "Tried"]

STATUS_COLUMNS = (
    Column(name="source", label=N_("Log")),
    Column(name="events", label=N_("Events"), type="integer"),
    Column(name="days", label=N_("Days"), type="integer"),
    Column(name="first_at", label=N_("First event"), type="instant"),
    Column(name="last_at", label=N_("Newest event"), type="instant"),
    Column(name="inputs", label=N_("Read"), type="integer"),
    Column(name="broken", label=N_("Broken"), type="integer"),
    Column(name="duplicates", label=N_("Known already"), type="integer"),
    Column(name="quarantined", label=N_("Unreadable"), type="integer"),
    Column(name="size_bytes", label=N_("Bytes"), type="integer"),
    Column(name="skipped", label=N_("No event"), type="integer", screen=False),
    Column(name="files", label=N_("Files"), type="integer", screen=False),
    Column(name="reading", label=N_("Being read"), type="integer", screen=False),
)
INPUT_COLUMNS = (
    Column(name="id", label=N_("No."), type="integer"),
    Column(name="source", label=N_("Log")),
    Column(name="name", label=N_("What was read"), tail=True),
    Column(name="state", label=N_("State")),
    Column(name="events", label=N_("Events"), type="integer"),
    Column(name="duplicates", label=N_("Known already"), type="integer"),
    Column(name="quarantined", label=N_("Unreadable"), type="integer"),
    Column(name="problem", label=N_("Why")),
    Column(name="skipped", label=N_("No event"), type="integer", screen=False),
    Column(name="records", label=N_("Records"), type="integer", screen=False),
    Column(name="first_at", label=N_("First event"), type="instant", screen=False),
    Column(name="last_at", label=N_("Newest event"), type="instant", screen=False),
    Column(name="started_at", label=N_("Begun"), type="instant", screen=False),
    Column(name="finished_at", label=N_("Ended"), type="instant", screen=False),
)
SOURCE_COLUMNS = (
    Column(name="name", label=N_("Name")),
    Column(name="title", label=N_("Log")),
    Column(name="live", label=N_("Live"), type="boolean"),
    Column(name="forms", label=N_("Files that it takes")),
)


def load(
    ws: Workspace,
    paths: Sequence[Path],
    source: str | Source = AUTO,
    *,
    actor: str,
    stdin: BinaryIO | None = None,
    watch: Watch | None = None,
    windows: Sequence[Window] = (),
) -> Imported:
    """Imports files and folders. `windows`: what whoever imports says to be complete by them; they count once all
    files were read to their end and held an event.

    Raises ConfigError for what is not there, Unavailable when there is no room.
    """
    done = importer.import_paths(ws, paths, source, actor=actor, stdin=stdin, watch=watch)
    if done.whole:
        for window in windows:
            importer.declare(ws, window, actor=actor)
    return done


def attempt(
    paths: Sequence[Path], source: str | Source = AUTO, *, stdin: BinaryIO | None = None, watch: Watch | None = None
) -> Tried:
    """What an import would find. Needs no workspace and keeps nothing."""
    with tempfile.TemporaryDirectory(prefix="wardship-") as folder:
        return importer.try_paths(paths, source, folder=Path(folder), stdin=stdin, watch=watch)


def source_of(
    name: str, *, authority: str | None = None, as_of: datetime | None = None, time_zone: str | None = None
) -> str | Source:
    """The source of that name or mapping file, with what only the importer knows (`wardship.sdk.told`); AUTO as it is.

    Raises ConfigError for what cannot be said of files that are recognised by themselves.
    """
    if name == AUTO:
        if (authority, as_of, time_zone) != (None, None, None):
            raise ConfigError(
                _("what is said of a log needs the log's name"),
                advice=_("name the source instead of auto, see `wardship telemetry sources`"),
            )
        return AUTO
    try:
        zone = ZoneInfo(time_zone) if time_zone is not None else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(_("no time zone of that name"), advice=_('for example "Europe/Madrid"')) from None
    return told(registry.source(name), authority=authority, as_of=as_of, zone=zone)


def windows_of(
    source: str,
    authority: str | None,
    complete_from: datetime | None,
    complete_to: datetime | None,
    *,
    parts: Sequence[str] = (),
    actor: str,
) -> Sequence[Window]:
    """What the words of an import say to be complete: these parts of the log, or all that it holds. Empty: they say
    nothing. Raises ConfigError for half a word, and for a part that the log does not have."""
    if complete_from is None and complete_to is None and not parts:
        return ()
    if authority is None or complete_from is None or complete_to is None or source == AUTO:
        raise ConfigError(
            _("what is complete is not said in full"),
            advice=_("name the source, and give --authority, --complete-from and --complete-to together"),
        )
    if ":" not in authority or complete_to <= complete_from:
        raise ConfigError(
            _("that is no span of time of a system"),
            advice=_("for example: --authority aws:123456789012 --complete-from 2026-10-01 --complete-to 2026-11-01"),
        )
    manifest = registry.source(source).MANIFEST
    known = [one.name for one in parts_of(manifest) if one.name]
    for part in parts:
        if part not in known:
            raise ConfigError(
                _("%(source)s has no part %(part)r") % {"source": manifest.name, "part": part[:64]},
                advice=_("its parts: %(parts)s") % {"parts": ", ".join(known) or "-"},
            )
    return [
        Window(
            source=manifest.name,
            authority=authority,
            stream=part,
            start_at=complete_from,
            end_at=complete_to,
            said_by=actor,
        )
        for part in dict.fromkeys(parts or ("",))
    ]


def declare(ws: Workspace, windows: Sequence[Window], *, actor: str) -> None:
    """Records somebody's word on a log that was read before, live or from files.

    Raises ConfigError, and records nothing, where no event of the log lies in the time: silence proves nothing then.
    """
    for one in windows:
        if not telemetry.live_files(ws.db, sources=[one.source], since=one.start_at, until=one.end_at):
            raise ConfigError(
                _("nothing of %(source)s was read for that time") % {"source": one.source},
                advice=_("read it first, with `wardship telemetry import` or `wardship telemetry sync`"),
            )
    for one in windows:
        importer.declare(ws, one, actor=actor)


def withdraw(ws: Workspace, source: str, authority: str, parts: Sequence[str], *, actor: str) -> int:
    """Takes back what people declared of these parts of a log, of the whole log where none is named. Returns how many
    words there were. Raises ConfigError for a log that is not known, and where nobody declared anything of it."""
    name = registry.source(source).MANIFEST.name
    with ws.db.write(actor) as write:
        done = telemetry.withdraw(write, name, authority, parts or [""])
        if not done:
            raise ConfigError(
                _("nothing was declared of %(source)s of %(authority)s")
                % {"source": name, "authority": authority[:100]},
                advice=_("write --authority and each --part as they were declared; `wardship audit log` shows them"),
            )
        said = {"authority": authority, "parts": list(parts), "words": done}
        write.audit("telemetry.withdrawn", f"telemetry:{name}", said)
    return done


def replay(ws: Workspace, *, actor: str, input_id: int | None = None, source: str | None = None) -> Replayed:
    """Tries the unreadable records again, those of one input or all; as what they were taken for, or as `source`.

    Raises ConfigError for an input that there is not.
    """
    if input_id is not None and all(one.id != input_id for one in telemetry.inputs(ws.db)):
        raise ConfigError(
            _("nothing that was read has the number %(n)d") % {"n": input_id},
            advice=_("see the numbers with `wardship telemetry status --files`"),
        )
    chosen = registry.source(source) if source is not None else None
    return replaying.replay(ws, actor=actor, input=input_id, source=chosen)


def leaving(ws: Workspace) -> int:
    """Events that retention takes out the next time, because they are older than the settings keep."""
    return sum(one.rows for one in telemetry.live_files(ws.db) if one.day < compaction.oldest_day(ws))


def compact(ws: Workspace, *, actor: str, check: Callable[[], None] = lambda: None) -> tuple[Compacted, int, int]:
    """Makes one sorted file of each day's files, takes out what is older than the settings keep, and sweeps. `check`
    is called between days and may raise.

    Returns what was compacted, how many events were too old, and how many files were deleted.
    """
    retired = compaction.retain(ws, actor=actor)
    done = compaction.compact(ws, check=check)
    return done, retired, len(telemetry.sweep(ws.db, ws.activity))


def status_rows(db: Database) -> Iterator[Row]:
    """What there is of each log."""
    counted: dict[str, dict[str, Any]] = defaultdict(
        lambda: dict.fromkeys(("inputs", "broken", "reading", "duplicates", "skipped", "quarantined"), 0)
    )
    for one in telemetry.inputs(db):
        row = counted[one.source]
        row["inputs"] += 1
        row["broken"] += one.state == "broken"
        row["reading"] += one.state == "reading"
        row["duplicates"] += one.duplicates
        row["skipped"] += one.skipped
        row["quarantined"] += one.quarantined - one.replayed
    files = defaultdict(list)
    for file in telemetry.live_files(db):
        files[file.source].append(file)
    for source in sorted({*counted, *files}):
        live = files[source]
        yield {
            "source": source,
            **counted[source],
            "events": sum(file.rows for file in live),
            "days": len({file.day for file in live}),
            "first_at": min((file.first_at for file in live), default=None),
            "last_at": max((file.last_at for file in live), default=None),
            "files": len(live),
            "size_bytes": sum(file.size_bytes for file in live),
        }


def input_rows(db: Database, *, source: str | None = None) -> Iterator[Row]:
    """Everything that was read, file by file."""
    for one in telemetry.inputs(db, source=source):
        yield {
            "records": one.position,
            **{name: getattr(one, name) for name in type(one).__dataclass_fields__},
            "quarantined": one.quarantined - one.replayed,
        }


def source_rows() -> Iterator[Row]:
    """The logs that can be read."""
    for name in registry.source_names():
        source = registry.source(name)
        yield {
            "name": name,
            "title": _(source.MANIFEST.title),
            "live": isinstance(source, LiveSource),
            "forms": "; ".join(_(form) for form in source.MANIFEST.forms),
        }


def instant(text: str) -> datetime:
    """A date or an instant that a person wrote; without a zone it is UTC. Raises ConfigError."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(_("%(text)r is no date") % {"text": text[:64]}, advice=_("write 2026-11-01")) from None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
