"""Files that are known to hold credentials: what they are for says what stands in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

from wardship.model.access import CredentialType


@dataclass(frozen=True, slots=True)
class _Kind:
    detector: str
    names: frozenset[str]
    expression: re.Pattern[bytes]
    type: CredentialType = CredentialType.PASSWORD


def _kind(detector: str, names: str, expression: bytes, type_: CredentialType = CredentialType.PASSWORD) -> _Kind:
    return _Kind(detector, frozenset(names.split()), re.compile(expression, re.MULTILINE), type_)


_KINDS = (
    _kind("file.netrc", ".netrc _netrc .authinfo netrc", rb"\bpassword[ \t\n]{1,20}(?P<v>[^\s#]{1,200})"),
    _kind(
        "file.pgpass",
        ".pgpass pgpass.conf",
        rb"^[^#:\s][^:\n]{0,200}:(?:\d{1,5}|\*):[^:\n]{1,100}:[^:\n]{1,100}:(?P<v>[^\n\r]{1,200})",
    ),
    _kind(
        "file.npmrc",
        ".npmrc npmrc",
        rb"(?:^|:)_(?:auth|authToken|password)[ \t]{0,4}=[ \t]{0,4}[\"']?(?P<v>[^\s\"'$]{4,400})",
        CredentialType.TOKEN,
    ),
    _kind(
        "file.docker",
        ".dockercfg config.json .dockerconfigjson",
        rb"\"auth\"\s{0,8}:\s{0,8}\"(?P<v>[A-Za-z0-9+/]{8,2000}={0,2})\"",
    ),
    _kind(
        "file.rails_key",
        "master.key production.key staging.key",
        rb"\A\s{0,4}(?P<v>[0-9a-f]{32,64})\s{0,4}\Z",
        CredentialType.SIGNING_SECRET,
    ),
    _kind("file.htpasswd", ".htpasswd htpasswd .htdigest", rb"^[^#:\s]{1,100}:(?P<v>[^\s:]{8,200})"),
    _kind("file.shadow", "shadow shadow- master.passwd", rb"^[a-z_][\w\-]{0,31}:(?P<v>\$[^:\s]{8,200}):"),
    _kind("file.esmtprc", ".esmtprc .msmtprc .fetchmailrc", rb"^\s{0,20}password[ \t]{1,8}\"?(?P<v>[^\s\"]{4,200})"),
)
_CREDENTIAL_FILES = frozenset(
    (
        ".env .envrc .netrc .npmrc .pypirc .s3cfg .pgpass .my.cnf .git-credentials .remote-sync.json .ftpconfig "
        ".muttrc sftp.json sftp-config.json webservers.xml filezilla.xml sitemanager.xml recentservers.xml "
        "credentials hub hosts.yml secrets.yml secrets.yaml secrets.json secret.yml secret.yaml secret.json "
        "ventrilo_srv.ini .irssi .gem credentials.json wp-config.php settings.xml proftpdpasswd deployment- "
        "config.json robomongo.json mongoid.yml database.yml"
    ).split()
)
_SAMPLE = re.compile(r"(?i)example|sample|template|dist\b|test")
_BEGINS = 1_000_000  # such files are small: what comes later is something else


def detectors() -> list[tuple[str, CredentialType]]:
    """What `known` can find."""
    return [(kind.detector, kind.type) for kind in _KINDS]


def known(data: bytes, path: str) -> Iterator[tuple[str, CredentialType, int, int]]:
    """(detector, type, begin, end) of every credential that the kind of file says there is."""
    for kind in _kinds(path):
        for found in kind.expression.finditer(data, 0, _BEGINS):
            yield kind.detector, kind.type, *found.span("v")


@lru_cache(maxsize=256)
def _kinds(path: str) -> tuple[_Kind, ...]:
    name = PurePosixPath(path.replace("\\", "/")).name.lower()
    return tuple(kind for kind in _KINDS if name in kind.names)


@lru_cache(maxsize=256)
def holds_credentials(path: str) -> bool:
    """Whether a file of this name is there to hold credentials, and is no sample of one."""
    name = PurePosixPath(path.replace("\\", "/")).name.lower()
    return (name in _CREDENTIAL_FILES or name.startswith(".env.")) and not _SAMPLE.search(name)
