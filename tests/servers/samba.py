"""The domain controller that samba.sh starts, asked by the tools that come with it: ldbmodify, ldbsearch, kinit."""

from __future__ import annotations

import base64
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

ADDRESS = "192.0.2.40"
"""Where every connection comes from, as the domain controller sees it."""
BASE = "DC=corp,DC=example,DC=test"
REALM = "CORP.EXAMPLE.TEST"
ADMIN = ("Administrator", "Wardship-test-1")
"""Account and password."""


@dataclass(frozen=True, slots=True)
class Samba:
    folder: Path

    @property
    def log(self) -> Path:
        """Where the audit records stand, among whatever else Samba says."""
        return self.folder / "log.samba"

    def bind(self, account: str, password: str) -> bool:
        """A simple bind over TLS, by the account's principal name, and one search; whether it was let in."""
        return self._ldb("ldbsearch", (account, password), "-b", BASE, "-s", "base", "dn")

    def ntlm(self, account: str, password: str) -> bool:
        """The same by NTLM, as older software does it."""
        login = ("-U", f"CORP/{account}%{password}")
        return self._run("ldbsearch", *self._where(), *login, "-b", BASE, "-s", "base", "dn")

    def change(self, ldif: str, by: tuple[str, str] = ADMIN) -> bool:
        """Makes changes in order, until one is refused; whether all were made."""
        return self._ldb("ldbmodify", by, given=ldif)

    def kinit(self, account: str, password: str) -> bool:
        """Asks for a ticket; whether there is one."""
        return self._run("kinit", "-c", "MEMORY:", f"{account}@{REALM}", given=f"{password}\n")

    def ticket(self, account: str, password: str, service: str) -> bool:
        """Asks for a ticket for a service, by its principal name; whether there is one."""
        cache = f"FILE:{self.folder}/run/tickets"
        known = self._run("kinit", "-c", cache, f"{account}@{REALM}", given=f"{password}\n")
        return known and self._run("kvno", "-c", cache, f"{service}@{REALM}")

    def kpasswd(self, account: str, old: str, new: str) -> bool:
        """Changes a password by the protocol of Kerberos."""
        return self._run("kpasswd", f"{account}@{REALM}", given=f"{old}\n{new}\n{new}\n")

    def sid(self, account: str) -> str:
        """The SID of an account."""
        found = self._output(
            "ldbsearch", *self._where(), *_simple(ADMIN), "-b", BASE, f"(sAMAccountName={account})", "objectSid"
        )
        return next(line.split()[1] for line in found.splitlines() if line.startswith("objectSid:"))

    def _where(self) -> tuple[str, ...]:
        port = (self.folder / "ldaps.port").read_text("ascii").strip()
        return f"--configfile={self.folder}/client.conf", "-H", f"ldaps://127.0.0.1:{port}"

    def _ldb(self, tool: str, by: tuple[str, str], *arguments: str, given: str = "") -> bool:
        return self._run(tool, *self._where(), *_simple(by), *arguments, given=given)

    def _run(self, *command: str, given: str = "") -> bool:
        return self._done(command, given).returncode == 0

    def _output(self, *command: str) -> str:
        done = self._done(command, "")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _done(self, command: tuple[str, ...], given: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "KRB5_CONFIG": str(self.folder / "krb5.conf"), "LC_ALL": "C.UTF-8"}
        return subprocess.run(
            command, input=given, env=environment, capture_output=True, text=True, timeout=30, check=False
        )


def _simple(login: tuple[str, str]) -> tuple[str, str]:
    account, password = login
    return f"--simple-bind-dn={account}@{REALM.lower()}", f"--password={password}"


def unicode_password(password: str) -> str:
    """A password as a value of unicodePwd in LDIF."""
    return base64.b64encode(f'"{password}"'.encode("utf-16-le")).decode("ascii")
