"""The process that reads hostile bytes: it gets object ids, runs git and the engine, and lets out no secret.

    python -m wardship.connectors.git.child COUNTER_FD

Standard input: one JSON line {"engine", "pepper", "mirror", "environment", "max_blob"}, then one line a batch: a list
of [object id, path, copies]. Standard output: one line {"engine": version, ...} when ready, then one line a batch:
a list of [index, kind, body]. The counter is shared memory with batch and index of what is being read, so that the
parent knows at which blob a process died. The pepper and the values that are found never leave memory.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib
import json
import mmap
import struct
import subprocess
import sys
from collections.abc import Iterator
from typing import IO, Any

from wardship.connectors.git import sandbox
from wardship.model.access import CredentialType
from wardship.model.exposure import DetectorTier
from wardship.model.secret import Secret
from wardship.sdk.ci_files import Reference, workflow_references
from wardship.secrets import Engine, Hit, fingerprint
from wardship.secrets.keystores import Material, key_material

COUNTER = struct.Struct("=q")
BATCH_BITS = 20  # of the counter: index in the batch
CPU_S_A_BATCH = 300
MAX_HITS = 1_000  # of one blob; a file with more is a list of something
MAX_COPIED = 1 << 30  # bytes: what one blob may cost under all its paths together
MIN_FINGERPRINT = 4  # characters: a shorter value says nothing about where else it is used
_PIPE = 1 << 20  # bytes, the most that Linux gives everybody: git seldom has to wait for us
_KEY_FILES = (
    ".pem", ".crt", ".cer", ".der", ".p7b", ".p12", ".pfx", ".jks", ".keystore", ".truststore", ".key", ".ppk", ".bks"
)  # fmt: skip
_CERTIFICATE = b"-----BEGIN CERTIFICATE"


def is_ci_file(path: str) -> bool:
    """Whether a pipeline of GitHub, GitLab or Jenkins is written at this path."""
    low = path.lower()
    name = low.rsplit("/", 1)[-1]
    if low.endswith((".yml", ".yaml")):
        return low.startswith((".github/workflows/", ".gitlab/")) or name in (
            ".gitlab-ci.yml",
            "action.yml",
            "action.yaml",
        )
    return name == "jenkinsfile" or name.endswith((".jenkinsfile", "jenkinsfile.groovy"))


def main() -> int:
    counter = mmap.mmap(int(sys.argv[1]), COUNTER.size)
    order = json.loads(sys.stdin.buffer.readline())
    module, _colon, name = order["engine"].partition(":")
    engine: Engine = getattr(importlib.import_module(module), name)()
    offline = sandbox.no_network()
    sandbox.limit()
    git = subprocess.Popen(
        ["git", "--git-dir", order["mirror"], "cat-file", "--batch-command", "--buffer"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=order["environment"],
        bufsize=1 << 20,
    )
    assert git.stdout is not None  # noqa: S101 - narrows for the type checker
    with contextlib.suppress(OSError):  # the system's limit for pipes of one user may be reached
        fcntl.fcntl(git.stdout, fcntl.F_SETPIPE_SZ, _PIPE)
    locked = sandbox.lock()
    work = _Work(engine, Secret(order["pepper"]), order["max_blob"], git)
    _say({"engine": engine.version, "offline": offline, "locked": locked})
    for number, line in enumerate(sys.stdin.buffer):
        sandbox.grant_cpu(CPU_S_A_BATCH)
        batch = json.loads(line)
        if isinstance(batch, dict):
            _say(work.value(batch["blob"], batch["path"], batch["fingerprint"]))
            continue
        told = []
        for index, kind, body in work.read(batch, counter, number << BATCH_BITS):
            told.append([index, kind, body])
        _say(told)
    return 0


def _say(message: Any) -> None:
    sys.stdout.buffer.write(json.dumps(message).encode("ascii") + b"\n")
    sys.stdout.buffer.flush()


class _GitEndedError(Exception):
    """git ended in the middle of an answer: the blob that it was reading is too much for it."""


class _Work:
    def __init__(self, engine: Engine, pepper: Secret, max_blob: int, git: subprocess.Popen[bytes]) -> None:
        assert git.stdin is not None and git.stdout is not None  # noqa: S101, PT018 - narrows for the type checker
        self._engine, self._pepper, self._max_blob = engine, pepper, max_blob
        self._ask: IO[bytes] = git.stdin
        self._answer: IO[bytes] = git.stdout

    def read(self, batch: list[Any], counter: mmap.mmap, first: int) -> Iterator[tuple[int, str, Any]]:
        """(index, kind, body) of whatever is worth telling about the blobs of a batch."""
        self._send(b"info", [item[0] for item in batch])
        wanted: list[tuple[int, str, str]] = []
        for index, (blob, path, copies) in enumerate(batch):
            COUNTER.pack_into(counter, 0, first + index)
            words = self._header()
            size = int(words[2]) if words[1:2] == [b"blob"] else None
            if size is None:
                yield index, "skipped", {"reason": "missing"}
            elif size > self._max_blob:
                yield index, "skipped", {"reason": "large", "size": size}
            elif size * copies > MAX_COPIED:
                yield index, "skipped", {"reason": "copies", "size": size}
            else:
                wanted.append((index, blob, path))
        self._send(b"contents", [blob for _index, blob, _path in wanted])
        scan = self._engine.scan
        for index, blob, path in wanted:
            COUNTER.pack_into(counter, 0, first + index)
            data = self._body(int(self._header()[2]))
            if not _is(blob, data):
                yield index, "skipped", {"reason": "missing"}
                continue
            hits = scan(data, path=path)
            if hits:
                yield from ((index, "hit", hit.told(self._fingerprint(hit.value))) for hit in hits[:MAX_HITS])
            if len(hits) > MAX_HITS:
                yield index, "cut", {"reason": "cut"}
            if path.lower().endswith(_KEY_FILES) or _CERTIFICATE in data:
                yield from ((index, kind, body) for kind, body in self._material(data, path, hits))
            if is_ci_file(path):
                text = data.decode("utf-8", "replace")
                yield from ((index, "ci", _reference(one)) for one in workflow_references(text, path=path))

    def value(self, blob: str, path: str, wanted: str) -> dict[str, str | None]:
        """The value with this fingerprint in one blob, for the parent's eyes."""
        self._send(b"contents", [blob])
        words = self._header()
        if words[1:2] != [b"blob"] or int(words[2]) > self._max_blob:
            return {"value": None}
        data = self._body(int(words[2]))
        if not _is(blob, data):
            return {"value": None}
        for hit in self._engine.scan(data, path=path):
            if self._fingerprint(hit.value) == wanted:
                return {"value": hit.value.reveal()}
        for one in key_material(data, path):
            if one.value is not None and self._fingerprint(one.value) == wanted:
                return {"value": one.value.reveal()}
        return {"value": None}

    def _send(self, word: bytes, blobs: list[str]) -> None:
        """Asks for objects. A batch fits into the pipe, so this never waits for us to read."""
        self._ask.write(b"".join(b"%s %s\n" % (word, blob.encode("ascii")) for blob in blobs) + b"flush\n")
        self._ask.flush()

    def _header(self) -> list[bytes]:
        line = self._answer.readline()
        if not line:
            raise _GitEndedError
        return line.split()

    def _body(self, size: int) -> bytes:
        data = self._answer.read(size)
        if len(data) != size or not self._answer.read(1):
            raise _GitEndedError
        return data

    def _fingerprint(self, value: Secret) -> str | None:
        return fingerprint(self._pepper, value) if len(value.reveal().strip()) >= MIN_FINGERPRINT else None

    def _material(self, data: bytes, path: str, hits: list[Hit]) -> Iterator[tuple[str, dict[str, Any]]]:
        """Certificates; and private keys that the engine, which reads text, did not see."""
        seen = {self._fingerprint(hit.value) for hit in hits} | {hit.public_id for hit in hits if hit.public_id}
        for one in key_material(data, path):
            if one.kind == "certificate" and one.thumbprint_sha256:
                yield "certificate", _certificate(one)
            elif one.kind == "private_key" and one.value is not None:
                key = self._fingerprint(one.value)
                if key not in seen and one.public_id not in seen:
                    yield "hit", _private_key(one, one.value, len(data)).told(key)


def _is(blob: str, data: bytes) -> bool:
    """Whether these are the contents with this id: git takes the word of a pack's index for it."""
    digest = hashlib.sha1(usedforsecurity=False) if len(blob) == 40 else hashlib.sha256()
    digest.update(b"blob %d\0" % len(data))
    digest.update(data)
    return digest.hexdigest() == blob


def _certificate(one: Material) -> dict[str, Any]:
    return {
        "thumbprint": one.thumbprint_sha256,
        "subject": one.subject[:500] if one.subject else None,
        "issuer": one.issuer[:500] if one.issuer else None,
        "serial": one.serial,
        "not_before": one.not_before.timestamp() if one.not_before else None,
        "not_after": one.not_after.timestamp() if one.not_after else None,
        "algorithm": one.algorithm,
        "key": one.public_id,
    }


def _private_key(one: Material, value: Secret, size: int) -> Hit:
    """The key as a hit; it stands somewhere in a file of `size` bytes."""
    return Hit(
        detector="private_key",
        tier=DetectorTier.PROVIDER,
        confidence=0.5 if one.encrypted else 0.95,
        type=CredentialType.SSH_KEY if one.format in ("OPENSSH", "PPK") else CredentialType.CERTIFICATE,
        start=0,
        end=size,
        line=one.line or 1,
        column=1,
        value=value,
        public_id=one.public_id,
    )


def _reference(one: Reference) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "name": one.name,
        "line": one.line,
        "job": one.job,
        "environment": one.environment,
        "tenant": one.tenant,
    }


if __name__ == "__main__":
    sys.exit(main())
