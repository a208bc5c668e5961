"""Objects as GitHub's API writes them, with the many addresses that it adds to each."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from wardship.sim.tables import Row

API = "https://api.github.com"

_USER_URLS = "events followers following gists organizations received_events repos starred subscriptions".split()
_REPOSITORY_URLS = (
    "archive assignees blobs branches collaborators comments commits compare contents contributors deployments "
    "downloads events forks git_commits git_refs git_tags hooks issue_comment issue_events issues keys labels "
    "languages merges milestones notifications pulls releases stargazers statuses subscribers subscription tags teams "
    "trees"
).split()


def z(at: datetime | None) -> str | None:
    """An instant as GitHub writes it."""
    return None if at is None else at.strftime("%Y-%m-%dT%H:%M:%SZ")


def user(login: str, number: int, *, kind: str = "User", **more: Any) -> Row:
    url = f"{API}/users/{login}"
    return {
        "login": login,
        "id": number,
        "node_id": f"U_{number}",
        "gravatar_id": "",
        "url": url,
        "html_url": f"https://github.com/{login}",
        "avatar_url": f"https://avatars.example/u/{number}",
        "type": kind,
        "site_admin": False,
        **{f"{name}_url": f"{url}/{name}" for name in _USER_URLS},
        **more,
    }


def repository(full_name: str, number: int, owner: Row, *, private: bool, **more: Any) -> Row:
    """A repository without what only its own page tells ("minimal repository")."""
    url = f"{API}/repos/{full_name}"
    return {
        "id": number,
        "node_id": f"R_{number}",
        "name": full_name.partition("/")[2],
        "full_name": full_name,
        "owner": owner,
        "private": private,
        "html_url": f"https://github.com/{full_name}",
        "description": None,
        "fork": False,
        "url": url,
        **{f"{name}_url": f"{url}/{name}" for name in _REPOSITORY_URLS},
        **more,
    }


def simple_repository(row: Row) -> Row:
    """The same as it stands inside an alert: with fewer addresses."""
    urls = {f"{name}_url" for name in _REPOSITORY_URLS}
    plain = ("id", "node_id", "name", "full_name", "owner", "private", "html_url", "description", "fork", "url")
    return {name: value for name, value in row.items() if name in plain or name in urls}


def app(slug: str, number: int, owner: Row, *, name: str, site: str, permissions: Mapping[str, str], at: str) -> Row:
    return {
        "id": number,
        "slug": slug,
        "node_id": f"A_{number}",
        "owner": owner,
        "name": name,
        "description": None,
        "external_url": site,
        "html_url": f"https://github.com/apps/{slug}",
        "created_at": at,
        "updated_at": at,
        "permissions": dict(permissions),
        "events": [],
    }


def webhook(number: int, base: str, config: Row, *, kind: str, active: bool, events: list[str], at: str) -> Row:
    url = f"{API}{base}/{number}"
    row = {
        "id": number,
        "type": kind,
        "name": "web",
        "url": url,
        "ping_url": f"{url}/pings",
        "deliveries_url": f"{url}/deliveries",
        "active": active,
        "events": events,
        "config": config,
        "created_at": at,
        "updated_at": at,
    }
    if kind == "Repository":
        row |= {"test_url": f"{url}/test", "last_response": {"code": None, "status": "unused", "message": None}}
    return row


def content(path: str, full_name: str, text: str, *, whole: bool) -> Row:
    """A file as the contents API shows it: in a listing, or by itself with its content."""
    raw = text.encode()
    sha = hashlib.sha1(raw, usedforsecurity=False).hexdigest()
    url = f"{API}/repos/{full_name}/contents/{path}"
    row: Row = {
        "type": "file",
        "name": path.rpartition("/")[2],
        "path": path,
        "sha": sha,
        "size": len(raw),
        "url": url,
        "git_url": f"{API}/repos/{full_name}/git/blobs/{sha}",
        "html_url": f"https://github.com/{full_name}/blob/main/{path}",
        "download_url": None,
        "_links": {"self": url, "git": url, "html": url},
    }
    if whole:
        row |= {"encoding": "base64", "content": base64.encodebytes(raw).decode()}
    return row


def public_key(seed: str) -> str:
    """A line of an Ed25519 public key that is a function of `seed`. Nobody has its private half."""
    name = b"ssh-ed25519"
    body = hashlib.sha256(seed.encode()).digest()
    blob = len(name).to_bytes(4, "big") + name + len(body).to_bytes(4, "big") + body
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}"
