"""A Slack workspace export: lists of channels and people, and one JSON file for each channel and day.

Field names as of Slack's help pages on exports, 2026-11. Files that people sent are links in an export; they are not
fetched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from html import unescape
from typing import Any

from wardship.connectors.conversations.archive import Archive, unreadable, whole
from wardship.connectors.conversations.message import MAX_TEXT_CHARS, Message, Unread
from wardship.model.errors import NotVisible
from wardship.model.exposure import Place
from wardship.sdk.bounds import json_depth
from wardship.sdk.fields import clean
from wardship.sdk.i18n import _

LISTS = ("channels.json", "groups.json", "dms.json", "mpims.json")
_DIRECT = ("dms.json", "mpims.json")
_MAX_DEPTH = 64
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\.json")
_STAMP = re.compile(r"(\d{9,11})\.(\d{1,6})")
_LINK = re.compile(r"<([^<>|\s]{1,3000})(?:\|([^<>]{0,3000}))?>")
_TEAM = re.compile(r"[TE][A-Z0-9]{6,14}")
_EMAIL = re.compile(r"[^\s@<>,;]{1,64}@[^\s@<>,;]{1,253}")


def top_of(names: Sequence[str]) -> str | None:
    """The folder inside the archive in which an export begins ("" or "acme/"); None: it is none."""
    for name in names:
        folder, _sep, last = name.rpartition("/")
        prefix = f"{folder}/" if folder else ""
        if last in LISTS and f"{prefix}users.json" in names:
            return prefix
    return None


class SlackExport:
    kind = "slack_workspace"
    area = "slack.messages"
    place = Place.CHAT

    def __init__(self, archive: Archive, site: str | None) -> None:
        self._archive = archive
        names = archive.names()
        self._top = top_of(names) or ""
        self._people: dict[str, str | None] = {}
        team = None
        for person in _objects(self._json("users.json")):
            ident, profile = person.get("id"), person.get("profile")
            team = team or _matching(person.get("team_id"), _TEAM)
            if isinstance(ident, str):
                self._people[ident] = _matching(profile.get("email"), _EMAIL) if isinstance(profile, dict) else None
        self.name: str | None = clean(site or archive.path.stem) or None
        self.authority = f"slack:{site or team or self.name}"
        self._channels = self._folders(names)

    def _folders(self, names: Sequence[str]) -> dict[str, tuple[str, list[str]]]:
        """Folder -> the channel as people call it, and its days."""
        called: dict[str, str] = {}
        for listed in LISTS:
            if self._top + listed not in names:
                continue
            for channel in _objects(self._json(listed)):
                ident, name = channel.get("id"), channel.get("name")
                if listed in _DIRECT:
                    if isinstance(ident, str):
                        called[ident] = "direct message " + ident
                    if isinstance(name, str):
                        called[name] = "group message " + name
                elif isinstance(name, str):
                    called[name] = "#" + name
        days: dict[str, tuple[str, list[str]]] = {}
        for name in names:
            if not name.startswith(self._top):
                continue
            folder, _sep, day = name[len(self._top) :].rpartition("/")
            if folder and "/" not in folder and _DAY.fullmatch(day):
                days.setdefault(folder, (clean(called.get(folder, "#" + folder))[:300], []))[1].append(day)
        return dict(sorted(days.items()))

    def parts(self) -> Sequence[str]:
        return list(self._channels)

    def refused(self) -> Sequence[tuple[str, str]]:
        return self._archive.refused()

    def stamp(self) -> str:
        return self._archive.stamp()

    def messages(self, part: str) -> Iterator[Message | Unread]:
        """One channel, day after day: the replies of a thread may stand in later days than its first message."""
        channel, days = self._channels[part]
        for day in days:
            name = f"{part}/{day}"
            try:
                found = self._json(name)
            except NotVisible as refused:
                yield Unread(name, refused.message)
                continue
            if not isinstance(found, list):
                yield Unread(name, "no list of messages")
                continue
            for number, entry in enumerate(found, start=1):
                if isinstance(entry, dict):
                    yield from self._message(channel, day.removesuffix(".json"), entry, f"{name} message {number}")
                else:
                    yield Unread(f"{name} message {number}", "no object")

    def _message(self, channel: str, day: str, entry: Mapping[str, Any], where: str) -> Iterator[Message | Unread]:
        ident, at = _stamped(entry.get("ts"))
        if ident is None:
            yield Unread(where, "no time stamp")
            return
        thread, begun = _stamped(entry.get("thread_ts"))
        if thread is not None and begun is not None:
            location = f"{channel} {begun.date().isoformat()} thread {thread}"
        else:
            location = f"{channel} {day} message {ident}"
        author = entry.get("user") if isinstance(entry.get("user"), str) else None
        common: dict[str, Any] = {
            "location": location,
            "author": self._people.get(author or "") or _profile_email(entry),
            "author_id": clean(author)[:100] if author else None,
            "public": False,  # members of the workspace at the most
        }
        text = _text(entry)
        if len(text) > MAX_TEXT_CHARS:
            yield Unread(where, "a message that is too long")
        elif text:
            yield Message(id=ident, at=at, text=text, **common)
        for before in (entry.get("original"), entry.get("previous_message")):  # exports with edits and deletions
            if isinstance(before, dict) and (old := _text(before)) and len(old) <= MAX_TEXT_CHARS:
                edited = entry.get("edited")
                gone = _stamped(edited.get("ts"))[1] if isinstance(edited, dict) else None
                written = _stamped(before.get("ts"))[1]
                deleted = entry.get("subtype") in ("message_deleted", "tombstone")
                yield Message(
                    id=ident,
                    at=written or at,
                    text=old,
                    newest=False,
                    gone_at=gone or (at if deleted else None),
                    **common,
                )

    def _json(self, name: str) -> Any:
        """Raises NotVisible for what is not JSON."""
        data = whole(self._archive, self._top + name)
        if json_depth(data, _MAX_DEPTH) > _MAX_DEPTH:
            raise unreadable(name, _("nested too deeply"))
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise unreadable(name, _("not JSON")) from None


def _text(entry: Mapping[str, Any]) -> str:
    """What people wrote and what was unfurled under it, as they see it; blocks only where there is no text."""
    parts = [_plain(entry.get("text"))]
    if not parts[0]:
        parts.extend(map(_plain, _texts_in(entry.get("blocks"))))
    for attachment in _objects(entry.get("attachments")):
        parts.extend(_plain(attachment.get(name)) for name in ("pretext", "title", "text", "fallback"))
        fields = _objects(attachment.get("fields"))
        parts.extend(f"{_plain(field.get('title'))}: {_plain(field.get('value'))}" for field in fields)
    for file in _objects(entry.get("files")):
        parts.extend(_plain(file.get(name)) for name in ("title", "preview", "plain_text"))
        comment = file.get("initial_comment")
        parts.append(_plain(comment.get("comment")) if isinstance(comment, dict) else "")
    return "\n".join(dict.fromkeys(part for part in parts if part))


def _plain(value: Any) -> str:
    """Slack writes &, < and > escaped, and links as <address|label>."""
    if not isinstance(value, str):
        return ""
    return unescape(_LINK.sub(_link, value))


def _link(found: re.Match[str]) -> str:
    """The address, and the label where it says something else."""
    address, label = found[1], found[2]
    return address if not label or label in address else f"{label} {address}"


def _texts_in(blocks: Any) -> Iterator[str]:
    todo = [blocks]
    while todo:
        one = todo.pop()
        if isinstance(one, list):
            todo.extend(reversed(one))
        elif isinstance(one, dict):
            text = one.get("text")
            if isinstance(text, str):
                yield text
            todo.extend(value for value in reversed(list(one.values())) if isinstance(value, dict | list))


def _stamped(value: Any) -> tuple[str | None, datetime | None]:
    """Slack's id of a message is its instant: seconds and a counter."""
    found = _STAMP.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None, None
    try:
        return found[0], datetime.fromtimestamp(int(found[1]), UTC)
    except (OverflowError, OSError, ValueError):
        return None, None


def _profile_email(entry: Mapping[str, Any]) -> str | None:
    profile = entry.get("user_profile")
    return _matching(profile.get("email"), _EMAIL) if isinstance(profile, dict) else None


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    return (one for one in value if isinstance(one, dict)) if isinstance(value, list) else iter(())


def _matching(value: Any, form: re.Pattern[str]) -> str | None:
    return value if isinstance(value, str) and form.fullmatch(value) else None
