"""The connector: every message is scanned, and one secret in one place becomes one item, never its value.

A page token is the part of the export that comes next, how many of its items were given, and a stamp of the files:
an export that changed meanwhile is read anew.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from wardship.connectors.conversations import jira
from wardship.connectors.conversations.archive import open_archive
from wardship.connectors.conversations.confluence import ConfluenceHTML, ConfluenceXML, entities_of, is_html
from wardship.connectors.conversations.jira import JiraExport
from wardship.connectors.conversations.manifest import MANIFEST
from wardship.connectors.conversations.message import Export, Message, Unread
from wardship.connectors.conversations.slack import SlackExport, top_of
from wardship.model.errors import ConfigError, ConnectorError, DataError, UnexpectedResponse
from wardship.model.exposure import Exposure, Place
from wardship.model.identity import System
from wardship.model.scan import Problem, RawPage, Scope
from wardship.model.secret import Secret
from wardship.sdk.connector import CallStats, Capability, CheckResult, Connection, DriftLog, Record, SetupGuide
from wardship.sdk.environment import environment_of
from wardship.sdk.fields import Fields
from wardship.sdk.i18n import N_, _
from wardship.secrets import Engine, Hit, load_engine
from wardship.secrets.finding import Found

PAGE_ITEMS = 500
MIN_FINGERPRINT = 4  # characters, as elsewhere: a shorter value says nothing about where else it is used
SCANNED_AS = "message.txt"  # people's words: neither code nor a file that holds credentials


@dataclass(slots=True)
class _Seen:
    """One secret in one place so far."""

    first: Message
    last: Message
    hit: Hit
    fingerprint: str | None
    messages: int = 1
    newest: bool | None = None
    gone_at: datetime | None = None


class ConversationReader:
    """Reads the exports of one connection. The same for a scan and for an import."""

    manifest = MANIFEST

    def __init__(self, open_exports: Callable[[], Sequence[Export]], connection: Connection) -> None:
        self.stats = CallStats()
        self.drift = DriftLog()
        self._open_exports, self._connection = open_exports, connection
        self._whole = connection.flag("whole", default=False)

    @cached_property
    def exports(self) -> Mapping[Scope, Sequence[Export]]:
        """Raises NotVisible for what cannot be read, ConfigError for what is no export that is known."""
        found: dict[Scope, list[Export]] = {}
        for export in self._open_exports():
            scope = Scope(connector=MANIFEST.name, authority=export.authority, kind=export.area)
            found.setdefault(scope, []).append(export)
        return found

    @cached_property
    def _engine(self) -> Engine:
        return load_engine()

    def scopes(self) -> Iterable[Scope]:
        return list(self.exports)

    def fetch(self, scope: Scope, token: str | None) -> Iterator[RawPage]:
        """Raises NotVisible for an export that cannot be read as a whole."""
        exports = self._exports_of(scope)
        stamp = "-".join(export.stamp() for export in exports)
        begin, skip = _position(token, stamp)
        parts = [(export, part) for export in exports for part in export.parts()]
        if token is None:
            head: list[dict[str, Any]] = [{"is": "system", "kind": exports[0].kind, "name": exports[0].name}]
            head += [_unread(name, why) for export in exports for name, why in export.refused()]
            yield RawPage(items=head, next_token=f"0:0:{stamp}")
        for number in range(begin, len(parts)):
            export, part = parts[number]
            self.stats.api_calls += 1
            self._connection.progress(_("reading %(part)s") % {"part": part})
            items = itertools.islice(self._items(export, part), skip, None)
            given, skip = skip, 0
            while page := list(itertools.islice(items, PAGE_ITEMS)):
                given += len(page)
                yield RawPage(items=page, next_token=f"{number}:{given}:{stamp}")
        yield RawPage(items=[], problems=() if self._whole else (_not_whole(),))

    def parse(self, scope: Scope, item: Any) -> Iterable[Record]:
        """Raises DataError; no message of it quotes what people wrote."""
        if not isinstance(item, dict):
            raise DataError("an item that is no object")
        fields = Fields(item, "item", self.drift)
        match item.get("is"):
            case "system":
                kind = fields.text("kind")
                if kind is None or kind not in MANIFEST.systems:
                    raise DataError("a system of no known kind")
                return [System(authority=scope.authority, kind=kind, name=fields.text("name"))]
            case "exposure":
                return [_exposure(scope.authority, fields)]
            case "unread":
                raise DataError(f"{fields.text('where')}: {fields.text('reason')}")
        raise DataError("an item of no known kind")

    def confirm(self, scope: Scope, family: str, native_id: str) -> bool | None:
        """An export has nothing to add to what was read of it."""
        del scope, family, native_id
        return None

    def check(self) -> Sequence[CheckResult]:
        """One line for each export: whether it opens, and how many parts it has."""
        try:
            results = [
                _result(
                    allowed=True,
                    detail=_("%(place)s: %(n)d parts") % {"place": export.authority, "n": len(export.parts())},
                )
                for exports in self.exports.values()
                for export in exports
            ]
        except (ConnectorError, ConfigError) as refused:
            return [_result(allowed=False, detail=refused.message)]
        return results or [_result(allowed=False, detail=_("no path to read"))]

    def setup(self, capability: Capability) -> SetupGuide:
        """How an export is made; there is nothing to grant but the right to read it."""
        if capability is not Capability.DISCOVER:
            raise ConfigError(_("nothing has to be granted for %(capability)r") % {"capability": capability.value})
        return SetupGuide(
            capability=capability,
            terraform="# read the export: it is a file beside Wardship; there is nothing to deploy\n",
            cli="chmod 600 slack-export.zip   # it holds what people wrote to each other\n"
            "wardship connect add conversations slack path=$PWD/slack-export.zip\n",
            portal=(
                N_("Slack: Workspace settings, Import/Export data, Export; Jira: the issue list, Export."),
                N_("Confluence: Space settings, Export space, XML; keep the file where only Wardship can read it."),
            ),
            remove="wardship connect remove slack\nrm slack-export.zip\n",
        )

    def find(self, exposure: Mapping[str, Any]) -> Secret | None:
        """The value at the place of an exposure, or None."""
        for scope, exports in self.exports.items():
            if scope.authority != exposure.get("authority"):
                continue
            for export in exports:
                for part in export.parts():
                    for message in export.messages(part):
                        if isinstance(message, Message) and message.location == exposure.get("location"):
                            for hit in self._hits(message):
                                told = self._fingerprint(hit.value)
                                if told is not None and told == exposure.get("fingerprint"):
                                    return hit.value
        return None

    # -------------------------------------------------------------- scanning

    def _items(self, export: Export, part: str) -> Iterator[dict[str, Any]]:
        """What is found in one part, in the order of first appearance; what cannot be read comes first."""
        seen: dict[tuple[str, str, str], _Seen] = {}
        for message in export.messages(part):
            if isinstance(message, Unread):
                yield _unread(message.where, message.reason)
                continue
            told: set[tuple[str, str, str]] = set()
            for hit in self._hits(message):
                print_ = self._fingerprint(hit.value)
                key = (message.location, hit.detector, print_ or f"{message.id} {hit.line}")
                if key not in told:
                    told.add(key)
                    _note(seen, key, message, hit, print_)
        for one in seen.values():
            yield _item(export, one)

    def _hits(self, message: Message) -> list[Hit]:
        return self._engine.scan(message.text.encode("utf-8", "replace"), path=SCANNED_AS)

    def _fingerprint(self, value: Secret) -> str | None:
        return self._connection.fingerprint(value) if len(value.reveal().strip()) >= MIN_FINGERPRINT else None

    def _exports_of(self, scope: Scope) -> Sequence[Export]:
        found = self.exports.get(scope)
        if not found:
            raise UnexpectedResponse(
                _("the files no longer tell of %(scope)s") % {"scope": scope.key}, operation="read"
            )
        return found


def connected(connection: Connection) -> ConversationReader:
    path = connection.settings.get("path")
    if not path:
        raise ConfigError(
            _("this connection has no path"), advice=_("set path to the export: a folder, a ZIP file or a file")
        )
    return ConversationReader(lambda: [_opened(Path(path), connection)], connection)


def imported(paths: Sequence[Path], connection: Connection) -> ConversationReader:
    try:
        exports = [_opened(path, connection) for path in paths]
    except ConnectorError as refused:
        raise ConfigError(refused.message, advice=refused.advice) from None
    return ConversationReader(lambda: exports, connection)


def read_value(connection: Connection, exposure: Mapping[str, Any]) -> Secret | None:
    return connected(connection).find(exposure)


def _opened(path: Path, connection: Connection) -> Export:
    site = (connection.settings.get("site") or "").strip().lower() or None
    if path.is_file() and (form := jira.form_of(path)):
        return JiraExport(path, form, site)
    archive = open_archive(path)
    if top_of(archive.names()) is not None:
        return SlackExport(archive, connection.settings.get("site"))
    if entities := entities_of(archive):
        return ConfluenceXML(archive, entities, site)
    if is_html(archive):
        return ConfluenceHTML(archive, site)
    raise ConfigError(
        _("%(path)s: no export of Slack, Jira or Confluence that is known") % {"path": path},
        advice=_("it reads: %(forms)s") % {"forms": "; ".join(_(form) for form in MANIFEST.imports)},
    )


def _position(token: str | None, stamp: str) -> tuple[int, int]:
    """The part to begin with and how many of its items were given. Raises UnexpectedResponse for another export's."""
    if token is None:
        return 0, 0
    number, _sep, rest = token.partition(":")
    given, _sep, then = rest.partition(":")
    if then != stamp or not number.isdecimal() or not given.isdecimal():
        raise UnexpectedResponse(_("the file changed while it was read"), system="conversations", operation="token")
    return int(number), int(given)


def _note(
    seen: dict[tuple[str, str, str], _Seen], key: tuple[str, str, str], message: Message, hit: Hit, print_: str | None
) -> None:
    one = seen.get(key)
    if one is None:
        seen[key] = _Seen(message, message, hit, print_, newest=message.newest, gone_at=message.gone_at)
        return
    one.messages += 1
    if message.at is not None and (one.first.at is None or message.at < one.first.at):
        one.first = message
    if one.newest is False:  # an older text had it: this one decides
        one.newest, one.gone_at = message.newest, message.gone_at
        one.last, one.hit = message, hit
    elif message.newest is not False:
        one.last, one.hit = message, hit
        one.newest = one.newest or message.newest


def _unread(where: str, reason: str) -> dict[str, Any]:
    return {"is": "unread", "where": where[:300], "reason": reason[:300]}


def _item(export: Export, one: _Seen) -> dict[str, Any]:
    hit = one.hit
    return {
        "is": "exposure",
        "location": one.last.location,
        "place": export.place.value,
        **hit.told(one.fingerprint),
        "revision": one.last.id,
        "occurrences": one.messages,
        "in_head": one.newest,
        "public": one.last.public,
        "introduced_by": one.first.author,
        "introduced_at": one.first.at.isoformat() if one.first.at else None,
        "removed_at": one.gone_at.isoformat() if one.gone_at and one.newest is False else None,
        "author_id": one.first.author_id,
        "written": one.first.written,
    }


def _exposure(authority: str, item: Fields) -> Exposure:
    location = item.text("location")
    if not location:
        raise DataError("an exposure without a location")
    try:
        place = Place(item.text("place") or "")
    except ValueError:
        raise DataError("an exposure with a place that is not known") from None
    written = {"author": item.text("author_id"), "written": item.text("written")}
    return Exposure(
        authority=authority,
        location=location,
        place=place,
        **Found.of(item).columns(),
        revision=item.text("revision"),
        occurrences=max(item.integer("occurrences") or 1, 1),
        in_head=item.flag("in_head"),
        public=item.flag("public"),
        environment=environment_of(location.partition(" ")[0]),
        introduced_by=item.text("introduced_by"),
        introduced_at=item.instant("introduced_at"),
        removed_at=item.instant("removed_at"),
        attributes={name: value for name, value in written.items() if value},
    )


def _not_whole() -> Problem:
    return Problem(
        reason="not_whole",
        detail=_("an export may leave out channels, issues or pages: what it does not hold stays as it was"),
    )


def _result(*, allowed: bool, detail: str) -> CheckResult:
    return CheckResult(permission="read the export", capability=Capability.DISCOVER, allowed=allowed, detail=detail)
