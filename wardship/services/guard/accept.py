"""What people do with the baseline of a repository: accept a secret for a time, list, prune."""

from __future__ import annotations

import getpass
from datetime import date
from pathlib import Path

from wardship.model.errors import ConfigError
from wardship.sdk.i18n import N_, _
from wardship.secrets.engine import Engine
from wardship.services.formats import Column, Row
from wardship.services.guard import baseline, change
from wardship.services.guard.baseline import Baseline, Entry
from wardship.services.guard.check import MAX_BYTES, MIN_CONFIDENCE, Finding, check
from wardship.services.guard.git import Blobs, Repository

COLUMNS = (
    Column(name="path", label=N_("Path")),
    Column(name="detector", label=N_("Detector")),
    Column(name="state", label=N_("State")),
    Column(name="expires", label=N_("Ends"), type="date"),
    Column(name="days_left", label=N_("Days left"), type="integer"),
    Column(name="reason", label=N_("Reason")),
    Column(name="added_by", label=N_("Accepted by")),
    Column(name="added_on", label=N_("Accepted on"), type="date"),
    Column(name="fingerprint", label=N_("Fingerprint"), screen=False),
)


def add(
    repository: Repository, engine: Engine, place: str, *, reason: str, expires: date, by: str | None, today: date
) -> list[Entry]:
    """Accepts the secrets at `place` ("PATH:LINE" or "PATH") of the working tree until `expires`; returns the entries.

    Raises ConfigError where nothing is found there, the reason says nothing or holds a secret itself, the place is
    outside the repository, or the end is out of bounds.
    """
    baseline.check_end(expires, today)
    if len(reason.split()) < 2:
        raise ConfigError(
            _("the reason says nothing: %(reason)s") % {"reason": repr(reason[:40])},
            advice=_("say why it may stay, so that somebody else can judge it in a year"),
        )
    if engine.scan(f"{reason}\n{by or ''}".encode()):
        raise ConfigError(
            _("the reason holds what looks like a secret itself"),
            advice=_("say why it may stay without the value: the baseline is committed and read by many"),
        )
    path, line = _place(place)
    if repository.top is None or not _is_inside(path, repository.top):
        raise ConfigError(
            _("%(path)s is outside the repository") % {"path": path},
            advice=_("name a file of the repository; each has a baseline of its own"),
        )
    found = [one for one in _look(repository, engine, path) if line is None or one.line == line]
    if not found:
        raise ConfigError(
            _("no secret is found in %(place)s") % {"place": place},
            advice=_("take the place as `wardship hook run` tells it"),
        )
    who = by or repository.run("config", "user.email", missing_ok=True).decode(errors="replace").strip()
    entries = [
        Entry(
            detector=one.detector,
            path=one.shown_path,
            fingerprint=one.fingerprint,
            reason=reason.strip(),
            expires=expires,
            added_by=who or getpass.getuser(),
            added_on=today,
        )
        for one in found
    ]
    file = _file(repository)
    baseline.save(file, baseline.added(baseline.load(file), entries))
    return entries


def rows(repository: Repository, today: date) -> list[Row]:
    """The entries, the first to end first."""
    entries = sorted(baseline.load(_file(repository)).entries, key=lambda one: (one.expires, one.path))
    return [
        {
            "path": one.path,
            "detector": one.detector,
            "state": _state(one, today),
            "expires": one.expires,
            "days_left": (one.expires - today).days,
            "reason": one.reason,
            "added_by": one.added_by,
            "added_on": one.added_on,
            "fingerprint": one.fingerprint,
        }
        for one in entries
    ]


def prune(repository: Repository, engine: Engine, *, today: date, dry_run: bool = False) -> list[tuple[Entry, str]]:
    """Removes the entries that have ended and those whose secret is no longer in the working tree; says why each."""
    file = _file(repository)
    entries = baseline.load(file).entries
    top = repository.top or Path()
    here: set[str] = set()
    for path in {one.path for one in entries}:
        if (top / path).is_file() and _is_inside(top / path, top):
            here |= {one.fingerprint for one in _look(repository, engine, top / path)}
    removed = []
    for one in entries:
        if not one.holds(today):
            removed.append((one, _("ended on %(date)s") % {"date": one.expires}))
        elif one.fingerprint not in here:
            removed.append((one, _("its secret is not there any more")))
    if removed and not dry_run:
        gone = {one.fingerprint for one, _why in removed}
        baseline.save(file, [one for one in entries if one.fingerprint not in gone])
    return removed


def _state(entry: Entry, today: date) -> str:
    if not entry.holds(today):
        return _("ended: it blocks")
    return _("ends soon") if (entry.expires - today).days <= baseline.WARN_DAYS else _("accepted")


def _is_inside(path: Path, top: Path) -> bool:
    return path.resolve().is_relative_to(top.resolve())


def _look(repository: Repository, engine: Engine, path: Path) -> list[Finding]:
    """Every secret of one file of the working tree."""
    if not path.is_file():
        raise ConfigError(_("%(path)s is not a file") % {"path": path}, advice=_("name it as PATH or PATH:LINE"))
    with Blobs(repository, max_bytes=MAX_BYTES) as blobs:
        return check(
            change.files([path], repository.top),
            blobs,
            engine,
            baseline=Baseline(),
            today=date.max,  # comments do not count here: whoever asks for an entry gets one
            strict=True,
            min_confidence=MIN_CONFIDENCE,
        ).findings


def _place(text: str) -> tuple[Path, int | None]:
    """PATH:LINE or PATH:LINE:COLUMN, as a check tells it; a file whose name ends so is taken as the file."""
    if not Path(text).exists():
        parts = text.split(":")
        for keep in (len(parts) - 1, len(parts) - 2):
            if keep > 0 and all(part.isdigit() for part in parts[keep:]):
                path = Path(":".join(parts[:keep]))
                if path.exists():
                    return path, int(parts[keep])
    return Path(text), None


def _file(repository: Repository) -> Path:
    return (repository.top or Path()) / baseline.FILE
