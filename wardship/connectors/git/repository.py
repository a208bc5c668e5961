"""Which repositories a connection means, where each lives, and by which name it is known."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from wardship.model.errors import ConfigError, NotVisible
from wardship.sdk import netguard
from wardship.sdk.i18n import _

MAX_REPOSITORIES = 100_000
_SCP = re.compile(r"(?:(?P<user>[\w.-]+)@)?(?P<host>[A-Za-z0-9][\w.-]*):(?!//)(?P<path>[^:].*)")
_USERINFO = re.compile(r"(?<=https)(://)[^/@]*@")
_BUNDLE = b"# v"  # "# v2 git bundle", "# v3 git bundle"
_PORTS = {"https": 443, "ssh": 22}


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """One repository. `source` is what git is given: an address, or the path of a git folder or of a bundle."""

    source: str
    authority: str  # "git:github.com/acme/shop", "git:file/shop-1a2b3c4d"
    name: str
    scheme: str  # "https", "ssh" or "file"
    host: str = ""
    port: int = 0

    @property
    def key(self) -> str:
        """The name of its folder in the cache: two addresses never share one."""
        return hashlib.sha256(self.source.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def repositories(setting: str) -> list[Repository]:
    """What the setting `repositories` names, each authority once. Raises ConfigError."""
    found: dict[str, Repository] = {}
    for word in _words(setting):
        one = _remote(word) or _local(word)
        found.setdefault(one.authority, one)
        if len(found) > MAX_REPOSITORIES:
            raise ConfigError(_("more than %(n)d repositories") % {"n": MAX_REPOSITORIES})
    if not found:
        raise ConfigError(_("no repository is named"), advice=_("set repositories to folders or addresses"))
    return list(found.values())


def local(paths: Iterable[Path]) -> list[Repository]:
    """The repositories at `paths`, whatever signs are in their names; each authority once. Raises ConfigError."""
    return list({one.authority: one for one in map(_local, paths)}.values())


def guard(repository: Repository, *, allow_private: bool) -> list[str]:
    """The checked addresses of a remote repository's host; [] for a local one.

    https is then pinned to these; ssh resolves the name once more itself. Raises AddressRefused, NotVisible.
    """
    if repository.scheme == "file":
        return []
    try:
        return netguard.checked_addresses(repository.host, repository.port, allow_private=allow_private)
    except (OSError, UnicodeError):
        raise NotVisible(
            _("the host of %(name)s cannot be found") % {"name": repository.name}, system="git", operation="resolve"
        ) from None


def refuse_strange(repository: Repository) -> None:
    """Raises NotVisible for a local repository whose objects lie elsewhere: reading it would reach beyond its folder.

    Alternates borrow the objects of another repository; a partial clone fetches what it lacks with the programs that
    its own configuration names.
    """
    folder = Path(repository.source)
    if repository.scheme != "file" or not folder.is_dir():
        return
    borrowed = folder / "objects" / "info" / "alternates"
    if borrowed.is_file() and borrowed.stat().st_size:
        raise NotVisible(
            _("%(name)s borrows objects of another repository (alternates)") % {"name": repository.name},
            system="git",
            operation="open",
            advice=_("make it whole with `git repack -a -d` and remove objects/info/alternates"),
        )
    packs = folder / "objects" / "pack"
    if any(packs.glob("*.promisor")) or _partial(folder / "config"):
        raise NotVisible(
            _("%(name)s is a partial clone: not all of its objects are there") % {"name": repository.name},
            system="git",
            operation="open",
            advice=_("clone it without --filter, or give its address"),
        )


def is_shallow(repository: Repository) -> bool:
    """Whether a local repository lacks the older part of its history."""
    return repository.scheme == "file" and (Path(repository.source) / "shallow").is_file()


def _words(setting: str) -> list[str]:
    text = setting.strip() or "."
    if text.startswith("@"):
        try:
            text = Path(text[1:]).expanduser().read_text("utf-8")
        except (OSError, UnicodeError) as failed:
            raise ConfigError(
                _("the list of repositories cannot be read: %(what)s") % {"what": type(failed).__name__},
                advice=_("repositories=@FILE names a text file with one repository a line"),
            ) from None
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return [word.strip() for line in lines for word in line.split(",") if word.strip()]


def _remote(word: str) -> Repository | None:
    """The repository at an address; None: it is a path. Raises ConfigError for an address that is not read."""
    if "://" in word:
        return _address(word)
    scp = _SCP.fullmatch(word)
    if scp is None or Path(word).expanduser().exists():
        return None
    user = f"{scp['user']}@" if scp["user"] else ""
    return _address(f"ssh://{user}{scp['host']}/{scp['path'].lstrip('/')}", word)


def _address(url: str, source: str | None = None) -> Repository:
    bad = ConfigError(
        _("%(address)r is no address of a repository") % {"address": _shown(url)},
        advice=_("give https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH or a folder"),
    )
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise bad from None
    if any(char.isspace() or ord(char) < 0x20 for char in url):
        raise bad
    if parts.scheme == "file":
        return _local(unquote(parts.path))
    path = unquote(parts.path).strip("/").lower()
    path = path.removesuffix(".git")
    if parts.scheme not in _PORTS or not re.fullmatch(r"[a-z0-9][a-z0-9.-]*|[0-9a-f:.]+", host) or not path:
        raise bad
    if parts.password is not None or (parts.scheme == "https" and parts.username is not None):
        raise ConfigError(
            _("the address of %(host)s holds a user name or a password") % {"host": host},
            advice=_("take it out of the address and set token=env:NAME or token=file:/path"),
        )
    if parts.username is not None and not re.fullmatch(r"[A-Za-z0-9_][\w.-]*", parts.username):
        raise bad
    where = host if port is None else f"{host}:{port}"
    return Repository(
        source=source or url,
        authority=f"git:{where}/{path}",
        name=path,
        scheme=parts.scheme,
        host=host,
        port=port or _PORTS[parts.scheme],
    )


def _shown(url: str) -> str:
    """An address without what may be a password in it."""
    return re.sub(r"//[^/@]*@", "//***@", url)[:120]


# ------------------------------------------------------------------ local


def _local(word: str | Path) -> Repository:
    path = Path(word).expanduser().resolve()
    if path.is_file():
        return _bundle(path)
    around = (path, *path.parents) if path.is_dir() else ()
    folder = next((found for one in around if (found := _git_folder(one))), None)
    if folder is None:
        raise ConfigError(
            _("there is no git repository in %(path)s") % {"path": str(word)[:200]},
            advice=_("give a folder that `git clone` or `git init` made, a bundle, or an address"),
        )
    origin = _origin(folder / "config")
    try:
        known = _remote(_USERINFO.sub(r"\1", origin)) if origin else None
    except ConfigError:
        known = None  # an origin that we would not read ourselves names nothing
    if known is not None and known.scheme != "file":
        return Repository(source=str(folder), authority=known.authority, name=known.name, scheme="file")
    top = folder.parent if folder.name == ".git" else folder
    return Repository(source=str(folder), authority=_file_authority(top), name=top.name, scheme="file")


def _bundle(path: Path) -> Repository:
    with path.open("rb") as stream:
        if not stream.read(len(_BUNDLE)) == _BUNDLE:
            raise ConfigError(
                _("%(path)s is no git bundle") % {"path": path},
                advice=_("make one with `git bundle create FILE --all`"),
            )
    return Repository(source=str(path), authority=_file_authority(path), name=path.name, scheme="file")


def _file_authority(path: Path) -> str:
    name = re.sub(r"[^a-z0-9._-]+", "-", path.name.lower().removesuffix(".git")) or "repository"
    return f"git:file/{name}-{hashlib.sha256(str(path).encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def _git_folder(path: Path) -> Path | None:
    """The folder with the objects of a repository that stands at `path` itself."""
    inside = path / ".git"
    if inside.is_file():  # a working tree or submodule of a repository that lies elsewhere
        first = inside.read_bytes()[:4096].decode("utf-8", "surrogateescape").splitlines()[:1]
        if not first or not first[0].startswith("gitdir:"):
            return None
        inside = (path / first[0].removeprefix("gitdir:").strip()).resolve()
    for folder in (inside, path):
        common = folder / "commondir"
        if common.is_file():
            text = common.read_bytes()[:4096].decode("utf-8", "surrogateescape").strip()
            if ((folder / text) / "objects").is_dir():
                return (folder / text).resolve()
        if (folder / "HEAD").is_file() and (folder / "objects").is_dir():
            return folder
    return None


_SECTION = re.compile(r'\[\s*([A-Za-z0-9.-]+)(?:\s+"((?:[^"\\]|\\.)*)")?\s*\]')


def configuration(path: Path) -> list[tuple[str, str, str, str]]:
    """(section, subsection, key, value) of a git configuration. Read as text: nothing it names is followed or run."""
    try:
        with path.open("rb") as stream:
            text = stream.read(1 << 20).decode("utf-8", "replace")
    except OSError:
        return []
    found, section, sub = [], "", ""
    for line in text.splitlines():
        rest = line.strip()
        if header := _SECTION.match(rest):
            section, sub = header[1].lower(), header[2] or ""
            rest = rest[header.end() :].strip()
        key, equals, value = rest.partition("=")
        if rest and rest[0] not in "#;[":
            found.append((section, sub, key.strip().lower(), value.strip().strip('"') if equals else "true"))
    return found


def _origin(config: Path) -> str | None:
    return next(
        (
            value
            for section, sub, key, value in configuration(config)
            if (section, sub, key) == ("remote", "origin", "url")
        ),
        None,
    )


def _partial(config: Path) -> bool:
    return any(
        key in ("partialclone", "promisor", "partialclonefilter") for _s, _sub, key, _value in configuration(config)
    )
